"""The .forest file: what it loses, and what damage does to it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight.cli import main
from firstlight.errors import InputError
from firstlight.files import load_forest, write_forest
from firstlight.files._forest import HEADER, decode_forest, encode_forest
from firstlight.scene import Gaussians
from firstlight.scene.forest import Forest
from tests.forests import random_forest

PATH = Path("some.forest")


def in_order(forest: Forest) -> torch.Tensor:
    """The leaves in the order of the file."""
    rank = torch.empty_like(forest.root)
    rank[forest.root.argsort(stable=True)] = torch.arange(len(forest.root))
    return rank[forest.branch].argsort(stable=True)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    counts=st.lists(st.integers(1, 60), min_size=3, max_size=3).map(sorted),
    degree=st.integers(0, 4),
)
def test_round_trip_stays_within_the_steps_of_the_file(seed: int, counts: list[int], degree: int) -> None:
    roots, branches, leaves = counts
    forest = random_forest(leaves, branches, roots, degree, seed)
    read = decode_forest(encode_forest(forest), PATH)
    order = in_order(forest)
    box = forest.means.amax(0) - forest.means.amin(0)
    assert ((read.means - forest.means[order]).abs() <= box / 4096 + 1e-5).all()
    shares = [torch.asin(f.logit_opacities.sigmoid().sqrt()) for f in (read, forest)]
    assert float((shares[0] - shares[1][order]).abs().max()) <= 1.6 / 255
    features = forest.branches[forest.branch[order]]
    step = (forest.branches.amax(0) - forest.branches.amin(0)) / 255
    assert ((read.branches[read.branch] - features).abs() <= 0.51 * step + 1e-6).all()
    roots_of = [f.roots[f.root[f.branch]] for f in (read, forest)]
    step = (forest.roots.amax(0) - forest.roots.amin(0)) / 255
    assert ((roots_of[0] - roots_of[1][order]).abs() <= 0.51 * step + 1e-6).all()
    for a, b in zip((*read.shape, *read.colour), (*forest.shape, *forest.colour), strict=True):
        assert torch.equal(a, b.half().float())


def test_what_is_written_again_is_the_same_file(tmp_path: Path) -> None:
    forest = random_forest()
    write_forest(forest, tmp_path / "a.forest")
    assert (tmp_path / "a.forest").read_bytes() == encode_forest(forest)
    gaussians = Gaussians.load(tmp_path / "a.forest")
    expected = load_forest(tmp_path / "a.forest").gaussians()
    assert all(torch.equal(a, b) for a, b in zip(gaussians, expected, strict=True))


def test_a_forest_is_small() -> None:
    """Beside its networks, a leaf takes what its place, its opacity and its share of features take."""
    alone = len(encode_forest(random_forest(10, 4, 2)))
    more = len(encode_forest(random_forest(8010, 1004, 130)))
    assert (more - alone) / 8000 < 9


def test_the_commands_open_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_forest(random_forest(), tmp_path / "a.forest")
    assert main(["convert", str(tmp_path / "a.forest"), str(tmp_path / "b.ply")]) == 0
    assert len(Gaussians.load(tmp_path / "b.ply")) == 200
    assert main(["info", str(tmp_path / "a.forest")]) == 0
    assert "forest" in capsys.readouterr().out
    assert main(["convert", str(tmp_path / "b.ply"), str(tmp_path / "c.forest")]) == 2


def test_what_cannot_be_written(tmp_path: Path) -> None:
    forest = random_forest()
    forest.means[3, 1] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        write_forest(forest, tmp_path / "a.forest")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 9}, "version 9"),
        ({"leaves": 2**31}, "claim to hold"),
        ({"roots": 0}, "damaged header"),
        ({"branches": 5000}, "damaged header"),
        ({"hidden": 200}, "damaged header"),
        ({"degree": 9}, "damaged header"),
        ({"leaves": 201}, "damaged"),
    ],
)
def test_headers_that_lie(tmp_path: Path, change: dict[str, int], words: str) -> None:
    data = encode_forest(random_forest())
    names = ("magic", "version", "leaves", "branches", "roots", "branch", "root", "hidden", "degree")
    header = dict(zip(names, HEADER.unpack_from(data), strict=True)) | change
    path = tmp_path / "bad.forest"
    path.write_bytes(HEADER.pack(*header.values()) + data[HEADER.size :])
    with pytest.raises(InputError, match=words):
        Gaussians.load(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_found_out(data: st.DataObject) -> None:
    content = bytearray(encode_forest(random_forest(60, 10, 3)))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
    try:
        forest = decode_forest(bytes(content), PATH)
    except InputError as error:
        assert str(PATH) in str(error)
        return
    assert len(forest) == 60
