"""Gaussian processes as models of data."""

from firstlight.processes._regression import GpRegression as GpRegression
from firstlight.processes._regression import Prediction as Prediction
