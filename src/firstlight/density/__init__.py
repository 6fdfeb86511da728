"""Strategies that add, move and remove Gaussians during a fit."""

from firstlight.density._screen import mean_gradient as mean_gradient
from firstlight.density._screen import nothing_seen as nothing_seen
from firstlight.density._screen import watch as watch
from firstlight.density._splitting import drawn_from as drawn_from
from firstlight.density._splitting import halves as halves
from firstlight.density.complexity import Complexity as Complexity
from firstlight.density.consistent import Consistent as Consistent
from firstlight.density.decay import Decaying as Decaying
from firstlight.density.fading import Fading as Fading
from firstlight.density.fixed import Fixed as Fixed
from firstlight.density.mcmc import Mcmc as Mcmc
from firstlight.density.strategy import Look as Look
from firstlight.density.strategy import Refinement as Refinement
from firstlight.density.strategy import State as State
from firstlight.density.strategy import Strategy as Strategy
from firstlight.density.strategy import Trainable as Trainable
from firstlight.density.strategy import Views as Views
from firstlight.density.taming import Taming as Taming
from firstlight.density.turbo import Turbo as Turbo
from firstlight.density.vanilla import Vanilla as Vanilla
