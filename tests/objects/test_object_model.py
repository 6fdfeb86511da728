"""The way from a fitted object to its pose in a new photo."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from firstlight.cli import main
from firstlight.errors import InputError
from firstlight.objects import ObjectModel, views_around
from firstlight.pipeline import fit, pose_object
from firstlight.render import render_camera
from firstlight.scene import Cameras, Gaussians, Similarity
from tests.scenes import looking_at, ring


def test_views_stand_around_the_object_where_photos_were_taken() -> None:
    cameras, middle = ring(8), torch.tensor([0.2, 0.1, -0.1])
    cloud = Gaussians.isotropic(
        middle + 0.1 * torch.randn(301, 3, generator=torch.Generator().manual_seed(0)),
        torch.zeros(301, 3),
        torch.full((301,), 0.1),
    )
    views = views_around(cloud, cameras, 60)
    assert torch.equal(views.viewmats[:8], cameras.viewmats)
    assert 20 < len(views) < 60, "none from above or below, where no photo is"
    center = cloud.means.median(0).values
    ways = torch.nn.functional.normalize(views.centers - center, dim=-1)
    assert ((ways @ ways[:8].T).amax(1) > math.cos(math.radians(36))).all()
    local = views.viewmats[8:, :3, :3] @ center + views.viewmats[8:, :3, 3]
    torch.testing.assert_close(local[:, :2], torch.zeros(len(local), 2), atol=1e-4, rtol=0)
    R = views.rotations.double()
    torch.testing.assert_close(R @ R.mT, torch.eye(3).double().expand_as(R), atol=1e-5, rtol=0)
    assert (R[8:, 1] @ cameras.rotations[:, 1].double().mean(0) > 0).all(), "held upright"


def test_few_views_that_are_near_no_photo_leave_the_photos_own() -> None:
    cameras = ring(4).select([1])
    cloud = Gaussians.isotropic(torch.zeros(3, 3), torch.zeros(3, 3), torch.full((3,), 0.1))
    for count in (0, 1):
        assert torch.equal(views_around(cloud, cameras, count).viewmats, cameras.viewmats)


def ball() -> Gaussians:
    """A ball of radius 0.5 with patches of many colours: all corners, as keypoints like them."""
    generator = torch.Generator().manual_seed(0)
    drawn = (torch.randn(count, 3, generator=generator) for count in (9000, 300))
    way, patch = (torch.nn.functional.normalize(xyz, dim=1) for xyz in drawn)
    rgb = torch.rand(300, 3, generator=generator)[(way @ patch.T).argmax(1)]
    return Gaussians.isotropic(0.5 * way, rgb, torch.full((9000,), 0.012), opacity=0.95)


def cameras(angles: list[float], radius: float = 2.0) -> Cameras:
    angle = torch.tensor(angles)
    centers = torch.stack([radius * angle.cos(), 0.3 * (3 * angle).sin(), radius * angle.sin()], -1)
    return looking_at(centers, torch.zeros(3), 240, 180)


def save(path: Path, camera: Cameras, behind: bool) -> None:
    """The ball before noise, or alone with its outline in alpha."""
    rgb, alpha, _ = render_camera(ball(), camera)
    pixels = (255 * rgb.clamp(0, 1)).round().byte().numpy()
    if behind:
        noise = np.random.default_rng(0).integers(0, 256, pixels.shape, np.uint8)
        pixels = np.where((alpha > 0.5).numpy()[..., None], pixels, noise)
        Image.fromarray(pixels).save(path)
    else:
        outline = np.where(alpha.numpy() > 0.5, 255, 0).astype(np.uint8)
        Image.fromarray(np.dstack([pixels, outline])).save(path)


@pytest.mark.parametrize("count", [1, 3])
def test_an_object_of_small_units_is_seen(count: int) -> None:
    small = replace(Similarity.identity(), scale=0.001)
    around = cameras([0.0, 2.1, 4.2][:count]).transform(small)
    model = ObjectModel(ball().transform(small), around, count=0)
    assert all(len(side.features) > 50 for side in model.sides)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of ten photos of the ball, whose scene is the ball itself instead of minutes of fitting."""
    folder = tmp_path_factory.mktemp("ball")
    placed = cameras([2 * math.pi * i / 10 for i in range(10)])
    frames = []
    for i in range(10):
        save(folder / f"{i}.png", placed.select([i]), behind=False)
        pose = np.linalg.inv(placed.viewmats[i].double().numpy()) * [1, -1, -1, 1]  # OpenGL axes
        frames.append({"file_path": f"{i}.png", "transform_matrix": pose.tolist()})
    about = {"fl_x": 240, "fl_y": 240, "cx": 120, "cy": 90, "w": 240, "h": 180, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(about))
    made = fit(folder, "sgpose", out=folder / "run", steps=2, hold_out="none")
    ball().save(made.folder / "scene.ply")
    return made.folder


def test_the_object_is_found_in_a_new_photo(run: Path, tmp_path: Path, capsys) -> None:
    true = cameras([0.9], 2.3)
    photo, answer = tmp_path / "new.png", tmp_path / "pose.json"
    save(photo, true, behind=True)
    assert main(["pose-object", str(run), str(photo), "--json", str(answer)]) == 0
    found = json.loads(answer.read_text())
    off = np.array(found["viewmat"]) - true.viewmats[0].numpy()
    assert np.abs(off[:3, :3]).max() < 0.01, "half a degree"
    assert np.abs(off[:3, 3]).max() < 0.02
    assert found["inliers"] >= 20
    assert f"{found['inliers']} of {found['matches']} matched points agree" in capsys.readouterr().out


def test_noise_is_no_object_and_other_shapes_need_a_focal_length(run: Path, tmp_path: Path) -> None:
    photo = tmp_path / "noise.png"
    noise = np.random.default_rng(1).integers(0, 256, (180, 240, 3), np.uint8)
    Image.fromarray(noise).save(photo)
    with pytest.raises(InputError, match="the object was not found in it"):
        pose_object(run, photo)
    Image.fromarray(noise[:100]).save(photo)
    with pytest.raises(InputError, match="Give --focal"):
        pose_object(run, photo)
    with pytest.raises(InputError, match="expected more than 0"):
        pose_object(run, photo, focal=-1.0)
    with pytest.raises(InputError, match="no such file"):
        pose_object(run, tmp_path / "none.png")
