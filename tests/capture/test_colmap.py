"""pycolmap reconstructions as Cameras and Points."""

from __future__ import annotations

import cv2
import numpy as np
import pycolmap
import pytest
import torch

from firstlight.capture import read_reconstruction
from firstlight.errors import InputError
from firstlight.scene import Cameras
from tests.capture.made import look_at, random_rotation, reconstruction

NAMES = ["b.jpg", "a.jpg", "c/d.jpg"]
PINHOLE = {
    "SIMPLE_PINHOLE": [], "PINHOLE": [], "SIMPLE_RADIAL": [0.05], "RADIAL": [0.05, -0.02],
    "OPENCV": [0.05, -0.02, 0.003, -0.004],
    "FULL_OPENCV": [0.05, -0.02, 0.003, -0.004, 0.01, 0.02, -0.01, 0.005],
}  # fmt: skip
FISHEYE = {
    "SIMPLE_FISHEYE": [], "FISHEYE": [], "SIMPLE_RADIAL_FISHEYE": [0.05], "RADIAL_FISHEYE": [0.05, -0.02],
    "OPENCV_FISHEYE": [0.05, -0.02, 0.01, -0.004],
}  # fmt: skip


def parameters(model: str, extra: list[float]) -> list[float]:
    focal = [50.0] if "SIMPLE" in model or model.startswith("RADIAL") else [50.0, 55.0]
    return [*focal, 29.0, 21.0, *extra]


def project(cameras: Cameras, camera: int, xyz: np.ndarray) -> np.ndarray:
    """OpenCV's projection, which knows nothing of COLMAP: [P, 3] → [P, 2]."""
    view = cameras.viewmats[camera].double().numpy()
    K = cameras.Ks[camera].double().numpy()
    lens = np.zeros(8) if cameras.distortion is None else cameras.distortion[camera].double().numpy()
    turn, shift = cv2.Rodrigues(view[:3, :3])[0], view[:3, 3]
    if cameras.model == "fisheye":
        return np.asarray(cv2.fisheye.projectPoints(xyz[:, None], turn, shift, K, lens[:4])[0][:, 0])
    return np.asarray(cv2.projectPoints(xyz, turn, shift, K, lens)[0][:, 0])


@pytest.mark.parametrize(("model", "extra"), [*PINHOLE.items(), *FISHEYE.items()])
def test_every_lens_projects_as_opencv_does(model, extra):
    made = reconstruction(NAMES, model, parameters(model, extra))
    cameras, points = read_reconstruction(made, NAMES)
    assert cameras.model == ("fisheye" if model in FISHEYE else "pinhole")
    assert (cameras.distortion is None) == (not extra)
    assert cameras.width.tolist() == [60] * 3 and cameras.height.tolist() == [40] * 3
    xyz = np.array([made.points3D[i].xyz for i in sorted(made.point3D_ids())])
    np.testing.assert_allclose(points.xyz.numpy(), xyz)
    for row, name in enumerate(NAMES):
        seen = np.array([point.xy for point in made.find_image_with_name(name).points2D])
        np.testing.assert_allclose(project(cameras, row, xyz), seen, atol=1e-3)


def test_the_order_is_that_of_the_names():
    made = reconstruction(NAMES)
    for names in (NAMES, NAMES[::-1], ["c/d.jpg"]):
        cameras, points = read_reconstruction(made, names)
        for row, name in enumerate(names):
            matrix = made.find_image_with_name(name).cam_from_world().matrix()
            np.testing.assert_allclose(cameras.viewmats[row, :3].numpy(), matrix, atol=1e-6)
        assert sorted(set(points.track_photo.tolist())) == list(range(len(names)))
        assert len(points.track_point) == len(points) * len(names)


def test_names_that_are_not_registered():
    made = reconstruction(NAMES)
    image = made.find_image_with_name("a.jpg")
    made.deregister_frame(image.frame_id)
    with pytest.raises(ValueError, match=r"not registered in the reconstruction: a\.jpg"):
        read_reconstruction(made, NAMES)


def test_equirectangular():
    made = pycolmap.Reconstruction()
    made.add_camera_with_trivial_rig(
        pycolmap.Camera(camera_id=1, model="EQUIRECTANGULAR", width=100, height=50, params=[100, 50])
    )
    image = pycolmap.Image("a.jpg", camera_id=1, image_id=1)
    made.add_image_with_trivial_frame(image, pycolmap.Rigid3d(look_at(np.array([3.0, 0, 0]))))
    cameras, points = read_reconstruction(made, ["a.jpg"])
    assert cameras.model == "equirectangular" and cameras.distortion is None
    assert cameras.width.tolist() == [100] and len(points) == 0


