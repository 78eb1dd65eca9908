"""What a model is trained for: loss, metrics, the figure it is judged by, how it is served and shown."""
