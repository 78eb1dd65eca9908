"""Training algorithms, one a file: what happens to one batch."""
