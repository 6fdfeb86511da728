"""Strategies that add, move and remove Gaussians during a fit."""

from firstlight.density.fixed import Fixed as Fixed
from firstlight.density.mcmc import Mcmc as Mcmc
from firstlight.density.strategy import Look as Look
from firstlight.density.strategy import Refinement as Refinement
from firstlight.density.strategy import State as State
from firstlight.density.strategy import Strategy as Strategy
from firstlight.density.strategy import Trainable as Trainable
from firstlight.density.strategy import Views as Views
from firstlight.density.vanilla import Vanilla as Vanilla
