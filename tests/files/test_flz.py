"""The .flz container: its coder, its tree, what it loses, and what damage does to it."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import gennorm

from firstlight.errors import InputError
from firstlight.files import FlzSteps, Seen, decode_flz, encode_flz
from firstlight.files._entropy import SCALES, SHAPES, DamageError, Reader, Writer, _generalised_gaussian
from firstlight.files._flz import HEADER, MAX_SWELL, VERSION
from firstlight.files._tree import code_places, sort_places
from firstlight.scene import Gaussians
from tests.scenes import random_gaussians

PATH = Path("scene.flz")
FINE = FlzSteps(colour=0.01, harmonics=0.01, place=0.02, size=0.01, turn=0.01, opacity=0.01)


def alike(count: int) -> Seen:
    """Of class 0 throughout: steps are what was asked for."""
    return Seen(np.zeros(count), np.zeros(count))


@pytest.mark.parametrize("shape", [0, 7, 11, 15])
def test_probabilities_are_those_of_scipy(shape: int) -> None:
    scale = 30
    k = np.arange(-40, 41)
    ours = _generalised_gaussian(shape, scale, -40, 40)
    theirs = gennorm(SHAPES[shape], scale=SCALES[scale])
    mass = theirs.cdf(k + 0.5) - theirs.cdf(k - 0.5)
    np.testing.assert_allclose(ours, mass / mass.sum(), atol=1e-4)


def test_laplacian_numbers_take_little_more_than_their_entropy() -> None:
    rng = np.random.default_rng(0)
    values = np.rint(rng.laplace(scale=6, size=20_000)).astype(np.int64)
    share = np.bincount(values - values.min()) / len(values)
    entropy = -(share[share > 0] * np.log2(share[share > 0])).sum() * len(values) / 8
    writer = Writer()
    writer.channel(values, np.zeros(len(values), np.int64), 1)
    assert len(writer.finish()) < 1.01 * entropy + 60


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**16), count=st.integers(0, 300), wide=st.sampled_from([0.0, 0.3, 5.0, 2000.0]))
def test_numbers_come_back_bit_for_bit(seed: int, count: int, wide: float) -> None:
    rng = np.random.default_rng(seed)
    contexts = rng.integers(0, 5, count)
    values = np.rint(rng.standard_t(2, count) * wide).clip(-9000, 9000).astype(np.int64) + 7
    labels, sizes = rng.integers(0, 9, count), rng.integers(1, 1000, count)
    parts = rng.integers(0, sizes) if count else sizes
    writer = Writer()
    writer.channel(values, contexts, 5)
    writer.symbols(labels, contexts, 5, 9)
    writer.uniform(parts, sizes)
    reader = Reader(writer.finish())
    np.testing.assert_array_equal(reader.channel(None, contexts, 5), values)
    np.testing.assert_array_equal(reader.symbols(None, contexts, 5, 9), labels)
    np.testing.assert_array_equal(reader.uniform(None, sizes), parts)
    reader.finish()


def test_a_reader_finds_out_what_was_changed() -> None:
    values = np.random.default_rng(0).integers(-50, 50, 2000)
    writer = Writer()
    writer.channel(values, np.zeros(2000, np.int64), 1)
    data = bytearray(writer.finish())
    data[-40] ^= 4
    reader = Reader(bytes(data))
    with pytest.raises(DamageError):
        reader.channel(None, np.zeros(2000, np.int64), 1)
        reader.finish()


@pytest.mark.parametrize("count", [1, 2, 9, 500, 5000])
@pytest.mark.parametrize("bits", [1, 6])
def test_a_tree_gives_its_cells_back_and_saves_their_order(count: int, bits: int) -> None:
    cells = np.random.default_rng(count).integers(0, 2**bits, (count, 3))
    cells = cells[sort_places(cells, bits)]
    writer = Writer()
    code_places(writer, cells, count, bits)
    data = writer.finish()
    np.testing.assert_array_equal(code_places(Reader(data), None, count, bits), cells)
    if count == 5000 and bits == 6:
        assert len(data) < count * (18 - 0.8 * (np.log2(count) - 1.44)) / 8


@pytest.mark.parametrize("degree", [0, 1, 3, 4])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 400])
def test_what_is_lost_is_at_most_half_a_step(count: int, degree: int) -> None:
    scene = random_gaussians(count, degree)
    read = decode_flz(encode_flz(scene, steps=FINE, seen=alike(count)), PATH)
    gap = (scene.means[:, None] - read.means[None]).norm(dim=2)
    order = gap.argmin(1)
    assert sorted(order.tolist()) == list(range(count))
    read = read.select(order)
    middle = scene.scales.median(1).values
    # Half a step along each axis, the step itself from a rounded size, and cells that widen outwards.
    assert ((scene.means - read.means).abs() <= 0.02 * 0.6 * middle[:, None]).all()
    sizes = scene.log_scales.sort(1, descending=True).values
    assert (sizes - read.log_scales).abs().max() <= 1.5 * 0.01 + 1e-5
    assert (scene.opacities.sqrt().arcsin() - read.opacities.sqrt().arcsin()).abs().max() <= 0.005 + 2e-3
    assert (scene.sh[:, 0] - read.sh[:, 0]).norm(dim=1).max() <= 0.005 * 3**0.5 + 1e-5
    # Axes hold float16, and those that are not worth their bits are gone.
    assert (scene.sh - read.sh).norm(dim=(1, 2)).max() <= 0.05
    correlation = (scene.covariances - read.covariances).flatten(1).norm(dim=1)
    assert (correlation <= 0.08 * scene.covariances.flatten(1).norm(dim=1)).all()


def test_written_twice_it_is_the_same() -> None:
    scene = random_gaussians(300, 2)
    assert encode_flz(scene) == encode_flz(scene)
    first = decode_flz(encode_flz(scene), PATH)
    second = decode_flz(encode_flz(scene), PATH)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("degree", [0, 1])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_great_many_alike_are_read_again(seed: int, degree: int) -> None:
    one = random_gaussians(1, degree, seed=seed)
    count = 40_000
    scene = Gaussians(*(tensor.expand(count, *tensor.shape[1:]).contiguous() for tensor in one))
    assert len(decode_flz(encode_flz(scene), PATH)) == count


def test_a_file_does_not_swell_more_than_real_ones() -> None:
    count = 400_000
    one = random_gaussians(1, 4)
    scene = Gaussians(*(tensor.expand(count, *tensor.shape[1:]).contiguous() for tensor in one))
    data = encode_flz(scene)
    assert sum(tensor.nbytes for tensor in scene) <= MAX_SWELL * len(data)
    with pytest.raises(InputError, match="claim to hold"):
        decode_flz(data[: len(data) // 2], PATH)


def test_far_and_huge_ones_do_not_spoil_the_others() -> None:
    scene = random_gaussians(200, 1)
    scene.means[0] = 1e6
    scene.log_scales[0] = 12
    read = decode_flz(encode_flz(scene, steps=FINE, seen=alike(200)), PATH)
    nearest = (scene.means[1:, None] - read.means[None]).norm(dim=2).min(1).values
    assert (nearest < 0.05 * scene.scales[1:].median(1).values).all()


def test_more_is_kept_of_what_is_seen_more() -> None:
    scene = random_gaussians(2000, 0)
    octaves = np.repeat([0.0, 6.0], 1000)
    steps = FINE.times(32)
    read = decode_flz(encode_flz(scene, steps=steps, seen=Seen(octaves, octaves)), PATH)
    order = (scene.means[:, None] - read.means[None]).norm(dim=2).argmin(1)
    off = (scene.sh[:, 0] - read.select(order).sh[:, 0]).square().mean(1)
    assert off[1000:].mean() < off[:1000].mean() / 50


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 9}, "version 9"),
        ({"count": 2**31}, "claim to hold"),
        ({"count": 0}, "damaged header"),
        ({"degree": 9}, "damaged header"),
        ({"bits": 60}, "damaged header"),
        ({"kept": 5000}, "damaged header"),
    ],
)
def test_headers_that_lie(tmp_path: Path, change: dict[str, int], words: str) -> None:
    data = encode_flz(random_gaussians(40, 1))
    names = ("magic", "version", "count", "degree", "bits", "kept")
    header = dict(zip(names, HEADER.unpack_from(data), strict=True)) | change
    path = tmp_path / "bad.flz"
    path.write_bytes(HEADER.pack(*header.values()) + data[HEADER.size :])
    with pytest.raises(InputError, match=words):
        Gaussians.load(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_found_out(data: st.DataObject) -> None:
    """The checksum is of the numbers read: whatever differs in them raises."""
    content = bytearray(encode_flz(random_gaussians(60, 1)))
    good = decode_flz(bytes(content), PATH)
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    try:
        read = decode_flz(bytes(content), PATH)
    except InputError as error:
        assert str(PATH) in str(error)
        return
    assert read.finite().all()
    assert len(read) == len(good)


def test_models_do_not_unpack_beyond_their_size() -> None:
    import zlib

    bomb = zlib.compress(bytes(50_000_000), 9)
    head = HEADER.pack(b"FLZ", VERSION, 100, 0, 5, 0)
    with pytest.raises(InputError, match=r"scene\.flz"):
        decode_flz(head + struct.pack("<III", 0, 2**31, len(bomb)) + bomb, PATH)
    with pytest.raises(InputError, match=r"scene\.flz"):
        decode_flz(head + struct.pack("<III", 0, 100, len(bomb)) + bomb, PATH)
