"""Serving models: their contract, their examples, their text inputs."""
