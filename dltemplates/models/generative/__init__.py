"""Autoencoders, Boltzmann machines and generators, one file per family."""
