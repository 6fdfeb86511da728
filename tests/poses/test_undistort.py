"""Undistortion against OpenCV's and pycolmap's own projections."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pycolmap
import pytest
import torch

from firstlight.errors import InputError
from firstlight.poses import undistort
from firstlight.poses._lens import Lens
from firstlight.poses._panorama import equirectangular_pixels
from firstlight.poses._undistort import lenses_of, pinhole_for
from firstlight.scene import Cameras, Capture, Photo, Picture, Points

RATIONAL = (-0.21, 0.06, 0.0011, -0.0007, -0.004, 0.02, -0.003, 0.0004)
FISHEYE = (-0.02, 0.006, -0.002, 0.0003, 0.0, 0.0, 0.0, 0.0)


def lens(model="pinhole", distortion=RATIONAL, f=300.0, width=400, height=300) -> Lens:
    return Lens(model, f, 1.01 * f, 0.48 * width, 0.53 * height, distortion, width, height)


def directions(count: int = 500, reach: float = 0.6) -> Any:
    return np.random.default_rng(0).uniform(-reach, reach, (2, count))


def cv_matrix(one: Lens) -> Any:
    return np.array([[one.fx, 0, one.cx], [0, one.fy, one.cy], [0, 0, 1.0]])


def test_rational_lens_projects_as_opencv_does():
    one = lens()
    x, y = directions()
    rays = np.stack([x, y, np.ones_like(x)], -1)
    k1, k2, p1, p2, k3, k4, k5, k6 = RATIONAL
    wanted, _ = cv2.projectPoints(
        rays, np.zeros(3), np.zeros(3), cv_matrix(one), np.array([k1, k2, p1, p2, k3, k4, k5, k6])
    )
    np.testing.assert_allclose(one.project(x, y)[0], wanted[:, 0], atol=1e-9)


def test_fisheye_lens_projects_as_opencv_does():
    one = lens("fisheye", FISHEYE)
    x, y = directions(reach=3.0)
    rays = np.stack([x, y, np.ones_like(x)], -1)[:, None]
    wanted, _ = cv2.fisheye.projectPoints(
        rays, np.zeros(3), np.zeros(3), cv_matrix(one), np.array(FISHEYE[:4])
    )
    np.testing.assert_allclose(one.project(x, y)[0], wanted[:, 0], atol=1e-9)


@pytest.mark.parametrize(
    ("model", "name", "distortion"),
    [("pinhole", "FULL_OPENCV", RATIONAL), ("fisheye", "OPENCV_FISHEYE", FISHEYE)],
)
def test_lenses_project_as_colmap_does(model, name, distortion):
    one = lens(model, distortion)
    used = 8 if model == "pinhole" else 4
    camera = pycolmap.Camera(
        model=name,
        width=one.width,
        height=one.height,
        params=[one.fx, one.fy, one.cx, one.cy, *distortion[:used]],
    )
    x, y = directions()
    wanted = camera.img_from_cam(np.stack([x, y, np.ones_like(x)], -1))
    np.testing.assert_allclose(one.project(x, y)[0], wanted, atol=1e-6)


def test_a_polynomial_that_folds_back_is_not_believed_beyond_the_fold():
    one = lens(distortion=(-0.4, 0, 0, 0, 0, 0, 0, 0))
    fold = 1 / np.sqrt(3 * 0.4)  # where d/dr (r − 0.4 r³) = 0
    x = np.array([0.98 * fold, 1.02 * fold])
    assert one.project(x, np.zeros(2))[1].tolist() == [True, False]


def checks(width: int, height: int, cells: int = 12) -> Any:
    """A smooth pattern that is different everywhere, so that a shift by a pixel shows."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    waves = [
        np.sin(x * cells / width * 2 + y / 37),
        np.cos(y * cells / height * 2 - x / 53),
        np.sin((x + y) / 29),
    ]
    return np.rint(127.5 + 110 * np.stack(waves, -1)).astype(np.uint8)


def capture_of(one: Lens, count=1, mask=None, depth=None) -> Capture:
    rgb = checks(one.width, one.height)
    photos = [
        Photo(f"{i}.jpg", one.width, one.height, lambda: Picture(rgb, mask), focal=one.fx, depth=depth)
        for i in range(count)
    ]
    K = torch.from_numpy(cv_matrix(one)).float()
    cameras = Cameras(
        torch.eye(4).repeat(count, 1, 1),
        K.repeat(count, 1, 1),
        torch.full((count,), one.width),
        torch.full((count,), one.height),
        one.model,
        torch.tensor(one.distortion).repeat(count, 1),
    )
    return Capture(photos, "test", cameras)


