"""Where data lies on disk: files that are found, archives, and caches of arrays."""
