"""Recurrent networks for sequences, one file per family."""
