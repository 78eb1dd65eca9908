"""Everything a training writes: the run folder, samples, progress."""
