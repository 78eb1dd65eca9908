"""Training with several workers or replicas."""
