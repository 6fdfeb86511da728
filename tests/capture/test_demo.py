"""The built-in capture: what is in it, and that pictures, cameras and depths belong together."""

from importlib.resources import files

import cv2
import numpy as np
import pytest
import torch

from firstlight.capture import load_demo, load_demo_path
from firstlight.scene import Cameras, Capture


@pytest.fixture(scope="module")
def demo() -> Capture:
    return load_demo(with_cameras=True)


def test_photos_without_cameras_are_only_photos() -> None:
    capture = load_demo()
    assert len(capture) == 24
    assert capture.cameras is None and capture.points is None
    assert all(photo.depth is None and photo.focal is None for photo in capture.photos)


def test_decoded_sizes_are_the_promised_ones(demo: Capture) -> None:
    for capture, count in ((demo, 24), (load_demo_path(), 8)):
        assert len(capture) == count
        for photo in capture.photos:
            rgb = photo.decode().rgb
            assert rgb.shape == (photo.height, photo.width, 3) == (360, 480, 3)
            assert rgb.dtype == np.uint8 and rgb.std() > 25
    depth = demo.photos[0].depth
    assert depth is not None and depth().shape == (360, 480) and depth().dtype == np.float32


def test_photos_and_path_never_share_a_name_or_a_place(demo: Capture) -> None:
    path = load_demo_path()
    assert not {p.name for p in demo.photos} & {p.name for p in path.photos}
    assert demo.cameras is not None and path.cameras is not None
    assert torch.cdist(demo.cameras.centers, path.cameras.centers).min() > 0.03


def test_package_data_stays_small() -> None:
    room = files("firstlight.capture") / "demo"
    folders = [room, *(room / name for name in ("photos", "path", "depth"))]
    sizes = [len(f.read_bytes()) for folder in folders for f in folder.iterdir() if f.is_file()]
    assert len(sizes) == 2 + 24 + 8 + 24
    assert sum(sizes) < 1_500_000


def test_cameras_are_rigid_and_look_at_the_table(demo: Capture) -> None:
    for capture in (demo, load_demo_path()):
        cameras = capture.cameras
        assert cameras is not None and cameras.undistorted
        eye = torch.eye(3).expand(len(cameras), 3, 3)
        torch.testing.assert_close(cameras.rotations @ cameras.rotations.mT, eye, atol=1e-5, rtol=0)
        assert (torch.linalg.det(cameras.rotations) > 0).all()
        table = cameras.viewmats @ torch.tensor([0.0, 0.0, 0.1, 1.0])
        pixels = (cameras.Ks @ table[:, :3, None]).squeeze(-1)
        middle = torch.tensor([240.0, 180.0])
        assert ((pixels[:, :2] / pixels[:, 2:] - middle).abs() < 60).all()


def test_depths_of_neighbours_agree_where_both_see(demo: Capture) -> None:
    errors, shares = zip(*(_depth_errors(demo, i, i + 3) for i in range(0, 21, 4)), strict=True)
    assert max(np.median(e) for e in errors) < 0.003
    # What is further off is hidden from one of the two, and most of the scene is not.
    assert min(shares) > 0.8


def test_depth_of_a_wrong_camera_does_not_agree(demo: Capture) -> None:
    assert demo.cameras is not None
    viewmats = demo.cameras.viewmats.clone()
    viewmats[3] = viewmats[9]
    wrong = Capture(
        demo.photos, "wrong", Cameras(viewmats, demo.cameras.Ks, demo.cameras.width, demo.cameras.height)
    )
    _, share = _depth_errors(wrong, 0, 3)
    assert share < 0.5


def test_colours_of_neighbours_agree_where_both_see(demo: Capture) -> None:
    """Matte surfaces look the same from everywhere; seen 6 pixels off they do not."""
    exact = _colour_error(demo, 10, 13, 0)
    assert exact < 8
    assert _colour_error(demo, 10, 13, 6) > 1.5 * exact


def _reproject(capture: Capture, source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of `source` with known depth [M, 2], where `target` has them [M, 2], their depth there [M]."""
    cameras, depth = capture.cameras, capture.photos[source].depth
    assert cameras is not None and depth is not None
    z = depth().astype(np.float64)
    K = cameras.Ks[source].double().numpy()
    down, across = np.nonzero(z)
    rays = np.stack([across + 0.5, down + 0.5, np.ones(len(down))]) * z[down, across]
    points = np.concatenate([np.linalg.inv(K) @ rays, np.ones((1, len(down)))])
    between = cameras.viewmats[target].double() @ torch.linalg.inv(cameras.viewmats[source].double())
    seen = (between.numpy() @ points)[:3]
    pixels = (K @ seen)[:2] / seen[2] - 0.5  # indices, as OpenCV's remap counts
    inside = (seen[2] > 0) & (pixels > 1).all(0) & (pixels[0] < 478) & (pixels[1] < 358)
    return np.stack([across, down], 1)[inside], pixels.T[inside], seen[2][inside]


def _depth_errors(capture: Capture, source: int, target: int) -> tuple[np.ndarray, float]:
    """Relative differences where both see the surface, and the share of pixels where they do."""
    _, there, z = _reproject(capture, source, target)
    depth = capture.photos[target].depth
    assert depth is not None
    found = _sample(depth(), there, cv2.INTER_NEAREST)
    error = np.abs(found - z)[found > 0] / z[found > 0]
    return error[error < 0.05], float((error < 0.05).mean())


def _colour_error(capture: Capture, source: int, target: int, shift: float) -> float:
    """Median difference of colours in grey levels, where both see the surface."""
    here, there, z = _reproject(capture, source, target)
    depth = capture.photos[target].depth
    assert depth is not None
    both = np.abs(_sample(depth(), there, cv2.INTER_NEAREST) - z) < 0.01 * z
    colours = capture.photos[source].decode().rgb[here[both, 1], here[both, 0]].astype(np.float64)
    other = capture.photos[target].decode().rgb.astype(np.float32)
    return float(np.median(np.abs(_sample(other, there[both] + [shift, 0], cv2.INTER_LINEAR) - colours)))


def _sample(picture: np.ndarray, pixels: np.ndarray, how: int) -> np.ndarray:
    rows = np.ascontiguousarray(pixels[:, None].astype(np.float32))
    parts = [cv2.remap(picture, rows[k : k + 30000], None, how) for k in range(0, len(rows), 30000)]
    return np.concatenate(parts)[:, 0]
