"""gsplat's strategies and their operations: training loops written for gsplat 1.5.3 run as they are.

They work on parameters by name and one torch optimiser each, on any device. Where they differ from 1.5.3:

- ``DefaultStrategy`` does reset opacities every ``reset_every`` steps. 1.5.3 asks for ``step % reset_every ==
  0 & step > 0``, which Python never finds true; its main branch is mended in the same way.
- ``compute_relocation`` raises opacities to ``min_opacity`` before it works out the scales, as gsplat's main
  branch does, so that what is faint keeps its brightness; it computes in float64, from its own binomials.
- ``noise_injection_stop_iter``, ``noise_opacity_t`` and ``noise_opacity_k`` are those of its main branch;
  they stand last, so that positions of 1.5.3 keep their meaning.
- A Gaussian that several images of a batch see keeps its largest radius; gsplat keeps any one of them.
- Noise that an opacity fades below 1e-6 of its strength is left out.
- Where no Gaussian is alive, none is relocated; gsplat raises an error. Where none was in the picture, so
  that there is no gradient, nothing is counted.
- Random numbers are torch's, from its global generator, but not the same ones in the same order.
"""

from firstlight.density.gsplat import ops as ops
from firstlight.density.gsplat._base import Strategy as Strategy
from firstlight.density.gsplat._default import DefaultStrategy as DefaultStrategy
from firstlight.density.gsplat._mcmc import MCMCStrategy as MCMCStrategy
from firstlight.density.gsplat._relocation import compute_relocation as compute_relocation
