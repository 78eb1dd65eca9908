"""Readers of the user's tables: columns, rows and targets."""