@pytest.mark.parametrize(
    ("model", "distortion"), [("pinhole", RATIONAL), ("fisheye", FISHEYE), ("pinhole", (0.15,) + (0.0,) * 7)]
)
def test_the_warped_photo_shows_at_each_pixel_what_the_photo_showed_there(model, distortion):
    one = lens(model, distortion)
    plain = undistort(capture_of(one))
    assert plain.cameras is not None and plain.cameras.undistorted
    pinhole = lenses_of(plain.cameras)[0]
    picture, photo = plain.photos[0].decode(), checks(one.width, one.height)
    assert picture.rgb.shape == photo.shape and picture.mask is None
    # Directions that both pictures see well inside, projected by OpenCV, not by the code under test.
    x, y = directions(2000, reach=0.45)
    rays = np.stack([x, y, np.ones_like(x)], -1)
    zero, project = np.zeros(3), cv2.projectPoints
    new, _ = project(rays, zero, zero, cv_matrix(pinhole), np.zeros(4))
    if model == "fisheye":
        old, _ = cv2.fisheye.projectPoints(
            rays[:, None], zero, zero, cv_matrix(one), np.array(distortion[:4])
        )
    else:
        old, _ = project(rays, zero, zero, cv_matrix(one), np.array(distortion))
    new, old = new[:, 0] - 0.5, old[:, 0] - 0.5
    inside = ((new > 3) & (new < one.size - 4) & (old > 3) & (old < one.size - 4)).all(-1)
    assert inside.sum() > 500

    def look(image: Any, at: Any) -> Any:
        x, y = at[inside].astype(np.float32)[:, :1], at[inside].astype(np.float32)[:, 1:]
        return cv2.remap(image, x, y, cv2.INTER_LINEAR)[:, 0].astype(float)

    difference = np.abs(look(picture.rgb, new) - look(photo, old)).mean()
    shifted = np.abs(look(picture.rgb, new + 0.5) - look(photo, old)).mean()
    assert difference < 1.0 and shifted > 2 * difference


def test_no_border_is_left_without_source_and_none_is_wasted():
    one = lens()
    pinhole = pinhole_for(one)

    def border_of(scale: float) -> Any:
        u, v = np.meshgrid(np.linspace(0.5, 399.5, 400), np.linspace(0.5, 299.5, 300))
        edge = np.ones_like(u, bool)
        edge[1:-1, 1:-1] = False
        x, y = (u[edge] - one.cx) / (scale * pinhole.fx), (v[edge] - one.cy) / (scale * pinhole.fy)
        rays = np.stack([x, y, np.ones_like(x)], -1)
        return cv2.projectPoints(rays, np.zeros(3), np.zeros(3), cv_matrix(one), np.array(RATIONAL))[0][:, 0]

    assert ((border_of(1.0) >= -1e-6) & (border_of(1.0) <= one.size + 1e-6)).all()
    assert ((border_of(0.99) < 0) | (border_of(0.99) > one.size)).any()


def test_a_wide_fisheye_keeps_to_120_degrees_and_photos_keep_their_masks():
    one = lens("fisheye", (0.0,) * 8, f=120.0)
    mask = np.full((300, 400), 255, np.uint8)
    mask[:, :200] = 0
    plain = undistort(capture_of(one, mask=mask))
    assert plain.cameras is not None
    pinhole = lenses_of(plain.cameras)[0]
    reach = max(
        np.hypot((x - pinhole.cx) / pinhole.fx, (y - pinhole.cy) / pinhole.fy)
        for x in (0.5, 399.5)
        for y in (0.5, 299.5)
    )
    assert np.rad2deg(np.arctan(reach)) == pytest.approx(60, abs=0.01)
    kept = plain.photos[0].decode().mask
    assert kept is not None and 0.4 < (kept > 0).mean() < 0.6 and not kept[:, :150].any()


def test_pixels_without_source_are_masked():
    # The lens looks past its own left edge: no focal length fills that side of the new picture.
    one = Lens("pinhole", 300.0, 300.0, -40.0, 150.0, (0.3,) + (0.0,) * 7, 400, 300)
    mask = undistort(capture_of(one)).photos[0].decode().mask
    assert mask is not None
    assert not mask[150, 0] and mask[150, 200]


def test_depth_moves_with_the_pixels():
    one = lens()
    depth = checks(400, 300)[..., 0].astype(np.float32) + 1
    plain = undistort(capture_of(one, depth=lambda: depth))
    warped = plain.photos[0].depth
    assert warped is not None
    np.testing.assert_allclose(
        warped()[20:-20, 20:-20], plain.photos[0].decode().rgb[20:-20, 20:-20, 0] + 1.0, atol=12
    )


def test_what_is_undistorted_already_passes_through():
    capture = capture_of(lens(distortion=(0.0,) * 8))
    assert undistort(capture) is capture


