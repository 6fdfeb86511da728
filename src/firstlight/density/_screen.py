"""What the screen says about a Gaussian: the measure by which 3DGS grows (Kerbl et al. 2023, section 5.2)."""

from __future__ import annotations

import torch
from torch import Tensor


def ndc_norms(gradients: Tensor, width: int, height: int, images: int) -> Tensor:
    """Norms [...] of a loss's gradients at 2D means [..., 2], from pixels to NDC units.

    A pixel is 2 / width of the NDC square; losses are means over the ``images`` of a batch.
    """
    unit = torch.tensor([width, height], dtype=gradients.dtype, device=gradients.device) / 2 * images
    norms: Tensor = (gradients * unit).norm(dim=-1)
    return norms
