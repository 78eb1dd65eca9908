"""Data on disk: finding files, archives, and caches of arrays."""
