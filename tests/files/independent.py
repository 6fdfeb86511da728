"""Programs that are not ours and read splats: what they make of a file, as Gaussians.

``benchmarks/formats.py`` uses them too.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from firstlight.scene import Gaussians
from firstlight.scene.rotation import quat_multiply

# A command, for instance "npx @playcanvas/splat-transform"; its readers are used where it is named.
SPLAT_TRANSFORM = os.environ.get("SPLAT_TRANSFORM", "")


def gaussians(means: Any, quats: Any, log_scales: Any, logits: Any, dc: Any, rest: Any) -> Gaussians:
    """From arrays of numbers in any layout that reshapes to ours."""
    count = len(means)
    parts = [
        torch.tensor(np.array(part, np.float32)) for part in (means, quats, log_scales, logits, dc, rest)
    ]
    sh = torch.cat([parts[4].reshape(count, 1, 3), parts[5].reshape(count, -1, 3)], 1)
    return Gaussians(parts[0].reshape(count, 3), parts[1].reshape(count, 4), parts[2].reshape(count, 3),
                     parts[3].reshape(count), sh)  # fmt: skip


def gsply(path: Path) -> Gaussians:
    if path.suffix == ".spz":
        from gsply import read_spz as read
    elif path.suffix == ".sog":
        from gsply.sog_reader import sogread as read
    else:
        from gsply import plyread as read
    data = read(path)
    rest = data.shN if data.shN is not None else np.empty((len(data.means), 0, 3))
    return gaussians(data.means, data.quats, data.scales, data.opacities, data.sh0, rest)


def gaussforge(path: Path) -> Gaussians:
    """Through a .ply of its own: what it hands to Python fails at degree 0."""
    from gaussforge import GaussForge

    kind = path.name.partition(".")[2]
    made = GaussForge().convert(path.read_bytes(), kind, "ply")
    if "error" in made:
        raise ValueError(made["error"])
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "made.ply"
        plain.write_bytes(made["data"])
        return plyfile(plain)


def plyfile(path: Path) -> Gaussians:
    from plyfile import PlyData

    vertex = PlyData.read(str(path))["vertex"]
    return from_columns({p.name: np.asarray(vertex[p.name]) for p in vertex.properties})


def python_csv(path: Path) -> Gaussians:
    with path.open(newline="") as file:
        names, *rows = list(csv.reader(file))
    return from_columns(dict(zip(names, np.array(rows, np.float64).T, strict=True)))


def numpy_load(path: Path) -> Gaussians:
    data = np.load(path, allow_pickle=False)
    return gaussians(
        data["means"], data["quats"], data["log_scales"], data["logit_opacities"], data["sh"][:, 0],
        data["sh"][:, 1:],
    )  # fmt: skip


def pygltflib(path: Path) -> Gaussians:
    """The accessors as pygltflib hands them out, turned back from y up as the extension's text says."""
    from pygltflib import GLTF2

    document = GLTF2().load(str(path))
    blob = document.binary_blob()
    primitive = document.meshes[0].primitives[0]
    about = primitive.extensions["KHR_gaussian_splatting"]
    assert (primitive.mode, about["kernel"], about["projection"]) == (0, "ellipse", "perspective")
    assert "KHR_gaussian_splatting" in document.extensionsUsed
    attributes = vars(primitive.attributes)

    def column(name: str) -> np.ndarray[Any, Any]:
        accessor = document.accessors[attributes[name]]
        view = document.bufferViews[accessor.bufferView]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor.type]
        assert accessor.componentType == 5126
        start = view.byteOffset + (accessor.byteOffset or 0)
        return np.frombuffer(blob, "<f4", accessor.count * width, start).reshape(-1, width)

    splat = "KHR_gaussian_splatting:"
    means = column("POSITION")
    np.testing.assert_array_equal(document.accessors[attributes["POSITION"]].max, means.max(0))
    degrees = [d for d in range(4) if f"{splat}SH_DEGREE_{d}_COEF_0" in attributes]
    sh = [column(f"{splat}SH_DEGREE_{d}_COEF_{n}") for d in degrees for n in range(2 * d + 1)]
    # Half a turn about z changes the sign of what is odd in x and y together.
    signs = [1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1][: len(sh)]
    x, y, z, w = column(f"{splat}ROTATION").T
    opacity = column(f"{splat}OPACITY").astype(np.float64)
    turned = np.stack(sh, 1) * np.array(signs)[:, None]
    return gaussians(
        means * [-1, -1, 1], np.stack([w, -x, -y, z], 1), np.log(column(f"{splat}SCALE")),
        np.log(opacity / (1 - opacity)), turned[:, 0], turned[:, 1:],
    )  # fmt: skip


