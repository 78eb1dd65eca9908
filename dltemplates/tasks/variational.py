"""Giving back what was put in through a code that is drawn: what variational autoencoders are trained for."""

from __future__ import annotations

from dltemplates.tasks.reconstruction import Reconstruction


class Variational(Reconstruction):
    """Give back an image, or a row of numbers, and learn to make new ones.

    As `reconstruction`; the loss is that of each example, not of each value, and the divergence of its codes from a
    standard normal distribution is part of it. The served `decoder` is a generator of codes from that distribution.
    """

    name = "variational"
    algorithm = "variational"
