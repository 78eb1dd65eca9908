"""Output of a training: the run folder, samples, progress."""
