"""Networks that see all photos at once, through stand-ins for their packages.

None of the three packages can be a dependency of these tests (Depth Anything 3 wants an old NumPy and Open3D,
VGGT and MASt3R are not on PyPI), and no weights could be fetched. The stand-ins have the signatures of the
packages' source, are saved and loaded by the hub's real ``from_pretrained``, and give the demo's true
depth and cameras in a unit of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from firstlight.errors import InputError
from firstlight.geometry import PROVIDERS, MultiView, find_geometry, get_provider
from firstlight.geometry import _packages as packages
from firstlight.geometry._multiview import framed
from firstlight.progress import Silent
from tests.geometry.demo import three, without_depth

hub = pytest.importorskip("huggingface_hub")
UNIT = 0.37  # of the networks, in units of the scene
SIDE = 160  # of the demo's photos here: 160 × 120


@dataclass
class Truth:
    """What the stand-ins say: N views of H × W pixels."""

    depth: np.ndarray
    viewmats: np.ndarray
    Ks: np.ndarray


def truth(patch: int) -> Truth:
    """Of the three photos, in pictures as ``framed`` makes them."""
    capture = three()
    assert capture.cameras is not None
    frames = framed([photo.decode().rgb for photo in capture.photos], SIDE, patch)
    height, width = frames.pictures.shape[1:3]
    rows, columns = (np.arange(n) * m // n for n, m in ((height, 120), (width, 160)))
    depths = [photo.depth() for photo in capture.photos if photo.depth is not None]
    depth = np.stack([one[rows][:, columns] for one in depths]) / UNIT
    viewmats = capture.cameras.viewmats.numpy().copy()
    viewmats[:, :3, 3] /= UNIT
    Ks = capture.cameras.Ks.numpy().copy()
    Ks[:, 0] *= width / 160
    Ks[:, 1] *= height / 120
    return Truth(depth.astype(np.float32), viewmats, Ks)


class Tiny(torch.nn.Module, hub.PyTorchModelHubMixin):  # type: ignore[misc,name-defined]
    """What the three have in common: one weight, so that there is something to save."""

    says: Truth

    def __init__(self, size: int = 1) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(size))


@dataclass
class Prediction:
    depth: np.ndarray
    is_metric: int
    conf: np.ndarray | None = None
    extrinsics: np.ndarray | None = None
    intrinsics: np.ndarray | None = None


class DepthAnything3(Tiny):
    def inference(
        self, image: list[Any], extrinsics: Any = None, intrinsics: Any = None,
        align_to_input_ext_scale: bool = True, infer_gs: bool = False, render_exts: Any = None,
        render_ixts: Any = None, render_hw: Any = None, process_res: int = 504,
        process_res_method: str = "upper_bound_resize", export_dir: str | None = None,
        export_format: str = "mini_npz", export_feat_layers: Any = None,
    ) -> Prediction:  # fmt: skip
        says = self.says
        assert [one.shape for one in image] == [(*says.depth.shape[1:], 3)] * 3
        assert process_res == max(says.depth.shape[1:]), "or it would resize them"
        conf = np.full(says.depth.shape, 4.0, np.float32)
        return Prediction(says.depth, 0, conf, says.viewmats[:, :3], says.Ks)


class VGGT(Tiny):
    def forward(self, images: torch.Tensor, query_points: torch.Tensor | None = None) -> dict[str, Any]:
        assert images.shape == (1, 3, 3, *self.says.depth.shape[1:]) and 0.5 < float(images.max()) <= 1
        depth = torch.from_numpy(self.says.depth)[None, ..., None]
        encoded = torch.arange(27.0).reshape(1, 3, 9)
        return {"pose_enc": encoded, "depth": depth, "depth_conf": 4 * torch.ones(depth.shape[:4])}


def pose_encoding_to_extri_intri(pose_encoding: torch.Tensor, image_size_hw: Any = None) -> Any:
    assert pose_encoding.shape == (1, 3, 9) and tuple(image_size_hw) == VGGT.says.depth.shape[1:]
    return torch.from_numpy(VGGT.says.viewmats[:, :3])[None], torch.from_numpy(VGGT.says.Ks)[None]


class AsymmetricMASt3R(Tiny):
    pass


def load_images(
    folder_or_list: Any, size: int, square_ok: bool = False, verbose: bool = True, patch_size: int = 16
) -> list[dict[str, Any]]:
    assert size == max(AsymmetricMASt3R.says.depth.shape[1:]) and square_ok
    shapes = [np.asarray(Image.open(path)).shape for path in folder_or_list]
    assert shapes == [(*AsymmetricMASt3R.says.depth.shape[1:], 3)] * 3
    return [{"idx": i, "instance": str(i)} for i in range(len(shapes))]


class Scene:
    intrinsics: Any

    def get_im_poses(self) -> Any:
        return torch.linalg.inv(torch.from_numpy(AsymmetricMASt3R.says.viewmats)).requires_grad_()

    def get_dense_pts3d(self, clean_depth: bool = True, subsample: int = 8) -> Any:
        depth = torch.from_numpy(AsymmetricMASt3R.says.depth)
        return None, [one.ravel() for one in depth], [4 * torch.ones_like(one) for one in depth]


def sparse_global_alignment(
    imgs: list[str], pairs_in: Any, cache_path: str, model: Any, subsample: int = 8,
    desc_conf: str = "desc_conf", device: str = "cuda", dtype: Any = torch.float32,
    shared_intrinsics: bool = False,
) -> Scene:  # fmt: skip
    assert device == "cpu" and isinstance(model, AsymmetricMASt3R) and all(map(Path, imgs))
    assert sorted((a["idx"], b["idx"]) for a, b in pairs_in) == [
        (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)
    ]  # fmt: skip
    print("progress that nobody wants to see")
    scene = Scene()
    scene.intrinsics = list(torch.from_numpy(AsymmetricMASt3R.says.Ks))
    return scene


MODULES: dict[str, dict[str, Any]] = {
    "depth_anything_3": {},
    "depth_anything_3.api": {"DepthAnything3": DepthAnything3},
    "vggt": {},
    "vggt.models": {},
    "vggt.models.vggt": {"VGGT": VGGT},
    "vggt.utils": {},
    "vggt.utils.pose_enc": {"pose_encoding_to_extri_intri": pose_encoding_to_extri_intri},
    "mast3r": {},
    "mast3r.model": {"AsymmetricMASt3R": AsymmetricMASt3R},
    "mast3r.cloud_opt": {},
    "mast3r.cloud_opt.sparse_ga": {"sparse_global_alignment": sparse_global_alignment},
    "mast3r.utils": {},
    "mast3r.utils.path_to_dust3r": {},
    "dust3r": {},
    "dust3r.utils": {},
    "dust3r.utils.image": {"load_images": load_images},
}  # fmt: skip


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, content in MODULES.items():
        module = ModuleType(name)
        module.__path__ = []
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    yield


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("load", "kind", "patch"),
    [("depth_anything_3", DepthAnything3, 14), ("vggt", VGGT, 14), ("mast3r", AsymmetricMASt3R, 16)],
)
def test_networks_give_depth_at_our_scale_and_cameras(
    load: str, kind: type[Tiny], patch: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made: Any = kind()
    made.save_pretrained(tmp_path)
    kind.says = truth(patch)
    source = MultiView(lambda: getattr(packages, load)(str(tmp_path)), SIDE, patch)
    capture = three()
    assert capture.cameras is not None
    guess = source.cameras(capture.photos, Silent())
    torch.testing.assert_close(guess.Ks, capture.cameras.Ks, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(guess.rotations, capture.cameras.rotations, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(UNIT * guess.centers, capture.cameras.centers, rtol=1e-3, atol=1e-3)
    geometry = find_geometry(without_depth(capture), source)
    assert "nobody" not in capsys.readouterr().out
    for found, photo in zip(geometry.maps, capture.photos, strict=True):
        assert photo.depth is not None
        right, known = photo.depth(), found.depth > 0
        assert known.mean() > 0.6
        off = np.abs(found.depth / np.maximum(right, 1e-9) - 1)[known & (right > 0)]
        assert np.median(off) < 0.01


@pytest.mark.usefixtures("installed")
def test_a_network_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be loaded"):
        packages.vggt(str(tmp_path / "none"))


def test_without_the_package_the_way_to_it_is_told() -> None:
    for name in ("depth-anything-3-small", "depth-anything-3-base", "vggt", "mast3r"):
        provider = PROVIDERS[name]
        assert provider.licence and isinstance(provider.make(), MultiView)
        if not provider.installed:
            with pytest.raises(InputError, match="needs the package"):
                get_provider(name)


def test_pictures_of_other_shapes_get_borders_and_lenses_come_back() -> None:
    generator = np.random.default_rng(0)
    photos = [generator.integers(0, 255, shape, np.uint8) for shape in ((90, 120, 3), (120, 90, 3))]
    frames = framed(photos, 112, 14)
    assert frames.pictures.shape == (2, 112, 112, 3) and (frames.pictures[0, :5] == 255).all()
    assert frames.boxes == [(0, 14, 112, 84), (14, 0, 84, 112)]
    K = np.array([[100.0, 0, 56], [0, 100, 56], [0, 0, 1]])
    lenses = frames.lenses(np.stack([K, K]))
    expected = np.array([[100 * 120 / 112, 0, 60], [0, 100 * 90 / 84, 45], [0, 0, 1]])
    assert np.allclose(lenses[0], expected)
    assert np.allclose(lenses[1], [[expected[1, 1], 0, 45], [0, expected[0, 0], 60], [0, 0, 1.0]])
    columns = np.tile(np.arange(112, dtype=np.float32), (2, 112, 1))
    cut = replace(frames, sizes=[(84, 112), (84, 112)]).cut(columns)
    assert cut[1].shape == (112, 84) and np.array_equal(cut[1][0], np.arange(14.0, 98.0))