def two_cameras(first: str, second: str) -> pycolmap.Reconstruction:
    made = pycolmap.Reconstruction()
    for i, model in enumerate((first, second), 1):
        camera = pycolmap.Camera.create_from_model_name(i, model, 50.0, 60, 40)
        made.add_camera_with_trivial_rig(camera)
        image = pycolmap.Image(f"{i}.jpg", camera_id=i, image_id=i)
        made.add_image_with_trivial_frame(image, pycolmap.Rigid3d(look_at(np.array([3.0, i, 0]))))
    return made


def test_pinhole_lenses_of_several_kinds_go_together():
    cameras, _ = read_reconstruction(two_cameras("PINHOLE", "OPENCV"), ["1.jpg", "2.jpg"])
    assert cameras.model == "pinhole" and len(cameras) == 2


def test_pinhole_and_fisheye_do_not():
    made = two_cameras("PINHOLE", "OPENCV_FISHEYE")
    with pytest.raises(InputError, match="mixes fisheye and pinhole"):
        read_reconstruction(made, ["1.jpg", "2.jpg"])
    assert len(read_reconstruction(made, ["2.jpg"])[0]) == 1


@pytest.mark.parametrize("model", ["FOV", "THIN_PRISM_FISHEYE", "EUCM", "DIVISION"])
def test_other_models_are_named(model):
    with pytest.raises(InputError, match=f"model {model}, which is not supported.*image_undistorter"):
        read_reconstruction(two_cameras("PINHOLE", model), ["2.jpg"])


@pytest.mark.parametrize(
    "params", [[float("nan"), 50, 30, 20], [-50, 50, 30, 20], [50, 50, float("inf"), 20]]
)
def test_lenses_that_do_not_exist(params):
    made = two_cameras("PINHOLE", "PINHOLE")
    made.camera(1).params = params
    with pytest.raises(InputError, match="Camera 1 of the model has parameters that no lens has"):
        read_reconstruction(made, ["1.jpg"])


def test_points_keep_what_is_known_of_them():
    made = reconstruction(NAMES)
    ids = sorted(made.point3D_ids())
    made.point3D(ids[0]).error = 0.25
    made.point3D(ids[1]).xyz = np.array([np.nan, 0, 0])
    made.add_point3D(np.array([1.0, 2, 3]), pycolmap.Track(), np.array([1, 2, 3], np.uint8))
    _, points = read_reconstruction(made, ["a.jpg", "c/d.jpg"])
    assert len(points) == len(ids)  # one lost to the NaN, one without a track gained
    assert points.error[0] == 0.25 and torch.isnan(points.error[1:]).all()
    assert points.rgb[-1].tolist() == [1, 2, 3] and points.rgb.dtype == torch.uint8
    assert points.xyz.dtype == torch.float64 and torch.isfinite(points.xyz).all()
    assert not (points.track_point == len(points) - 1).any()


def test_points_that_other_photos_saw_are_left_out():
    made = reconstruction([*NAMES, "e.jpg"])
    for name in ("a.jpg", "c/d.jpg"):  # the first point stays with the two others
        made.delete_observation(made.find_image_with_name(name).image_id, 0)
    assert made.num_points3D() == 12
    _, points = read_reconstruction(made, ["a.jpg", "c/d.jpg"])
    assert len(points) == 11
    assert (points.track_point.bincount() == 2).all()


def test_rigs_place_their_sensors():
    """Two cameras fixed to each other: the second's pose is the rig's, moved by the sensor's."""
    rng = np.random.default_rng(1)
    made = pycolmap.Reconstruction()
    for i in (1, 2):
        made.add_camera(pycolmap.Camera.create_from_model_name(i, "PINHOLE", 50.0, 60, 40))
    second_from_rig = np.concatenate([random_rotation(rng), rng.normal(size=(3, 1))], 1)
    rig = pycolmap.Rig(rig_id=1)
    rig.add_ref_sensor(made.camera(1).sensor_id)
    rig.add_sensor(made.camera(2).sensor_id, pycolmap.Rigid3d(second_from_rig))
    made.add_rig(rig)
    rig_from_world = look_at(np.array([3.0, 1, 1]))
    frame = pycolmap.Frame(frame_id=1, rig_id=1)
    images = [pycolmap.Image(f"{i}.jpg", camera_id=i, image_id=i) for i in (1, 2)]
    for image in images:
        frame.add_data_id(image.data_id)
    frame.rig_from_world = pycolmap.Rigid3d(rig_from_world)
    made.add_frame(frame)
    for image in images:
        image.frame_id = 1
        made.add_image(image)
    made.register_frame(1)
    cameras, _ = read_reconstruction(made, ["1.jpg", "2.jpg"])
    whole = [np.vstack([m, [0, 0, 0, 1]]) for m in (rig_from_world, second_from_rig)]
    np.testing.assert_allclose(cameras.viewmats[0].numpy(), whole[0], atol=1e-6)
    np.testing.assert_allclose(cameras.viewmats[1].numpy(), whole[1] @ whole[0], atol=1e-6)
