"""How networks start: one module a method, each a function that fills a torch module's weights in place."""

from firstlight.weights.lsuv import lsuv_ as lsuv_
from firstlight.weights.orthogonal import orthogonal_ as orthogonal_
from firstlight.weights.vi3nr import vi3nr_ as vi3nr_
from firstlight.weights.vi3nr import vi3nr_gain as vi3nr_gain
from firstlight.weights.vi3nr import vi3nr_sigma as vi3nr_sigma
