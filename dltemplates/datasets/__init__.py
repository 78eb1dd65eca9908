"""Datasets: sources of examples, their spec, and the input pipeline of training."""
