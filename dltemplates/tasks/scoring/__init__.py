"""Losses, scores and evaluators that several tasks share."""
