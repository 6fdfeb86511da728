"""PSNR by hand."""

import math

import pytest
import torch

from firstlight.losses import psnr


def test_psnr_by_hand() -> None:
    rendered = torch.full((2, 3, 3), 0.6)
    photo = torch.full((2, 3, 3), 127, dtype=torch.uint8)  # 0.498
    assert psnr(rendered, photo) == pytest.approx(-20 * math.log10(0.6 - 127 / 255), abs=1e-4)


def test_mask_and_clamp() -> None:
    rendered = torch.tensor([[[2.0, 2.0, 2.0], [0.0, 0.0, 0.0]]])
    photo = torch.tensor([[[255, 255, 255], [51, 51, 51]]], dtype=torch.uint8)
    mask = torch.tensor([[128, 127]], dtype=torch.uint8)
    assert psnr(rendered, photo, mask) == math.inf  # 2 is shown as 1
    assert psnr(rendered, photo) == pytest.approx(-10 * math.log10(0.04 / 2), abs=1e-4)
    assert math.isnan(psnr(rendered, photo, mask * 0))
