"""Readers of the user's images, and of what else lies in files beside them."""
