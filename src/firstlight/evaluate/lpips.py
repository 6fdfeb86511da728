"""LPIPS (Zhang et al. 2018), where its weights are on this machine already: nothing is ever downloaded."""

from __future__ import annotations

import hashlib
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from firstlight.evaluate.metrics import Bytes, clamped, kept_pixels

SMALLEST_SIDE = 64  # pixels: below it nothing is left after the strides of AlexNet


def lpips_missing() -> str | None:
    """Why LPIPS cannot be computed here, in words; None when it can."""
    for package in ("torchmetrics", "torchvision"):
        if find_spec(package) is None:
            return f"not computed: {package} is not installed (pip install 'firstlight[lpips]')"
    try:
        weights = _weights_file()
    except (ImportError, OSError, RuntimeError):
        # torchvision built for another torch (CUDA beside CPU, say) fails in its own import, in any of these.
        return "not computed: the installed torchvision does not load beside this torch"
    if not weights.is_file():
        return f"not computed: torch hub's folder has no {weights.name} (AlexNet's weights)"
    if not _intact(weights):
        return f"not computed: {weights.name} is damaged; delete it and let torchvision fetch it again"
    return None


class Lpips:
    """LPIPS with AlexNet, the variant its authors recommend for comparing pictures; lower is closer.

    Make one only when :func:`lpips_missing` gives None.
    """

    def __init__(self) -> None:
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        self.metric: Any = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)

    @torch.no_grad()
    def __call__(self, rendered: Tensor, photo: Bytes, mask: Bytes | None = None) -> float | None:
        """Arguments as in ``metrics``; None for pictures under 64 pixels a side.

        Where the mask ignores a pixel the render is taken to equal the photo. The mean is over all pixels.
        """
        if min(photo.shape[:2]) < SMALLEST_SIDE:
            return None
        reference = torch.from_numpy(photo).float() / 255
        keep = torch.from_numpy(kept_pixels(photo, mask))[..., None]
        test = torch.where(keep, clamped(rendered), reference)
        self.metric.reset()
        return float(self.metric(*(picture.permute(2, 0, 1)[None] for picture in (test, reference))))


def _weights_file() -> Path:
    """Where torchvision keeps the weights that it would otherwise download."""
    address: str = import_module("torchvision.models").AlexNet_Weights.DEFAULT.url
    return Path(torch.hub.get_dir(), "checkpoints", address.rsplit("/", 1)[-1])


def _intact(weights: Path) -> bool:
    """The name of a torch hub file ends with the first digits of its SHA-256.

    torchvision reads these files as pickles, so none but the one that was meant may be opened.
    """
    wanted = re.search(r"-([0-9a-f]{8,})\.", weights.name)
    if wanted is None:
        return False
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(wanted[1])
