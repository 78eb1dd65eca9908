"""Training algorithms, one per file: how to learn from a batch, or from a step in an environment."""
