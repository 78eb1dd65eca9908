"""Networks of fully connected layers, one file per family."""
