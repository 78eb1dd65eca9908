"""Training algorithms, one a file: what happens to one batch, or in one step in an environment."""
