"""The way from ten masked photos to the pose of the object in another one."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from firstlight.cli import main
from firstlight.errors import InputError
from firstlight.objects import views_around
from firstlight.pipeline import fit, pose_object
from firstlight.scene import Gaussians
from tests.scenes import ring

OBJECTS = Path(__file__).parents[2] / "claims" / "objects"
BOOKS = json.loads((OBJECTS / "books" / "cameras.json").read_text())
MIDDLE = np.array([0.40, 0.15, 0.10])  # where tools/demo_scene/objects.py has the books


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


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The books, fitted from their ten photos as a user would: pictures and a transforms.json."""
    folder = tmp_path_factory.mktemp("books")
    (focal, _, cx), (_, _, cy), _ = BOOKS["K"]
    frames = []
    for row in BOOKS["train"]:
        shutil.copy(OBJECTS / "books" / row["name"], folder)
        pose = np.linalg.inv(row["viewmat"]) * [1, -1, -1, 1]  # OpenGL axes
        frames.append({"file_path": row["name"], "transform_matrix": pose.tolist()})
    about = {"fl_x": focal, "fl_y": focal, "cx": cx, "cy": cy, "w": 320, "h": 240, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(about))
    made = fit(folder, "sgpose", out=folder / "run", steps=STEPS, max_gaussians=6000, hold_out="none")
    assert made.summary["psnr"] > 20
    return made.folder


STEPS = 200


def off(viewmat: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Degrees and metres."""
    turn = viewmat[:3, :3] @ true[:3, :3].T
    apart = (viewmat - true)[:3, :3] @ MIDDLE + (viewmat - true)[:3, 3]
    return math.degrees(math.acos(min(1.0, (np.trace(turn) - 1) / 2))), float(np.linalg.norm(apart))


def test_the_object_is_found_in_a_new_photo(run: Path, tmp_path: Path, capsys) -> None:
    query = BOOKS["query"][QUERY]
    answer = tmp_path / "pose.json"
    photo = OBJECTS / "books" / query["name"]
    assert main(["pose-object", str(run), str(photo), "--json", str(answer)]) == 0
    found = json.loads(answer.read_text())
    degrees, metres = off(np.array(found["viewmat"]), np.array(query["viewmat"]))
    assert degrees < 5 and metres < 0.05
    assert f"{found['inliers']} of {found['matches']} matched points agree" in capsys.readouterr().out


QUERY = 0


def test_another_object_is_not_found(run: Path) -> None:
    with pytest.raises(InputError, match="the object was not found in it"):
        pose_object(run, OBJECTS / "bowl" / "query_00.webp")


def test_a_photo_of_another_shape_needs_its_focal_length(run: Path, tmp_path: Path) -> None:
    photo = tmp_path / "cut.png"
    Image.open(OBJECTS / "books" / BOOKS["query"][QUERY]["name"]).crop((0, 0, 320, 200)).save(photo)
    with pytest.raises(InputError, match="Give --focal"):
        pose_object(run, photo)
    with pytest.raises(InputError, match="expected more than 0"):
        pose_object(run, photo, focal=-1.0)
    with pytest.raises(InputError, match="no such file"):
        pose_object(run, tmp_path / "none.png")
