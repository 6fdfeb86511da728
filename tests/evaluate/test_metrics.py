"""Metrics against independent implementations, by hand, and under masks."""

from __future__ import annotations

import math

import flip_evaluator
import numpy as np
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from firstlight.evaluate import fit_colours, flip, psnr, ssim

HEIGHT, WIDTH = 48, 61


@pytest.fixture
def photo() -> np.ndarray:
    """Something with edges, slopes and grain."""
    generator = np.random.default_rng(3)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    base = np.stack([x * 3, y * 4, 255 * ((x // 9 + y // 7) % 2)], -1)
    return (0.8 * base + generator.uniform(0, 50, base.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def rendered(photo: np.ndarray) -> torch.Tensor:
    noise = torch.randn(HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(5))
    return (torch.from_numpy(photo) / 255 * 0.9 + 0.05 * noise).clamp(0, 1)


@pytest.fixture
def mask() -> np.ndarray:
    keep = np.zeros((HEIGHT, WIDTH), np.uint8)
    keep[5:40, 8:50] = 255
    return keep


def planes(picture: torch.Tensor) -> torch.Tensor:
    return picture.permute(2, 0, 1)[None].float()


def test_psnr_by_hand():
    photo = np.full((2, 2, 3), 51, np.uint8)  # 0.2
    rendered = torch.full((2, 2, 3), 0.3)
    assert psnr(rendered, photo) == pytest.approx(20.0, abs=1e-4)
    rendered[0, 0] = 0.2
    assert psnr(rendered, photo) == pytest.approx(-10 * math.log10(0.01 * 3 / 4), abs=1e-4)


def test_psnr_and_ssim_agree_with_torchmetrics(rendered, photo):
    reference = torch.from_numpy(photo) / 255
    wanted = peak_signal_noise_ratio(rendered, reference, data_range=1.0)
    assert psnr(rendered, photo) == pytest.approx(float(wanted), abs=1e-4)
    # torchmetrics crops what the window cannot reach inside the picture; theirs of a picture with a border of
    # zeros is then what the zeros beyond ours give.
    border = (10, 10, 10, 10)
    padded = [torch.nn.functional.pad(planes(picture), border) for picture in (rendered, reference)]
    _, full = structural_similarity_index_measure(
        *padded, data_range=1.0, sigma=1.5, kernel_size=11, return_full_image=True
    )
    inner = full[..., 10:-10, 10:-10]
    assert inner.shape[-2:] == (HEIGHT, WIDTH)
    assert ssim(rendered, photo) == pytest.approx(float(inner.mean()), abs=1e-4)


def test_flip_is_that_of_its_authors(rendered, photo):
    found = flip(rendered, photo)
    reference = photo.astype(np.float32) / 255
    wanted, mean, _ = flip_evaluator.evaluate(reference, rendered.numpy(), "LDR", applyMagma=False)
    assert found.map.shape == (HEIGHT, WIDTH)
    np.testing.assert_allclose(found.map, wanted[..., 0], atol=1e-6)
    assert found.mean == pytest.approx(mean, abs=1e-5)
    assert 0.05 < found.mean < 0.9


def test_equal_pictures(photo):
    same = torch.from_numpy(photo) / 255
    assert psnr(same, photo) == math.inf
    assert ssim(same, photo) == pytest.approx(1, abs=1e-6)
    assert flip(same, photo).mean == pytest.approx(0, abs=1e-6)


def mean_flip(*pictures):
    return flip(*pictures).mean


@pytest.mark.parametrize("metric", [psnr, ssim, mean_flip])
def test_masked_pixels_do_not_count(metric, rendered, photo, mask):
    before = metric(rendered, photo, mask)
    assert before != pytest.approx(metric(rendered, photo), rel=1e-3)
    spoiled = torch.where(torch.from_numpy(mask)[..., None] > 0, rendered, 1 - rendered)
    assert metric(spoiled, photo, mask) == pytest.approx(before, rel=1e-6)
    assert math.isnan(metric(rendered, photo, np.zeros_like(mask)))


def test_masked_psnr_is_that_of_the_kept_pixels(rendered, photo, mask):
    kept = psnr(rendered[5:40, 8:50], photo[5:40, 8:50])
    assert psnr(rendered, photo, mask) == pytest.approx(kept, rel=1e-6)


def test_flip_map_is_dark_where_masked(rendered, photo, mask):
    found = flip(rendered, photo, mask)
    assert (found.map[mask == 0] == 0).all()
    assert found.map[mask > 0].mean() == pytest.approx(found.mean, rel=1e-5)


def test_renders_are_clamped_and_holes_are_black(photo):
    wild = torch.from_numpy(photo) / 255
    tame = wild.clone()
    wild[0, 0], tame[0, 0] = 7.0, 1.0
    wild[0, 1], tame[0, 1] = -3.0, 0.0
    wild[0, 2], tame[0, 2] = math.nan, 0.0
    for metric in (psnr, ssim, mean_flip):
        assert metric(wild, photo) == metric(tame, photo)


def test_fit_colours_undoes_an_affine_change(photo, mask):
    truth = torch.from_numpy(photo).float() / 255
    mix = torch.tensor([[0.7, 0.1, 0.0], [0.05, 0.6, 0.1], [0.0, 0.1, 0.8]])
    changed = truth @ mix + torch.tensor([0.02, 0.05, 0.0])
    assert psnr(changed, photo) < 25
    assert psnr(fit_colours(changed, photo), photo) > 80
    # Kept pixels alone decide.
    spoiled = torch.where(torch.from_numpy(mask)[..., None] > 0, changed, 1 - changed)
    assert psnr(fit_colours(spoiled, photo, mask), photo, mask) > 80


def test_fit_colours_is_the_least_squares_answer(rendered, photo):
    source = np.concatenate([rendered.numpy().reshape(-1, 3), np.ones((HEIGHT * WIDTH, 1))], 1)
    change, *_ = np.linalg.lstsq(source, photo.reshape(-1, 3) / 255, rcond=None)
    wanted = (source @ change).clip(0, 1).reshape(HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(fit_colours(rendered, photo).numpy(), wanted, atol=1e-5)


def test_fit_colours_survives_a_flat_render(photo, mask):
    flat = torch.full((HEIGHT, WIDTH, 3), 0.25)
    wanted = photo.reshape(-1, 3).mean(0) / 255
    np.testing.assert_allclose(fit_colours(flat, photo)[0, 0].numpy(), wanted, atol=1e-5)
    assert torch.equal(fit_colours(flat, photo, np.zeros_like(mask)), flat)
