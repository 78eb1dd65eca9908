"""The HTML report, and the table of runs side by side."""