def splat_transform(path: Path) -> Gaussians:
    """PlayCanvas's converter, through a .csv of its own. Of .spz, 2.x turns the axes and 3.x does not."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "out.csv"
        command = [*shlex.split(SPLAT_TRANSFORM), "-q", "-w", str(path), str(table)]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        return python_csv(table)


def from_columns(columns: dict[str, np.ndarray[Any, Any]]) -> Gaussians:
    """From the columns of a .ply, by their names as its description gives them."""
    count = len(columns["x"])
    rest = [columns[f"f_rest_{i}"] for i in range(sum(name.startswith("f_rest_") for name in columns))]
    by_channel = np.stack(rest, 1).reshape(count, 3, -1) if rest else np.empty((count, 3, 0))
    return gaussians(
        np.stack([columns[axis] for axis in "xyz"], 1),
        np.stack([columns[f"rot_{i}"] for i in range(4)], 1),
        np.stack([columns[f"scale_{i}"] for i in range(3)], 1),
        columns["opacity"],
        np.stack([columns[f"f_dc_{i}"] for i in range(3)], 1),
        by_channel.transpose(0, 2, 1),
    )


Reader = Callable[[Path], Gaussians]

READERS: dict[str, dict[str, Reader]] = {
    ".ply": {"plyfile": plyfile, "gsply": gsply, "gaussforge": gaussforge},
    ".compressed.ply": {"gsply": gsply, "gaussforge": gaussforge},
    ".splat": {"gaussforge": gaussforge},
    ".spz": {"gsply": gsply, "gaussforge": gaussforge},
    ".sog": {"gsply": gsply, "gaussforge": gaussforge},
    ".glb": {"pygltflib": pygltflib},
    ".csv": {"csv": python_csv},
    ".npz": {"numpy": numpy_load},
}
if SPLAT_TRANSFORM:
    for ending in (".ply", ".compressed.ply", ".splat", ".spz", ".sog"):
        READERS[ending]["splat-transform"] = splat_transform


def installed(reader: str) -> bool:
    """Whether a reader's package is here."""
    return reader == "splat-transform" or importlib.util.find_spec(reader) is not None


def differences(a: Gaussians, b: Gaussians) -> dict[str, float]:
    """Largest difference by attribute of the same Gaussians in the same order.

    Of means over 1 + their distance from the origin: strays of a fit are hundreds of thousands of units out.
    Of rotations, 1 − |q·q'|, where half turns about a Gaussian's own axes leave it as it is. Opacities
    and scales as they act, scales by their ratio less 1, harmonics up to the lower degree.
    """
    count = min(a.sh.shape[1], b.sh.shape[1])
    turns = [torch.nn.functional.normalize(scene.quats.double(), dim=1) for scene in (a, b)]
    halves = torch.stack(
        [quat_multiply(turns[1], unit.expand_as(turns[1])) for unit in torch.eye(4).double()]
    )
    rest = a.sh[:, 1:count] - b.sh[:, 1:count]
    return {
        "means": float(((a.means - b.means).abs().amax(1) / (1 + a.means.norm(dim=1))).max()),
        "scales": float((a.log_scales - b.log_scales).abs().max().expm1()),
        "rotations": float(1 - (turns[0] * halves).sum(2).abs().amax(0).min()),
        "opacities": float((a.opacities - b.opacities).abs().max()),
        "colours": float((a.sh[:, 0] - b.sh[:, 0]).abs().max()),
        "harmonics": float(rest.abs().max()) if rest.numel() else 0.0,
    }
