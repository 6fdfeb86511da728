"""First Gaussians: where they stand, how large they are, and what must not put them off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from firstlight.errors import InputError
from firstlight.processes import Prediction
from firstlight.scene import Cameras, Capture, Gaussians, Photo, Picture, Points
from firstlight.starts import GpStart, PixelStart, PointsOrRandom, RandomBox, SfmPoints
from firstlight.starts._sizes import footprints, gaps
from firstlight.starts.random_box import viewing_distances
from tests.scenes import looking_at, ring

Start = Callable[[Capture, torch.Generator], Gaussians]


def flat_photo(name: str, rgb: tuple[int, int, int], cameras: Cameras) -> Photo:
    width, height = int(cameras.width[0]), int(cameras.height[0])
    return Photo(name, width, height, lambda: Picture(np.full((height, width, 3), rgb, np.uint8)))


def points_at(xyz: Tensor) -> Points:
    rgb = torch.arange(len(xyz) * 3).reshape(-1, 3).remainder(256).to(torch.uint8)
    return Points(xyz.double(), rgb, torch.full((len(xyz),), 0.5, dtype=torch.float64))


def capture(cameras: Cameras | None = None, points: Points | None = None) -> Capture:
    cameras = ring(12) if cameras is None else cameras
    photos = [flat_photo(f"{i:03}.png", (255, 128, 0), cameras) for i in range(len(cameras))]
    return Capture(photos, "test", cameras, points)


def begin(start: Start, on: Capture, seed: int = 0) -> Gaussians:
    gaussians = start(on, torch.Generator().manual_seed(seed))
    assert {tensor.dtype for tensor in gaussians} == {torch.float32}
    assert gaussians.finite().all()
    return gaussians


def cloud(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 0.5


def pixel_widths(gaussians: Gaussians, cameras: Cameras) -> Tensor:
    return gaussians.scales[:, 0].double() / footprints(gaussians.means.double(), cameras)


def test_points_become_round_gaussians_of_their_colour() -> None:
    points = points_at(cloud(50))
    gaussians = begin(SfmPoints(opacity=0.3), capture(points=points))
    torch.testing.assert_close(gaussians.means, points.xyz.float())
    torch.testing.assert_close(gaussians.rgb, points.rgb / 255)
    torch.testing.assert_close(gaussians.opacities, torch.full((50,), 0.3))
    assert gaussians.quats.tolist() == [[1, 0, 0, 0]] * 50
    assert (gaussians.scales == gaussians.scales[:, :1]).all()
    assert gaussians.degree == 0


@pytest.mark.parametrize(("neighbours", "scale"), [(3, 1.0), (5, 1.0), (3, 0.3)])
def test_sizes_are_root_mean_square_distances_to_neighbours(neighbours: int, scale: float) -> None:
    xyz, cameras = cloud(3000), ring(12).resized(torch.full((12,), 640), torch.full((12,), 480))
    gaussians = begin(SfmPoints(neighbours=neighbours, scale=scale), capture(cameras, points_at(xyz)))
    nearest = torch.cdist(xyz, xyz).sort(dim=1).values[:, 1 : neighbours + 1]
    expected = scale * nearest.square().mean(1).sqrt()
    pixel = footprints(xyz, cameras)
    inside = (expected > 0.5 * pixel) & (expected < 0.05 * 640 * pixel)
    assert inside.sum() > 2000
    torch.testing.assert_close(gaussians.scales[inside, 0].double(), expected[inside], rtol=1e-5, atol=0)


def test_a_pixel_is_as_wide_as_the_nearest_camera_sees_it() -> None:
    cameras = looking_at(torch.tensor([[0.0, 0, -4], [0, 0, -10]]), torch.zeros(3))
    torch.testing.assert_close(
        footprints(torch.zeros(1, 3).double(), cameras), torch.tensor([4 / 64]).double()
    )


def test_lonely_and_coincident_points_keep_a_size_that_a_picture_can_show() -> None:
    cameras = ring(12)
    xyz = torch.cat([cloud(100), torch.zeros(20, 3), torch.tensor([[0.0, 40, 0]])]).double()
    gaussians = begin(SfmPoints(), capture(points=points_at(xyz)))
    assert len(gaussians) == 121
    width = pixel_widths(gaussians, cameras)
    torch.testing.assert_close(width[100:120], torch.full((20,), 0.5).double(), rtol=1e-4, atol=0)
    assert width[120].item() == pytest.approx(0.05 * 64, rel=1e-4)
    assert ((width > 0.499) & (width < 0.05 * 64 + 0.001)).all()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_even_one_point_is_a_start(count: int) -> None:
    gaussians = begin(SfmPoints(), capture(points=points_at(cloud(count))))
    assert len(gaussians) == count
    assert pixel_widths(gaussians, ring(12)).max() < 0.05 * 64 + 0.001


def test_gap_of_a_single_point_is_infinite() -> None:
    assert gaps(torch.zeros(1, 3).double(), 3).tolist() == [float("inf")]


def test_points_that_cannot_be_right_are_left_out() -> None:
    xyz = cloud(20)
    xyz[1] = 1000.0
    xyz[2, 1] = torch.nan
    points = points_at(xyz)
    points.error[3] = 9.0
    points.error[4] = torch.nan  # not known: no reason to distrust it
    # Camera 0 stands at (4, 0, 0) and looks at the origin: (6, 0, 0) is behind it, yet in front of others.
    xyz[5] = torch.tensor([6.0, 0, 0])
    points.track_point, points.track_photo = torch.tensor([5, 6]), torch.tensor([0, 0])
    gaussians = begin(SfmPoints(), capture(points=replace(points, xyz=xyz)))
    kept = [i for i in range(20) if i not in (1, 2, 3, 5)]
    torch.testing.assert_close(gaussians.means, xyz[kept].float())


def test_too_many_points_are_thinned_out_and_keep_their_colours() -> None:
    points = points_at(cloud(500))
    a, b, c = (begin(SfmPoints(max_points=40), capture(points=points), seed) for seed in (1, 1, 2))
    assert len(a) == 40
    assert torch.equal(a.means, b.means) and not torch.equal(a.means, c.means)
    rows = [int((points.xyz.float() == mean).all(1).nonzero()) for mean in a.means]
    torch.testing.assert_close(a.rgb, points.rgb[rows] / 255)


def test_without_points_the_message_shows_the_way_out() -> None:
    for points in (None, points_at(torch.zeros(0, 3))):
        with pytest.raises(InputError, match="RandomBox"):
            begin(SfmPoints(), capture(points=points))
    bad = points_at(cloud(3))
    bad.error[:] = 50
    with pytest.raises(InputError, match="None of the 3 sparse points"):
        begin(SfmPoints(), capture(points=bad))


@pytest.mark.parametrize("start", [SfmPoints(), RandomBox(), PointsOrRandom()])
def test_without_poses_there_is_no_start(start: Start) -> None:
    with pytest.raises(InputError, match="no camera poses"):
        begin(start, replace(capture(), cameras=None))


def views(gaussians: Gaussians, cameras: Cameras) -> Tensor:
    """In how many pictures each mean is."""
    local = gaussians.means @ cameras.rotations.mT + cameras.viewmats[:, None, :3, 3]
    flat = local @ cameras.Ks.mT
    place = flat[..., :2] / flat[..., 2:]
    inside = (place > 0).all(-1) & (place[..., 0] < 64) & (place[..., 1] < 48) & (local[..., 2] > 0)
    return inside.sum(0)


def test_random_ones_stand_where_cameras_look() -> None:
    cameras = ring(12)
    gaussians = begin(RandomBox(3000), capture(cameras))
    assert len(gaussians) == 3000
    seen = views(gaussians, cameras)
    assert (seen >= 2).float().mean() > 0.99
    distance = gaussians.means.norm(dim=-1)
    assert distance.max() < 25  # bounded by a few times the ring's radius of 4
    assert (distance < 1.5).float().mean() > 0.1 and (distance > 4).float().mean() > 0.1
    assert pixel_widths(gaussians, cameras).max() < 0.05 * 64 + 0.001


def test_with_a_known_background_they_stand_around_the_object() -> None:
    cameras = ring(12)
    on = replace(capture(cameras), background=(1.0, 1.0, 1.0))
    gaussians = begin(RandomBox(3000), on)
    assert len(gaussians) == 3000
    assert (views(gaussians, cameras) >= 6).float().mean() > 0.9
    assert gaussians.means.norm(dim=-1).max() < 4


def test_random_ones_take_the_mean_colour_of_the_photos_that_see_them() -> None:
    cameras = ring(12)
    on = capture(cameras)
    orange = torch.tensor([255.0, 128, 0]) / 255
    torch.testing.assert_close(begin(RandomBox(100), on).rgb, orange.expand(100, 3), rtol=1e-5, atol=1e-5)
    colours = [(0, 0, 200) if i % 2 else (100, 0, 0) for i in range(12)]
    half = [flat_photo(photo.name, rgb, cameras) for photo, rgb in zip(on.photos, colours, strict=True)]
    rgb = begin(RandomBox(2000, radius=0.1), replace(on, photos=half)).rgb * 255
    torch.testing.assert_close(rgb, torch.tensor([50.0, 0, 100]).expand(2000, 3), rtol=1e-5, atol=1e-3)
    unseen = begin(RandomBox(500, radius=50.0), on)
    grey = views(unseen, cameras) == 0
    assert grey.any()
    torch.testing.assert_close(unseen.rgb[grey], torch.full((int(grey.sum()), 3), 0.5))


def test_what_masks_ignore_colours_nothing() -> None:
    cameras = ring(12)
    on = capture(cameras)

    def half(photo: Photo) -> Picture:
        """Blue and ignored on the left."""
        rgb, mask = photo.decode().rgb.copy(), np.full((photo.height, photo.width), 255, np.uint8)
        rgb[:, : photo.width // 2], mask[:, : photo.width // 2] = (0, 0, 255), 0
        return Picture(rgb, mask)

    masked = replace(on, photos=[replace(photo, decode=partial(half, photo)) for photo in on.photos])
    rgb = begin(RandomBox(500, radius=0.1), masked).rgb
    orange = torch.tensor([255.0, 128, 0]) / 255
    torch.testing.assert_close(rgb, orange.expand(500, 3), rtol=1e-5, atol=1e-5)


def test_nothing_starts_where_masks_keep_no_pixel() -> None:
    on = capture(ring(3))

    def ignored(photo: Photo) -> Picture:
        return Picture(photo.decode().rgb, np.zeros((photo.height, photo.width), np.uint8))

    def ones(photo: Photo) -> np.ndarray:
        return np.ones((photo.height, photo.width), np.float32)

    deep = [replace(photo, depth=partial(ones, photo)) for photo in on.photos]
    one = [replace(deep[0], decode=partial(ignored, deep[0])), *deep[1:]]
    assert len(begin(PixelStart(300), replace(on, photos=one))) > 0
    masked = [replace(photo, decode=partial(ignored, photo)) for photo in deep]
    with pytest.raises(InputError, match="mask"):
        begin(PixelStart(300), replace(on, photos=masked))


def test_the_cube_of_the_paper() -> None:
    cameras = ring(12)
    gaussians = begin(RandomBox(4000, radius=3.0), capture(cameras))
    reach = 3 * (cameras.centers - cameras.centers.mean(0)).norm(dim=-1).max()
    offset = (gaussians.means - cameras.centers.mean(0)) / reach
    assert 0.99 < offset.abs().max() <= 1
    torch.testing.assert_close(offset.square().mean(0), torch.full((3,), 1 / 3), rtol=0.06, atol=0)


@pytest.mark.parametrize("radius", [None, 3.0])
def test_random_starts_follow_the_seed(radius: float | None) -> None:
    on = capture()
    a, b, c = (begin(RandomBox(200, radius=radius), on, seed) for seed in (1, 1, 2))
    assert torch.equal(a.means, b.means) and not torch.equal(a.means, c.means)


@pytest.mark.parametrize("count", [1, 2])
def test_few_cameras_and_cameras_in_one_place(count: int) -> None:
    cameras = looking_at(torch.tensor([[0.0, 0, -4]]).repeat(count, 1), torch.zeros(3))
    for radius in (None, 3.0):
        assert len(begin(RandomBox(100, radius=radius), capture(cameras))) == 100


def test_distance_is_where_viewing_axes_meet() -> None:
    torch.testing.assert_close(viewing_distances(ring(12)), ring(12).centers.double().norm(dim=-1))
    centers = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    parallel = replace(ring(3), viewmats=torch.eye(4).repeat(3, 1, 1))
    parallel.viewmats[:, :3, 3] = -centers
    assert viewing_distances(parallel).tolist() == [3.0] * 3
    outwards = ring(8)
    outwards.viewmats[:, [0, 2]] *= -1
    assert viewing_distances(outwards).tolist() == pytest.approx([12.0] * 8, rel=0.01)


def test_points_where_there_are_enough_random_where_not() -> None:
    enough, few = points_at(cloud(100)), points_at(cloud(99))
    assert len(begin(PointsOrRandom(random=500), capture(points=enough))) == 100
    for points in (few, None):
        random = begin(PointsOrRandom(opacity=0.5, scale=0.1, random=500), capture(points=points))
        assert len(random) == 500
        torch.testing.assert_close(random.opacities, torch.full((500,), 0.5))


@dataclass(frozen=True)
class Echo:
    """In the place of a process: what it is asked about is what it finds, and it is sure of all."""

    def __call__(self, known: Tensor, values: Tensor, asked: Tensor) -> Prediction:
        mean = torch.cat([asked, torch.full_like(asked, 0.5)], -1)
        return Prediction(mean, torch.zeros_like(mean))


def test_processes_put_nothing_where_a_mask_ignores_the_photo() -> None:
    cameras = ring(3)
    width, height = int(cameras.width[0]), int(cameras.height[0])
    masked = np.zeros((height, width), np.uint8)
    masked[:, : width // 2] = 255
    known = replace(points_at(cloud(60)), track_point=torch.arange(60), track_photo=torch.zeros(60).long())
    on = capture(cameras, known)
    picture = on.photos[0].decode()
    start = GpStart(photos=1, process=Echo())  # type: ignore[arg-type]
    for mask, share in ((masked, 0.5), (np.zeros_like(masked), 0.0)):
        on.photos[0] = replace(on.photos[0], decode=partial(Picture, picture.rgb, mask))
        added = begin(start, on).means[60:]
        assert (added[:, 0] < 0.5).all() and bool(len(added)) == bool(share)
