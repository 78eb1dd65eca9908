"""Export of serving models to every format; each file is checked in its own runtime before it counts."""
