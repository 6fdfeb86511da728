"""How Depth Anything 3, VGGT and MASt3R are called: their own packages, with their weights from the hub.

Written against the packages' source (depth-anything-3 0.1.1; vggt and mast3r as of 2026), and never run with
real weights. Only safetensors from the hub are read.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image

from firstlight.errors import InputError
from firstlight.geometry._multiview import Bytes, Doubles, Looked, Network

_NEAREST = 8  # photos before and after each, in their order, that MASt3R compares it with


def depth_anything_3(model: str) -> Network:
    """Lin et al. 2025: depth, certainty and cameras of any number of photos."""
    from depth_anything_3.api import DepthAnything3

    network = _loaded(DepthAnything3.from_pretrained, model).to("cpu").eval()

    def look(pictures: Bytes) -> Looked:
        # Its pictures have whole patches already; at their own size it leaves them alone.
        found = network.inference(list(pictures), process_res=max(pictures.shape[1:3]))
        return Looked(found.depth, found.conf, _square(found.extrinsics), found.intrinsics.astype(np.float64))

    return look


def vggt(model: str) -> Network:
    """Wang et al. 2025: depth, certainty and cameras of any number of photos, in the frame of the first."""
    from vggt.models.vggt import VGGT
    from vggt.utils.pose_enc import pose_encoding_to_extri_intri

    network = _loaded(VGGT.from_pretrained, model).to("cpu").eval()

    @torch.no_grad()
    def look(pictures: Bytes) -> Looked:
        pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        said = network(pixels[None])
        viewmats, Ks = pose_encoding_to_extri_intri(said["pose_enc"], pixels.shape[-2:])
        return Looked(
            _array(said["depth"][0, ..., 0]),
            _array(said["depth_conf"][0]),
            _square(_array(viewmats[0])),
            _array(Ks[0]).astype(np.float64),
        )

    return look


def mast3r(model: str) -> Network:
    """Leroy et al. 2024: pairs of photos, aligned to each other by the package's sparse global alignment."""
    from mast3r.cloud_opt.sparse_ga import sparse_global_alignment
    from mast3r.model import AsymmetricMASt3R

    import mast3r.utils.path_to_dust3r  # isort: skip  # noqa: F401  # makes the next one importable
    from dust3r.utils.image import load_images  # isort: skip

    network = _loaded(AsymmetricMASt3R.from_pretrained, model).to("cpu").eval()

    def look(pictures: Bytes) -> Looked:
        with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):  # it prints all the way
            paths = [str(Path(folder) / f"{i:05}.png") for i in range(len(pictures))]
            for path, picture in zip(paths, pictures, strict=True):
                Image.fromarray(picture).save(path)
            images = load_images(paths, size=max(pictures.shape[1:3]), square_ok=True, verbose=False)
            count = range(len(images))
            pairs = [(images[i], images[j]) for i in count for j in count if 0 < abs(i - j) <= _NEAREST]
            scene = sparse_global_alignment(paths, pairs, str(Path(folder) / "cache"), network, device="cpu")
            _, depths, certainty = scene.get_dense_pts3d(clean_depth=True)
        sure = np.stack([_array(one) for one in certainty])
        depth = np.stack([_array(one) for one in depths]).reshape(sure.shape)
        poses = np.linalg.inv(_array(scene.get_im_poses()).astype(np.float64))
        Ks = np.stack([_array(K) for K in scene.intrinsics]).astype(np.float64)
        return Looked(depth, sure, poses, Ks)

    return look


def _loaded(load: Callable[[str], Any], model: str) -> Any:
    try:
        return load(model)
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{model}: the network cannot be loaded ({reason}). It is fetched once from the Hugging "
            "Face hub; that needs a connection."
        ) from error


def _array(tensor: torch.Tensor) -> Any:
    return tensor.detach().float().numpy()


def _square(viewmats: Any) -> Doubles:
    """Matrices [N, 3 or 4, 4] with the row 0 0 0 1."""
    whole = np.tile(np.eye(4), (len(viewmats), 1, 1))
    whole[:, :3] = viewmats[:, :3]
    return whole
