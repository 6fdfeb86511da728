"""Photos, points and splits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.errors import InputError
from firstlight.scene import Capture, Photo, Picture, Points, Similarity
from tests.scene.test_similarity import similarity
from tests.scenes import ring


def photo(name: str, width: int = 64, height: int = 48, group: str | None = None) -> Photo:
    def decode() -> Picture:
        rgb = np.random.default_rng(len(name)).integers(0, 256, (height, width, 3), np.uint8)
        return Picture(rgb, np.full((height, width), 255, np.uint8))

    return Photo(name, width, height, decode, focal=80.0, group=group)


def capture(count: int) -> Capture:
    return Capture([photo(f"{i:03}.jpg") for i in range(count)], "test", ring(count))


def tracked() -> Points:
    """Point i is seen in photos i and i + 1 of four; point 3 in none."""
    xyz = torch.arange(12, dtype=torch.float64).reshape(4, 3)
    rgb = torch.arange(12, dtype=torch.uint8).reshape(4, 3)
    tracks = torch.tensor([[0, 0], [0, 1], [1, 1], [1, 2], [2, 2], [2, 3]])
    return Points(xyz, rgb, torch.ones(4, dtype=torch.float64), tracks[:, 0], tracks[:, 1])


def test_every_eighth_by_name_is_held_out_whatever_the_order() -> None:
    names = [f"{i:03}.jpg" for i in range(20)]
    shuffled = Capture([photo(name) for name in reversed(names)], "test")
    split = shuffled.split()
    assert [shuffled.photos[i].name for i in split.test] == [names[0], names[8], names[16]]
    assert [shuffled.photos[i].name for i in split.train] == names[1:8] + names[9:16] + names[17:]


@settings(deadline=None, max_examples=60)
@given(count=st.integers(1, 40), views=st.integers(1, 40))
def test_splits_never_overlap_and_views_are_spread(count: int, views: int) -> None:
    on = Capture([photo(f"{i:03}.jpg") for i in range(count)], "test")
    whole = on.split()
    assert sorted(whole.train + whole.test) == list(range(count))
    if views > len(whole.train):
        with pytest.raises(InputError, match=f"{views} training views"):
            on.split(views=views)
        return
    few = on.split(views=views)
    assert few.test == whole.test
    assert len(few.train) == len(set(few.train)) == views
    assert set(few.train) <= set(whole.train)
    places = [whole.train.index(i) for i in few.train]
    if views > 1:
        assert places[0] == 0 and places[-1] == len(whole.train) - 1
        gaps = np.diff(places)
        assert gaps.max() - gaps.min() <= 1


def test_with_three_photos_none_is_held_out() -> None:
    assert capture(3).split().test == []
    assert len(capture(4).split().test) == 1
    assert capture(20).split("none").test == []


def test_named_photos_are_held_out() -> None:
    on = capture(5)
    assert on.split(["003.jpg", "001.jpg"]).test == [1, 3]
    with pytest.raises(InputError, match=r"not found in the capture: nothing\.jpg"):
        on.split(["nothing.jpg"])
    with pytest.raises(InputError, match="No photo is left"):
        on.split([p.name for p in on.photos])


def test_parts_of_one_exposure_stay_together() -> None:
    photos = [photo(f"{pano}/{face}.jpg", group=f"{pano}") for pano in "abcdefghi" for face in range(4)]
    on = Capture(photos, "test")
    split = on.split()
    assert {photos[i].group for i in split.test} == {"a", "i"}
    assert len(split.test) == 8
    assert {photos[i].group for i in on.split(views=2).train} == {"b", "h"}
    assert len(on.split(views=2).train) == 8
    assert on.split(["b/1.jpg"]).test == on.split(["b"]).test == [4, 5, 6, 7]


def test_a_test_set_of_the_data_s_own_is_kept() -> None:
    on = replace(capture(20), test_names=frozenset({"004.jpg", "005.jpg"}))
    assert on.split().test == [4, 5]
    assert on.split("none").test == []
    assert on.split(["001.jpg"]).test == [1]


def test_selection_takes_cameras_and_the_points_that_two_of_its_photos_see() -> None:
    on = replace(capture(4), points=tracked())
    some = on.select([3, 2])
    assert [p.name for p in some.photos] == ["003.jpg", "002.jpg"]
    assert some.cameras is not None and on.cameras is not None and some.points is not None
    assert torch.equal(some.cameras.viewmats, on.cameras.viewmats[[3, 2]])
    # Point 2 (photos 2 and 3) remains, point 1 (photo 2) does not; photo 3 is now 0 and photo 2 is 1.
    assert some.points.xyz[:, 0].tolist() == [6]
    assert sorted(zip(some.points.track_point.tolist(), some.points.track_photo.tolist(), strict=True)) == [
        (0, 0), (0, 1),
    ]  # fmt: skip


def test_a_photo_alone_keeps_the_points_that_it_sees() -> None:
    points = replace(capture(4), points=tracked()).select([2]).points
    assert points is not None
    assert points.xyz[:, 0].tolist() == [3, 6]


def test_points_without_tracks_stay_when_photos_go() -> None:
    bare = replace(tracked(), track_point=torch.zeros(0).long(), track_photo=torch.zeros(0).long())
    kept = replace(capture(4), points=bare).select([0]).points
    assert kept is not None and len(kept) == 4


def test_selected_points_keep_their_tracks() -> None:
    kept = tracked().select(torch.tensor([True, False, True, True]))
    assert len(kept) == 3
    assert kept.track_point.tolist() == [0, 0, 1, 1]
    assert kept.track_photo.tolist() == [0, 1, 2, 3]
    assert kept.rgb[1].tolist() == [6, 7, 8]


def test_names_must_be_unique_and_cameras_one_a_photo() -> None:
    with pytest.raises(ValueError, match="unique"):
        Capture([photo("a.jpg"), photo("a.jpg")], "test")
    with pytest.raises(ValueError, match="2 photos, but 3 cameras"):
        Capture([photo("a.jpg"), photo("b.jpg")], "test", ring(3))


def test_a_resized_photo_averages_colours_halves_the_mask_and_never_mixes_depths() -> None:
    rgb = np.zeros((4, 8, 3), np.uint8)
    rgb[:, ::2] = 100
    mask = np.zeros((4, 8), np.uint8)
    mask[:, :4] = 255
    mask[0, 4] = 255  # a quarter of what its pixel covers
    deep = np.where(np.arange(8) < 5, 1.0, 9.0).astype(np.float32) * np.ones((4, 1), np.float32)
    whole = Photo("a.png", 8, 4, lambda: Picture(rgb, mask), focal=10.0, depth=lambda: deep)
    half = whole.resized(4)
    picture = half.decode()
    assert (half.width, half.height, half.focal) == (4, 2, 5.0)
    assert picture.rgb.shape == (2, 4, 3) and (picture.rgb == 50).all()
    assert picture.mask is not None
    assert picture.mask.tolist() == [[255, 255, 0, 0]] * 2
    assert half.depth is not None
    depth: npt.NDArray[np.float32] = half.depth()
    assert depth.shape == (2, 4) and set(depth.ravel().tolist()) <= {1.0, 9.0}
    assert whole.resized(8) is whole and whole.resized(100) is whole


@settings(deadline=None, max_examples=30)
@given(width=st.integers(1, 300), height=st.integers(1, 300), size=st.integers(1, 300))
def test_resized_photos_keep_their_word_about_their_size(width: int, height: int, size: int) -> None:
    small = photo("a.jpg", width, height).resized(size)
    assert max(small.width, small.height) == min(size, max(width, height))
    assert min(small.width, small.height) >= 1
    picture = small.decode()
    assert picture.rgb.shape == (small.height, small.width, 3)
    assert picture.mask is not None and picture.mask.shape == (small.height, small.width)


def test_a_resized_capture_has_cameras_to_match() -> None:
    on = capture(3).resized(32)
    assert on.cameras is not None
    assert on.cameras.width.tolist() == [p.width for p in on.photos] == [32] * 3
    assert on.cameras.Ks[0].tolist() == [[32, 0, 16], [0, 32, 12], [0, 0, 1]]


def test_a_resized_photo_takes_depths_from_the_middle_of_what_a_pixel_covers() -> None:
    across = np.arange(1600, dtype=np.float32)[None].repeat(3, 0)
    small = Photo("a.png", 1600, 3, photo("").decode, depth=lambda: across, confidence=lambda: across)
    middles = (np.arange(500) + 0.5) * 3.2 - 0.5
    for known in (small.resized(500).depth, small.resized(500).confidence):
        assert known is not None
        off = known()[0] - middles
        assert np.abs(off).max() <= 0.5 and abs(off.mean()) < 0.05


def test_errors_of_points_shrink_with_the_photos() -> None:
    shrunk = replace(capture(4), points=tracked()).resized(16).points
    assert shrunk is not None and shrunk.error.tolist() == [0.25] * 4
    same = replace(capture(4), points=tracked()).resized(64).points
    assert same is not None and torch.equal(same.error, tracked().error)
    photos = [photo("0.jpg"), photo("1.jpg", 48, 64), photo("2.jpg", 32, 24), photo("3.jpg", 16, 12)]
    mixed = Capture(photos, "test", points=tracked()).resized(16).points
    assert mixed is not None  # by a quarter, a quarter, a half and not at all; nobody saw the last point
    torch.testing.assert_close(mixed.error, torch.tensor([0.25, 0.375, 0.75, 0.5]).double())


def test_a_moved_capture_moves_together() -> None:
    deep = replace(photo("000.jpg"), depth=lambda: np.full((48, 64), 2.0, np.float32))
    on = replace(capture(1), photos=[deep], points=replace(tracked(), xyz=torch.randn(4, 3).double()))
    move = similarity(3)
    moved = on.transform(move)
    assert moved.points is not None and on.points is not None and moved.cameras is not None
    torch.testing.assert_close(moved.points.xyz, move.apply(on.points.xyz))
    assert moved.points.track_photo.tolist() == on.points.track_photo.tolist()
    moved_depth = moved.photos[0].depth
    assert moved_depth is not None
    np.testing.assert_allclose(moved_depth(), 2 * move.scale, rtol=1e-6)
    back = moved.transform(move.inverse())
    assert back.cameras is not None and on.cameras is not None
    torch.testing.assert_close(back.cameras.viewmats, on.cameras.viewmats, rtol=0, atol=1e-5)
    assert replace(on, cameras=None, points=None).transform(Similarity.identity()).posed is False
