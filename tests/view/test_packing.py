from __future__ import annotations

import gzip
import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.scene import Gaussians, Similarity
from firstlight.view import packing
from firstlight.view.frame import Frame, Viewpoint, frame_scene
from firstlight.view.packing import Packed, pack
from tests.scenes import random_gaussians

HERE = Frame(Similarity.identity(), Viewpoint(np.zeros(3), np.ones(3), np.ones(3), 1, 1))


def unpack(packed: Packed) -> Gaussians:
    """What ``web/scene.js`` does, after the description in the header alone."""
    return Gaussians(
        *(
            torch.cat(parts)
            for parts in zip(*(_decode(packed, index) for index in range(packed.chunks)), strict=True)
        )
    )


def _decode(packed: Packed, index: int) -> Gaussians:
    header, ranges = packed.header, packed.header["ranges"]
    n = min(header["chunk"], header["count"] - index * header["chunk"])
    planes = np.frombuffer(gzip.decompress(packed.chunk(index)), np.uint8).reshape(-1, n).astype(np.float64)
    low, high = (np.array(bounds)[:, None] for bounds in ranges["position"])
    folded = low + (high - low) * (planes[:3] + 256 * planes[3:6] + 65536 * planes[6:9]) / 0xFFFFFF
    scales = _level(planes[9:12], *ranges["log_scale"])
    words = sum(planes[12 + k].astype(np.uint64) << np.uint64(8 * k) for k in range(4))
    others = np.stack([(words >> np.uint64(s)) & np.uint64(1023) for s in (20, 10, 0)], 1) / 1023 - 0.5
    others *= math.sqrt(2)
    largest = np.sqrt(np.maximum(1 - (others**2).sum(1), 0))
    quats = np.stack([np.insert(o, int(w) >> 30, v) for o, w, v in zip(others, words, largest, strict=True)])
    opacities = np.clip(planes[16] / 255, 1e-6, 1 - 1e-6)
    bands = [_level(planes[17:20], *ranges["dc"]).T.reshape(n, 1, 3)]
    at = 20
    for degree, reach in enumerate(ranges["sh"], 1):
        rows = 3 * (2 * degree + 1)
        bands.append(((planes[at : at + rows] - 128) / 127 * reach).T.reshape(n, -1, 3))
        at += rows
    assert at == len(planes)
    arrays = (
        (np.sign(folded) * np.expm1(np.abs(folded))).T,
        quats,
        scales.T,
        np.log(opacities / (1 - opacities)),
        np.concatenate(bands, 1),
    )
    return Gaussians(*(torch.tensor(array).float() for array in arrays))


def _level(planes: npt.NDArray[np.float64], low: float, high: float) -> npt.NDArray[np.float64]:
    return low + planes / 255 * (high - low)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("count", [1, 7, 300])
def test_round_trip(degree: int, count: int) -> None:
    packed = pack(random_gaussians(count, degree), HERE)
    ours, theirs = packed.gaussians, unpack(packed)
    np.testing.assert_allclose(theirs.means, ours.means, atol=1e-5)
    np.testing.assert_allclose(theirs.log_scales, ours.log_scales, atol=0.02)
    np.testing.assert_allclose(theirs.opacities, ours.opacities, atol=0.003)
    off = (theirs.sh - ours.sh).abs() > 0.01  # the largest saturate
    assert off.sum() <= 2 + off.numel() / 1000
    unit = torch.nn.functional.normalize(ours.quats, dim=1)
    assert ((unit * theirs.quats).sum(1).abs() > 0.99999).all()


def test_a_few_that_are_far_off_cost_the_others_nothing() -> None:
    scene = random_gaussians(3000, 1)
    scene.sh[0, 0], scene.sh[1, 0], scene.log_scales[2] = 1000, -1000, 18
    packed = pack(scene, HERE)
    ours, theirs = packed.gaussians, unpack(packed)
    usual = (ours.sh[:, 0].abs() < 10).all(1) & (ours.log_scales < 10).all(1)
    assert usual.sum() == 2997
    assert ((theirs.sh - ours.sh)[usual, 0].abs() > 0.01).float().mean() < 1e-3
    np.testing.assert_allclose(theirs.log_scales[usual], ours.log_scales[usual], atol=0.03)
    # They are still the brightest, the darkest and the largest.
    for name, at in (("sh", ours.sh[:, 0, 0].argmax()), ("log_scales", ours.log_scales[:, 0].argmax())):
        values = getattr(theirs, name).flatten(1)[:, 0]
        assert values[at] == values.max()


def test_fewer_bits_make_smaller_chunks_and_stay_near() -> None:
    scene = random_gaussians(2000, 3)
    fine, rough = pack(scene, HERE), pack(scene, HERE, sh_bits=5)
    assert len(rough.chunk(0, 9)) < 0.85 * len(fine.chunk(0, 9))
    assert ((unpack(rough).sh - rough.gaussians.sh).abs() > 0.04).float().mean() < 1e-3


def test_all_are_there_once_and_what_covers_most_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "CHUNK", 64)
    scene = random_gaussians(200, 0)
    packed = pack(scene, HERE)
    assert packed.chunks == 4 and packed.header["chunk"] == 64
    assert sorted(packed.gaussians.means[:, 0].tolist()) == sorted(scene.means[:, 0].tolist())
    weight = packed.gaussians.opacities * packed.gaussians.scales.sort(1).values[:, 1:].prod(1)
    assert weight[:64].min() >= weight[64:].max()
    assert len(unpack(packed)) == 200


def test_what_is_nowhere_is_left_out() -> None:
    scene = random_gaussians(10, 1)
    scene.means[2, 1], scene.sh[3, 2, 0], scene.log_scales[4, 0] = math.nan, math.inf, -math.inf
    assert len(pack(scene, HERE)) == 7


def test_units_of_the_page() -> None:
    scene = random_gaussians(50, 0)
    frame = frame_scene(scene, None)
    packed = pack(scene, frame)
    back = packed.gaussians.transform(frame.to_page.inverse())
    order = back.means[:, 0].argsort()
    np.testing.assert_allclose(back.means[order], scene.means[scene.means[:, 0].argsort()], atol=1e-5)
    np.testing.assert_allclose(back.scales.sum(), scene.scales.sum(), rtol=1e-4)


def test_a_scene_in_one_place_far_from_the_middle_is_packed() -> None:
    scene = random_gaussians(20, 0)
    scene.means = torch.full_like(scene.means, 704002.375)
    packed = pack(scene, frame_scene(scene, None))
    assert unpack(packed).finite().all()


def test_higher_degrees_are_cut() -> None:
    assert pack(random_gaussians(5, 4), HERE).header["degree"] == 3


def test_nothing_is_a_scene_too() -> None:
    packed = pack(random_gaussians(3, 2).select(torch.arange(0)), HERE)
    assert (len(packed), packed.chunks) == (0, 0)


@settings(deadline=None, max_examples=30)
@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e4),
    st.lists(st.floats(-30, 20), min_size=3, max_size=3),
    st.floats(-20, 20),
)
def test_wild_scenes(offset: float, spread: float, logs: list[float], logit: float) -> None:
    scene = random_gaussians(20, 1)
    scene.means = scene.means * spread + offset
    scene.log_scales[:10] = torch.tensor(logs)
    scene.logit_opacities[:] = logit
    packed = pack(scene, frame_scene(scene, None))
    theirs = unpack(packed)
    near = packed.gaussians.means.abs() + 1
    assert ((theirs.means - packed.gaussians.means).abs() <= 1e-5 * near).all()
    assert theirs.finite().all()
