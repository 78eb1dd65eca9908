"""Readers of the user's images, and of other fields in files beside them."""
