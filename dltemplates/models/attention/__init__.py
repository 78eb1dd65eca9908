"""Networks of attention layers, one file per family."""
