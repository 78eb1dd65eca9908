"""Splits of the data: their names, shares and groups, and duplicates between them."""
