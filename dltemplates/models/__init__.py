"""Builders of networks, one file per family."""
