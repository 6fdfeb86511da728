"""Scenes on disk: one file a format, each with read and write."""

from firstlight.files._formats import load_gaussians as load_gaussians
from firstlight.files._formats import save_gaussians as save_gaussians
from firstlight.files.atomic import atomic_write as atomic_write