def test_a_straight_lens_among_bent_ones_keeps_its_photo():
    capture = capture_of(lens(), count=2)
    assert capture.cameras is not None and capture.cameras.distortion is not None
    capture.cameras.distortion[1] = 0
    plain = undistort(capture)
    assert plain.photos[1] is capture.photos[1] and plain.photos[0] is not capture.photos[0]


def test_orthographic_cameras_are_refused():
    capture = capture_of(lens())
    assert capture.cameras is not None
    capture.cameras.model = "orthographic"
    with pytest.raises(InputError, match="rthographic"):
        undistort(capture)


def sphere_pattern(rays: Any) -> Any:
    """A colour for each direction [..., 3]."""
    x, y, z = np.moveaxis(rays / np.linalg.norm(rays, axis=-1, keepdims=True), -1, 0)
    return np.rint(127.5 + 100 * np.stack([np.sin(4 * x + y), np.cos(5 * y - z), np.sin(4 * z + 2 * x)], -1))


@pytest.fixture
def panorama() -> Capture:
    width, height = 640, 320
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    longitude, latitude = (x / width - 0.5) * 2 * np.pi, (y / height - 0.5) * np.pi
    rays = np.stack(
        [np.cos(latitude) * np.sin(longitude), np.sin(latitude), np.cos(latitude) * np.cos(longitude)], -1
    )
    rgb = sphere_pattern(rays).astype(np.uint8)
    photos = [Photo(f"p{i}.jpg", width, height, lambda: Picture(rgb), panorama=True) for i in range(2)]
    viewmats = torch.eye(4).repeat(2, 1, 1)
    turn = pycolmap.Rotation3d(np.array([0.3, -0.4, 0.2])).matrix()
    viewmats[1, :3, :3] = torch.from_numpy(turn)
    viewmats[1, :3, 3] = torch.tensor([0.2, -0.1, 0.4])
    size = torch.full((2,), width), torch.full((2,), height)
    cameras = Cameras(viewmats, torch.eye(3).repeat(2, 1, 1), *size, "equirectangular")
    xyz = torch.from_numpy(np.random.default_rng(1).normal(0, 3, (200, 3)))
    track = torch.arange(200).repeat(2), torch.arange(2).repeat_interleave(200)
    points = Points(xyz, torch.zeros(200, 3, dtype=torch.uint8), torch.zeros(200), *track)
    return Capture(photos, "test", cameras, points, test_names=frozenset({"p1.jpg"}))


def test_panorama_pixels_are_colmaps():
    rays = np.random.default_rng(0).normal(size=(100, 3))
    camera = pycolmap.Camera.create_from_model_name(1, "EQUIRECTANGULAR", 1.0, 640, 320)
    np.testing.assert_allclose(equirectangular_pixels(rays, 640, 320), camera.img_from_cam(rays), atol=1e-6)


def test_faces_show_the_sphere(panorama):
    faces = undistort(panorama)
    assert len(faces) == 12 and faces.cameras is not None and faces.cameras.undistorted
    for i in range(6):  # those of the first, whose axes are the world's
        K, viewmat = faces.cameras.Ks[i].numpy(), faces.cameras.viewmats[i].numpy()
        size = int(faces.cameras.width[i])
        column, row = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
        rays = np.stack([column, row, np.ones_like(row)], -1) @ np.linalg.inv(K).T @ viewmat[:3, :3]
        picture = faces.photos[i].decode()
        assert picture.rgb.shape == (size, size, 3)
        assert np.abs(picture.rgb - sphere_pattern(rays)).max() <= 3


def test_faces_cover_the_sphere_once_and_carry_the_tracks(panorama):
    faces = undistort(panorama)
    assert faces.cameras is not None and faces.points is not None
    cameras, points = faces.cameras, faces.points
    assert torch.equal(points.track_photo // 6, torch.arange(2).repeat_interleave(200))
    local = (
        cameras.rotations[points.track_photo].double() @ points.xyz[points.track_point][..., None]
    ).squeeze(-1) + cameras.viewmats[points.track_photo, :3, 3].double()
    pixel = (cameras.Ks[points.track_photo].double() @ local[..., None]).squeeze(-1)
    pixel = pixel[:, :2] / pixel[:, 2:]
    size = cameras.width[points.track_photo, None]
    assert (local[:, 2] > 0).all() and (pixel > -1e-3).all() and (pixel < size + 1e-3).all()


def test_faces_of_one_panorama_are_held_out_together(panorama):
    faces = undistort(panorama)
    split = faces.split()
    assert {faces.photos[i].group for i in split.test} == {"p1.jpg"} and len(split.test) == 6
    assert faces.photos[0].name == "p0.jpg/front.jpg" and not faces.photos[0].panorama
