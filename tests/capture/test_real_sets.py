"""Real data sets, where this machine has them: cameras against the points that their makers saw."""

from __future__ import annotations

import numpy as np
import pycolmap
import pytest

from firstlight.capture import load
from firstlight.scene import Capture, Similarity
from tests.capture.test_colmap import project
from tests.photo_sets import photo_set

pytestmark = pytest.mark.photos


def mean_error(capture: Capture, model: pycolmap.Reconstruction) -> float:
    """Of the model's observations under the capture's cameras, in pixels, by OpenCV."""
    assert capture.cameras is not None
    errors = []
    for row, photo in enumerate(capture.photos):
        image = model.find_image_with_name(photo.name)
        seen = [point for point in image.points2D if point.has_point3D()]
        xyz = np.array([model.point3D(point.point3D_id).xyz for point in seen])
        found = project(capture.cameras, row, xyz)
        errors.append(np.linalg.norm(found - np.array([point.xy for point in seen]), axis=-1))
    return float(np.concatenate(errors).mean())


@pytest.mark.parametrize(("name", "photos"), [
    ("llff-fern", 20), ("fox", 50), ("banana", 15), ("kitchen", 25), ("fountain-p11", 11),
    ("sacre-coeur", 10),
])  # fmt: skip
def test_colmap_text_models(name, photos):
    folder = photo_set(name)
    capture = load(folder)
    assert len(capture) == photos and capture.set_aside == []
    assert mean_error(capture, pycolmap.Reconstruction(folder / "sparse")) < 1


def test_fox_transforms_agree_with_its_points():
    """OpenGL poses and lens of the transforms.json against points found by other means."""
    folder = photo_set("fox")
    capture = load(folder / "transforms.json")
    assert len(capture) == 50
    assert mean_error(capture, pycolmap.Reconstruction(folder / "sparse")) < 1


def test_binary_as_pycolmap_writes_it(tmp_path):
    folder = photo_set("llff-fern")
    (tmp_path / "sparse").mkdir()
    pycolmap.Reconstruction(folder / "sparse").write_binary(tmp_path / "sparse")
    (tmp_path / "images").symlink_to(folder / "images")
    text, binary = load(folder), load(tmp_path)
    assert binary.layout == "COLMAP project (binary model sparse)"
    assert text.cameras is not None and binary.cameras is not None
    assert text.points is not None and binary.points is not None
    np.testing.assert_allclose(binary.cameras.viewmats.numpy(), text.cameras.viewmats.numpy(), atol=1e-6)
    np.testing.assert_array_equal(binary.points.track_photo.numpy(), text.points.track_photo.numpy())


def test_panorama_models():
    folder = photo_set("pano-flat")
    colmap, nerfstudio = load(folder), load(folder / "transforms.json")
    for capture in (colmap, nerfstudio):
        assert capture.cameras is not None and capture.cameras.model == "equirectangular"
        assert len(capture) == 11 and all(photo.panorama for photo in capture.photos)
    assert colmap.cameras is not None and nerfstudio.cameras is not None
    found = Similarity.align(nerfstudio.cameras.centers, colmap.cameras.centers)
    moved = found.apply(nerfstudio.cameras.centers.double())
    assert (moved - colmap.cameras.centers).norm(dim=-1).max() < 1e-3 * colmap.cameras.extent


def test_lego():
    capture = load(photo_set("nerf-lego"))
    assert len(capture) == 42 and capture.background == (1.0, 1.0, 1.0)
    assert capture.test_names is not None and len(capture.test_names) == 8
    picture = capture.photos[0].decode()
    assert picture.mask is None and (picture.rgb[0, 0] == 255).all()
    assert capture.cameras is not None
    # The camera circles the model at 4 units and looks at it: the centre of the world is in the middle.
    ahead = capture.cameras.viewmats[:, :3, 3]
    pixel = capture.cameras.Ks @ ahead[..., None]
    assert (pixel[:, :2, 0] / pixel[:, 2:, 0] - 200).abs().max() < 30


def test_tankard_masks():
    capture = load(photo_set("tankard"))
    assert capture.posed and capture.points is not None and capture.cameras is not None
    inside = []
    for row in (0, 17):
        mask = capture.photos[row].decode().mask
        assert mask is not None and 0.02 < (mask == 255).mean() < 0.9
        seen = capture.points.track_point[capture.points.track_photo == row]
        at = project(capture.cameras, row, capture.points.xyz[seen].numpy()).astype(int)
        inside.append((mask[at[:, 1].clip(0, 767), at[:, 0].clip(0, 767)] == 255).mean())
    assert min(inside) > 0.9  # the points lie on the object, and so in its mask
