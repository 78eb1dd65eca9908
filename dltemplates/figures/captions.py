"""Headings and captions of all figures, in the order of the report. Each stands beside its drawing function."""

from __future__ import annotations

from dltemplates.figures import (
    anomaly,
    attention,
    coefficients,
    latent,
    latent_strip,
    outcomes,
    plane,
    run,
    samples,
    sequences,
    series,
    vision_drawings,
)

MODULES = (
    run,
    outcomes,
    coefficients,
    plane,
    latent_strip,
    latent,
    samples,
    anomaly,
    sequences,
    series,
    vision_drawings,
    attention,
)
CAPTIONS = {name: texts for module in MODULES for name, texts in module.CAPTIONS.items()}
