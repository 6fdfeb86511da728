"""Mixtures of Gaussians as models of data."""

from firstlight.mixtures._incremental import IncrementalGMM as IncrementalGMM
