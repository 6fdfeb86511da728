"""Pretrained depth: fitted to points, and through the real ``from_pretrained`` with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from firstlight.errors import InputError
from firstlight.geometry import PROVIDERS, find_geometry, get_provider
from firstlight.geometry._monocular import align
from tests.geometry.demo import three, without_depth


@pytest.mark.parametrize("inverse", [True, False])
def test_scale_and_offset_are_found_among_outliers(inverse: bool) -> None:
    generator = np.random.default_rng(3)
    rows, columns = np.mgrid[:60, :80]
    depth = 2 + 0.05 * rows + 0.5 * np.sin(columns / 9)
    said = ((1 / depth if inverse else depth) - 0.03) / 0.7
    pixels = generator.uniform(0, [79, 59], (40, 2)).round()
    known = depth[pixels[:, 1].astype(int), pixels[:, 0].astype(int)]
    known[:12] *= generator.uniform(1.5, 4, 12)
    aligned = align(said.astype(np.float32), pixels, known, np.random.default_rng(0))
    assert aligned is not None
    found, fits = aligned
    assert 0.65 < fits < 0.8
    assert np.abs(found / depth - 1).max() < 0.02


def test_too_few_points_or_none_that_fit_give_nothing() -> None:
    said = np.random.default_rng(0).uniform(1, 2, (20, 20)).astype(np.float32)
    pixels = np.stack([np.arange(5.0), np.arange(5.0)], -1)
    assert align(said, pixels, np.ones(5), np.random.default_rng(0)) is None
    flat = np.ones((20, 20), np.float32)
    pixels = np.stack([np.arange(15.0), np.arange(15.0)], -1)
    assert align(flat, pixels, np.linspace(1, 9, 15), np.random.default_rng(0)) is None


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Depth Anything of two small layers, saved as transformers saves them."""
    transformers = pytest.importorskip("transformers")
    backbone = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=56,
        patch_size=14, out_features=["stage1", "stage2"], reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, patch_size=14, neck_hidden_sizes=[8, 8],
        reassemble_factors=[2, 1], fusion_hidden_size=8, head_hidden_size=8,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tiny")
    transformers.DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    processor = transformers.DPTImageProcessor(
        size={"height": 56, "width": 56}, ensure_multiple_of=14, keep_aspect_ratio=True
    )
    processor.save_pretrained(folder)
    return folder


def test_a_saved_network_runs_to_the_end(tiny: Path) -> None:
    geometry = find_geometry(without_depth(three()), get_provider(str(tiny)).make())
    assert [one.shape for one in geometry.maps] == [(120, 160)] * 3
    again = find_geometry(without_depth(three()), get_provider(str(tiny)).make())
    assert np.array_equal(geometry.maps[0].log_depth, again.maps[0].log_depth)


def test_names_that_mean_nothing_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="stereo"):
        get_provider("crystal-ball")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be loaded"):
        find_geometry(three(), get_provider(str(tmp_path)).make())
    monkeypatch.setattr(type(PROVIDERS["zoedepth"]), "installed", False)
    with pytest.raises(InputError, match="pip install"):
        get_provider("zoedepth")


def test_every_provider_states_a_licence() -> None:
    assert all(provider.licence and provider.summary for provider in PROVIDERS.values())
