"""Convolutional networks for images, one file per family."""
