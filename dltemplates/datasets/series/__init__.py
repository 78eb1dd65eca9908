"""Readers of the user's series, and their windows."""
