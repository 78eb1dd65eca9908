"""Every picture of a run."""
