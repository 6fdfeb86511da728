"""Scores of splats against the twin, and against what the picture itself says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from firstlight.render import rasterization, rasterization_2dgs, splat_scores, twins
from tests.render.scenes import Scene, intrinsics, random_scene

WIDTH, HEIGHT = 45, 37
_rasterization: Any = rasterization
_twin: Any = twins.splat_scores


def _render(scene: Scene, **options: Any) -> Any:
    K = intrinsics(len(scene.viewmats), WIDTH, HEIGHT)
    return _rasterization(*scene[:6], K, WIDTH, HEIGHT, **{"sh_degree": 3, **options})


def _errors(*shape: int) -> Tensor:
    return torch.randn(*shape, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("model", ["pinhole", "fisheye"])
@pytest.mark.parametrize("tile_size", [16, 7, 32])
def test_scores_are_the_twin(model: str, tile_size: int) -> None:
    scene, errors = random_scene(3, 70, 2), _errors(2)
    meta = _render(scene, packed=False, camera_model=model, tile_size=tile_size)[2]
    found = splat_scores(meta, errors)
    splats = [meta[key].double() for key in ("means2d", "conics", "opacities", "depths")]
    wanted = _twin(*splats, meta["radii"], errors.double(), exp=twins.series_exp)
    assert found.weight.shape == (2, 70)
    assert found.hits.sum() > 5000
    # Where rounding decides whether an alpha reaches 1/255, a pixel more or less.
    assert (found.hits - wanted[1]).abs().max() <= 2
    for ours, theirs in zip(found, wanted, strict=True):
        difference = (ours - theirs).abs()
        assert (difference > 1e-4 * (1 + theirs.abs())).double().mean() < 0.03
        assert difference.max() < 5


@pytest.mark.parametrize("cameras", [1, 3])
def test_packed_scores_are_the_dense_ones(cameras: int) -> None:
    scene, errors = random_scene(4, 90, cameras), _errors(cameras)
    dense_meta, meta = (_render(scene, packed=packed)[2] for packed in (False, True))
    dense, packed = splat_scores(dense_meta, errors), splat_scores(meta, errors)
    for ours, theirs in zip(packed, dense, strict=True):
        assert torch.equal(ours, theirs[meta["camera_ids"], meta["gaussian_ids"]])
    for ours, theirs in zip(packed.of_gaussians(meta, 90), dense.of_gaussians(dense_meta, 90), strict=True):
        assert ours.shape == (90,)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)
    assert torch.equal(dense.of_gaussians(dense_meta, 90).max_weight, dense.max_weight.amax(0))


def test_weights_sum_up_to_the_alphas_and_batches_are_scenes_of_their_own() -> None:
    scenes = [random_scene(seed, 60, 2) for seed in (5, 6)]
    whole = Scene(*(torch.stack(t) for t in zip(*scenes, strict=True)))
    K = intrinsics(2, WIDTH, HEIGHT).expand(2, 2, 3, 3)
    for packed in (False, True):
        _, alphas, meta = _rasterization(*whole[:6], K, WIDTH, HEIGHT, sh_degree=3, packed=packed)
        scores = splat_scores(meta, _errors(2, 2))
        torch.testing.assert_close(scores.weight.sum(), alphas.sum(), rtol=1e-4, atol=1e-3)
        joined = scores.of_gaussians(meta, 60)
        assert joined.weight.shape == (2, 60)
        alone = splat_scores(_render(scenes[1], packed=packed)[2]).weight
        torch.testing.assert_close(joined.weight[1].sum(), alone.sum(), rtol=1e-5, atol=1e-3)


def test_without_errors_their_sums_are_zero_and_two_runs_are_equal() -> None:
    meta = _render(random_scene(6, 300))[2]
    first, again = splat_scores(meta), splat_scores(meta)
    assert not first.error.any()
    assert not first.pixel_error.any()
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert (first.max_weight <= 0.99).all()
    assert first.hits.dtype == torch.int32


def test_nothing_seen_and_errors_that_do_not_fit() -> None:
    scene = random_scene(7, 10)
    behind = scene._replace(means=scene.means - torch.tensor([0.0, 0.0, 30.0]))
    for packed in (False, True):
        meta = _render(behind, packed=packed)[2]
        scores = splat_scores(meta, _errors(1))
        assert not any(t.any() for t in scores)
        assert scores.of_gaussians(meta, 10).weight.shape == (10,)
    with pytest.raises(ValueError, match="errors: expected shape"):
        splat_scores(meta, torch.zeros(1, 3, 3))
    surfels: Any = rasterization_2dgs
    K = intrinsics(1, WIDTH, HEIGHT)
    with pytest.raises(ValueError, match="surfels have no scores"):
        splat_scores(surfels(*scene[:6], K, WIDTH, HEIGHT, sh_degree=3)[-1])
