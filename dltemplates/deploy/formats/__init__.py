"""The export formats: one object each, listed in the catalog."""
