"""Figures of a run. Colours never stand alone: lines differ in dashes, points in markers, areas in hatches."""

MARKERS = "o^sDvPX*<>"
