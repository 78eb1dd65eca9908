"""From a serving model to files in every format, each checked in its own runtime before it counts."""
