from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from firstlight.errors import InputError
from firstlight.view.frame import Viewpoint
from firstlight.view.links import look_from, read_view

VIEW = Viewpoint(np.array([1.5, -2, 3e-4]), np.array([0.0, 0, 5]), np.array([0.0, -1, 0]), 1.0, 0.8)


@pytest.mark.parametrize(
    "wrap", ["{}", "file:///somewhere/page.html#view={}", "http://127.0.0.1:8080/#a=1&view={}&b"]
)
def test_text_and_links_are_read(wrap: str) -> None:
    view = read_view(wrap.format(f"1.5,-2,3e-4,0,0,5,0,-1,0,{math.degrees(0.8)}"))
    np.testing.assert_allclose(view.position, VIEW.position, rtol=1e-6)
    np.testing.assert_allclose(view.target, VIEW.target, rtol=1e-6)
    np.testing.assert_allclose(view.up, VIEW.up, rtol=1e-6)
    assert view.fov_y == pytest.approx(0.8)


@pytest.mark.parametrize(
    "text",
    [
        "", "1,2,3", "a,b,c,d,e,f,g,h,i,j", "0,0,0,0,0,0,0,-1,0,60", "0,0,0,0,0,1,0,0,0,60",
        "0,0,0,0,0,1,0,-1,0,180", "0,0,0,0,0,1,0,-1,0,0", "nan,0,0,0,0,1,0,-1,0,60",
        "1e300,0,0,0,0,1,0,-1,0,60", "0,0,0,0,0,1,0,1e-300,0,60", "1,2,3,4,5,6,7,8,9,60,7",
    ],
)  # fmt: skip
def test_what_is_no_view(text: str) -> None:
    with pytest.raises(InputError, match="Copy view"):
        read_view(text)


def test_camera_looks_at_the_target_with_up_above() -> None:
    camera = look_from(VIEW, 640, 480)
    seen = camera.viewmats[0].double() @ torch.tensor([*VIEW.target, 1.0]).double()
    np.testing.assert_allclose(seen[:2], 0, atol=1e-6)
    assert seen[2] == pytest.approx(float(np.linalg.norm(VIEW.target - VIEW.position)), rel=1e-6)
    assert camera.rotations[0, 1] @ torch.tensor(VIEW.up).float() < 0  # up is against the picture's y
    assert torch.linalg.det(camera.rotations[0]) == pytest.approx(1)
    assert 2 * math.atan(240 / camera.Ks[0, 1, 1].item()) == pytest.approx(VIEW.fov_y)


def test_straight_down_is_a_view_too() -> None:
    down = Viewpoint(np.zeros(3), np.array([0.0, 1, 0]), np.array([0.0, -1, 0]), 1, 1)
    assert look_from(down, 8, 8).viewmats.isfinite().all()
