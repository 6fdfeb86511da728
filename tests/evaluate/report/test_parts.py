"""The report's parts: markup, numbers in words, curves, maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from firstlight.evaluate.report import words
from firstlight.evaluate.report.cameras import layout, up_direction
from firstlight.evaluate.report.curves import BINS, bins, ticks
from firstlight.evaluate.report.details import flattened
from firstlight.evaluate.report.folder import matrix, number, read_run_folder
from firstlight.evaluate.report.gallery import held_out_names, picture_size, spread
from firstlight.evaluate.report.headline import title
from firstlight.evaluate.report.markup import element, join
from tests.evaluate.report.folders import read, run_folder, write


def test_markup_escapes_what_is_not_markup():
    inner = element("b", "<&>")
    assert inner == "<b>&lt;&amp;&gt;</b>"
    assert element("p", inner, "<", None, class_='"x', hidden=True, id=None, data_x=0.5) == (
        '<p class="&quot;x" hidden data-x="0.5"><b>&lt;&amp;&gt;</b>&lt;</p>'
    )
    assert element("img", alt="") == '<img alt="">'
    assert element("svg", view_box="0 0 1 1") == '<svg viewBox="0 0 1 1"></svg>'
    assert join("a<", None, inner) == "a&lt;<b>&lt;&amp;&gt;</b>"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "–"), (0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 0 s"), (252, "4 min 12 s"),
     (3599.7, "1 h 0 min"), (7505, "2 h 5 min")],
)  # fmt: skip
def test_durations(seconds, said):
    assert words.duration(seconds) == said


def test_other_words():
    assert [words.megabytes(value) for value in (812.4, 1350, None)] == ["812 MB", "1.35 GB", "–"]
    assert [words.short(value) for value in (1500, 2e6, 0.25, 0)] == ["1.5k", "2M", "0.25", "0"]
    assert (words.plural(1, "photo"), words.plural(2, "photo")) == ("1 photo", "2 photos")
    assert (words.decimal(1.005, 1), words.count(48231.0)) == ("1.0", "48,231")


@pytest.mark.parametrize(
    ("photos", "wanted"),
    [("a/fox/images/", "fox"), ("C:\\photos\\cat", "cat"), ("images", "images"), ("", "Untitled capture"),
     ("../..", "Untitled capture"), (7, "7"), (None, "Untitled capture")],
)  # fmt: skip
def test_title(photos, wanted):
    assert title({"photos": photos}) == wanted


def test_numbers_are_finite_or_nothing():
    assert number(3) == 3.0 and number(-0.5) == -0.5
    for value in (None, True, "3", [1], float("nan"), float("inf"), 10**400):
        assert number(value) is None
    assert matrix([[1, 2], [3, 4]], 2) == [[1, 2], [3, 4]]
    for wrong in (None, [[1, 2]], [[1, 2], [3, None]], [[1, 2], 3], [[1, 2, 3], [4, 5, 6]]):
        assert matrix(wrong, 2) is None


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_round_and_inside(low, span):
    found = ticks(low, low + span)
    assert 1 <= len(found) <= 9
    step = span / 4
    assert all(low - 1e-6 * span <= tick <= low + span + 1e-6 * span for tick in found)
    if len(found) > 1:
        assert 0.99 * step <= found[1] - found[0] <= 2.6 * step


def test_known_ticks():
    assert ticks(0, 7000) == [0, 2000, 4000, 6000]
    assert ticks(0.0, 0.35) == pytest.approx([0, 0.1, 0.2, 0.3])


@settings(deadline=None)
@given(st.integers(1, 2000))
def test_bins_keep_range_and_mean(size):
    rng = np.random.default_rng(size)
    series = [(float(i), float(y)) for i, y in enumerate(rng.normal(size=size))]
    found = bins(series)
    assert len(found) <= BINS
    assert min(b.low for b in found) == min(y for _, y in series)
    assert max(b.high for b in found) == max(y for _, y in series)
    assert found[-1].x == series[-1][0]
    assert all(b.low - 1e-9 <= b.mean <= b.high + 1e-9 for b in found)


def test_spread_keeps_both_ends_and_never_repeats():
    entries = [{"name": str(place)} for place in range(100)]
    for most in (2, 7, 48, 99):
        picked = [int(entry["name"]) for entry in spread(entries, most)]
        assert len(set(picked)) == most and picked[0] == 0 and picked[-1] == 99
    assert spread(entries, 100) is entries
    assert [picture_size(n) for n in (1, 12, 13, 24, 25, 48)] == [1008, 1008, 768, 768, 560, 560]


def test_settings_are_flattened():
    value = {"a": {"b": 1, "c": []}, "d": [1, 2], "e": [{"f": None}], "g": {}}
    assert dict(flattened(value)) == {"a.b": "1", "a.c": "none", "d": "1, 2", "e.0.f": "–", "g": "{}"}


def looking(forward: np.ndarray, up: np.ndarray, center: np.ndarray) -> dict[str, object]:
    """An entry of poses.json."""
    z = forward / np.linalg.norm(forward)
    x = np.cross(z, up)
    x /= np.linalg.norm(x)
    rotation = np.stack([x, np.cross(z, x), z])
    viewmat = np.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = rotation, -rotation @ center
    return {"name": f"{center}", "viewmat": viewmat.tolist(), "K": [[50, 0, 30], [0, 50, 20], [0, 0, 1]],
            "width": 60, "height": 40}  # fmt: skip


UP = np.array([0.36, -0.48, 0.8])


def captures() -> dict[str, list[dict[str, object]]]:
    rng = np.random.default_rng(1)
    a = np.cross(UP, [1.0, 0, 0])
    a /= np.linalg.norm(a)
    b = np.cross(UP, a)
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = [np.cos(t) * a + np.sin(t) * b for t in angles]
    return {
        "around, looking down a little": [looking(-r - 0.4 * UP, UP, 4 * r + UP) for r in ring],
        "straight down, turning": [looking(-UP, r, 5 * UP + r) for r in ring],
        "side by side": [looking(b + 0.1 * rng.normal(size=3), UP, t * a) for t in np.linspace(-1, 1, 8)],
        "one": [looking(b, UP, a)],
    }


@pytest.mark.parametrize("name", captures())
def test_up_is_found(name):
    found = layout({"photos": captures()[name]})
    assert found is not None
    up = up_direction(found.cameras)
    assert up @ UP > np.cos(np.radians(8))
    np.testing.assert_allclose(found.axes @ found.axes.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(found.axes) == pytest.approx(1)


def test_cameras_stand_where_they_stand():
    found = layout({"photos": [looking(np.array([0.0, 1, 0]), UP, np.array([1.0, 2, 3]))]})
    assert found is not None
    np.testing.assert_allclose(found.cameras[0].center, [1, 2, 3], atol=1e-12)
    # The middle of the corners is where it looks; K's centre is the picture's.
    np.testing.assert_allclose(found.cameras[0].corners.mean(0), [0, 1, 0], atol=1e-12)


def test_points_that_are_none_are_skipped():
    points = [
        [1, 2, 3, 255, 0, 0],
        [1, 2],
        None,
        ["a"] * 6,
        [1, 2, float("nan"), 0, 0, 0],
        [1, 2, 3, 900, -5, 0],
    ]
    found = layout({"photos": captures()["one"], "points": points})
    assert found is not None
    np.testing.assert_array_equal(found.colors, [[255, 0, 0], [255, 0, 0]])
    assert layout({"photos": [{"name": "x", "placed": False, "viewmat": np.eye(4).tolist()}]}) is None


def test_no_more_points_than_a_map_takes():
    found = layout({"photos": captures()["one"], "points": [[i, 0, 0, 0, 0, 0] for i in range(3999)]})
    assert found is not None and len(found.points) == 2000


def test_panoramas_are_held_out_with_their_faces():
    run = {"split": {"test": ["a/p.jpg/front.jpg", "a/p.jpg/left.jpg", "q.jpg", 7]}}
    assert {"a/p.jpg", "q.jpg"} <= held_out_names(run) and "a/q.jpg" not in held_out_names(run)
    assert held_out_names({"split": {"test": "q.jpg"}}) == set()


def test_a_panorama_is_a_level_diamond():
    found = layout(
        {"photos": [{"name": "p", "viewmat": np.eye(4).tolist(), "K": None, "model": "equirectangular"}]}
    )
    assert found is not None
    np.testing.assert_allclose(found.cameras[0].corners[:, 1], 0)
    np.testing.assert_allclose(found.cameras[0].corners.mean(0), 0)


def test_points_come_from_beside_the_poses(tmp_path):
    run = run_folder(tmp_path / "run", ["one.jpg"], steps=2)
    poses = read(run, "poses.json")
    del poses["points"]
    write(run, "poses.json", poses)
    path = run / "poses.safetensors"

    def points() -> Any:
        found = read_run_folder(run).poses
        assert found is not None
        return found["points"]

    assert points() == []
    xyz, rgb = np.arange(15_000.0).reshape(5000, 3), np.full((5000, 3), 9, np.uint8)
    save_file({"points.xyz": xyz, "points.rgb": rgb}, path)
    assert 1000 <= len(points()) <= 2000 and points()[1] == [9, 10, 11, 9, 9, 9]
    save_file({"points.xyz": xyz[:, :2].copy(), "points.rgb": rgb}, path)
    assert points() == []
    path.write_bytes(b"no such file format")
    assert points() == []
