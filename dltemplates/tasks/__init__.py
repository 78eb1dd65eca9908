"""Tasks: the loss, metrics, score and serving of each learning problem."""
