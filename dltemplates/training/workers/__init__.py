"""Training on several workers or replicas."""
