"""Readers of the user's series, and the windows that are cut out of them."""
