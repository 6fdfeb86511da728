"""glTF 2.0 with KHR_gaussian_splatting: .glb written, .glb and .gltf read.

Exact but for opacity and scale, which it keeps as they act rather than as logit and log. Degree 3 at most.
glTF holds y upwards and z towards the viewer; scenes of photos have y downwards, z away. Half a turn about z,
harmonics included, leads from one to the other, on writing and on reading.
"""

from __future__ import annotations

import base64
import binascii
import json
import operator
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit, logit
from torch import Tensor

from firstlight.errors import InputError
from firstlight.files._blocks import Array, blocks, empty, repaired, to_byte, unit_quats, views
from firstlight.files._limits import check_swell
from firstlight.files.atomic import atomic_write
from firstlight.scene import Gaussians, Similarity
from firstlight.scene.rotation import quat_to_rotmat
from firstlight.scene.sh import C0, sh_count

EXTENSION = "KHR_gaussian_splatting"
MAX_DEGREE = 3
MAGIC = b"glTF"
HEADER = struct.Struct("<4sII")  # magic, version, bytes in all
CHUNK = struct.Struct("<I4s")  # bytes, kind
MAX_JSON = 64 * 2**20  # bytes
MAX_NODES, MAX_PARTS = 10_000, 1_000  # of a scene, and those of them with Gaussians

FLOAT, UBYTE = 5126, 5121
COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", FLOAT: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
POINTS = 0

# From y down to y up and back.
HALF_TURN = Similarity(1.0, torch.diag(torch.tensor([-1.0, -1.0, 1.0])).double(), torch.zeros(3).double())


def write_glb(gaussians: Gaussians, path: Path) -> None:
    """Write float32 accessors, and colours for programs that draw plain points; degree 4 is cut to 3."""
    scene = gaussians.with_degree(min(gaussians.degree, MAX_DEGREE)).transform(HALF_TURN)
    layout = _layout(scene.degree)
    text = json.dumps(_document(scene, layout)).encode()
    text += b" " * (-len(text) % 4)
    binary = sum(_stride(kind, component) for _, kind, component in layout) * len(scene)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        size = HEADER.size + 2 * CHUNK.size + len(text) + binary
        if size >= 2**32:
            raise InputError(f"{path}: {size} bytes are too many for .glb, which ends at 4 GiB.")
        file.write(HEADER.pack(MAGIC, 2, size) + CHUNK.pack(len(text), b"JSON") + text)
        file.write(CHUNK.pack(binary, b"BIN\0"))
        for name, _, _ in layout:
            for rows in blocks(len(scene)):
                file.write(np.ascontiguousarray(_values(scene, name, rows)).tobytes())


def read_gltf(path: Path) -> Gaussians:
    """Read Gaussians (float32) of all primitives in the scene, where its nodes put them.

    InputError when the file cannot be used.
    """
    try:
        document, binary = _open(path)
        asset = _Asset(document, binary, path)
        placed = list(asset.meshes())  # all of them before any is read: there may be too many
        if len(placed) > MAX_PARTS:
            raise InputError(f"{path}: {len(placed)} meshes in its scene, more than {MAX_PARTS}.")
        parts = []
        for mesh, place in placed:
            parts += [part.transform(place) for part in asset.splats(mesh)]
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path}: its JSON cannot be understood ({error!s:.100}).") from error
    if not parts:
        raise InputError(f"{path}: no Gaussians in it: no primitive in the scene has {EXTENSION}.")
    return repaired(Gaussians.merge(parts).transform(HALF_TURN), path)


def files_of(path: Path) -> list[Path]:
    """The file itself and those beside it that it says its data are in, where they are there; each once."""
    document, _ = _open(path)
    return _files(document, path)


def _files(document: dict[str, Any], path: Path) -> list[Path]:
    uris = [buffer.get("uri") for buffer in document.get("buffers", []) if isinstance(buffer, dict)]
    parts = [_beside(path, uri) for uri in uris if isinstance(uri, str) and not uri.startswith("data:")]
    return [path, *dict.fromkeys(part for part in parts if part is not None and part.is_file())]


def _beside(path: Path, uri: str) -> Path | None:
    """The file in the folder of ``path`` that ``uri`` names; None where it names anything else."""
    name = unquote(uri)
    part = path.parent / name
    inside = "\0" not in name and Path(name).name == name and part.resolve().parent == path.parent.resolve()
    return part if inside else None


def _layout(degree: int) -> list[tuple[str, str, int]]:
    """Attribute, type and component of each accessor, in the order of the file."""
    return [
        ("POSITION", "VEC3", FLOAT),
        ("COLOR_0", "VEC4", UBYTE),
        (f"{EXTENSION}:ROTATION", "VEC4", FLOAT),
        (f"{EXTENSION}:SCALE", "VEC3", FLOAT),
        (f"{EXTENSION}:OPACITY", "SCALAR", FLOAT),
        *((name, "VEC3", FLOAT) for name in _harmonics(degree)),
    ]


def _harmonics(degree: int) -> list[str]:
    return [f"{EXTENSION}:SH_DEGREE_{d}_COEF_{n}" for d in range(degree + 1) for n in range(2 * d + 1)]


def _stride(kind: str, component: int) -> int:
    """Bytes of one row, without gaps."""
    return WIDTHS[kind] * np.dtype(COMPONENTS[component]).itemsize


def _document(scene: Gaussians, layout: list[tuple[str, str, int]]) -> dict[str, Any]:
    accessors, bufferviews, offset = list[dict[str, Any]](), [], 0
    for index, (_, kind, component) in enumerate(layout):
        size = _stride(kind, component) * len(scene)
        bufferviews.append({"buffer": 0, "byteOffset": offset, "byteLength": size, "target": 34962})
        accessors.append({"bufferView": index, "componentType": component, "count": len(scene), "type": kind})
        offset += size
    accessors[0] |= {"min": scene.means.amin(0).tolist(), "max": scene.means.amax(0).tolist()}
    accessors[1]["normalized"] = True
    splats = {
        "kernel": "ellipse",
        "colorSpace": "srgb_rec709_display",
        "projection": "perspective",
        "sortingMethod": "cameraDistance",
    }
    primitive = {
        "mode": POINTS,
        "attributes": {name: index for index, (name, _, _) in enumerate(layout)},
        "extensions": {EXTENSION: splats},
    }
    return {
        "asset": {"version": "2.0", "generator": "firstlight"},
        "extensionsUsed": [EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
        "bufferViews": bufferviews,
        "buffers": [{"byteLength": offset}],
    }


def _values(scene: Gaussians, name: str, rows: slice) -> Array:
    """Rows of an attribute as the file keeps them."""
    arrays = views(scene)
    match name.removeprefix(f"{EXTENSION}:"):
        case "POSITION":
            return arrays["means"][rows]
        case "COLOR_0":
            rgb, alpha = 0.5 + C0 * arrays["sh"][rows, 0], expit(arrays["logit_opacities"][rows])
            return to_byte(np.concatenate([rgb, alpha[:, None]], 1))
        case "ROTATION":
            return np.roll(unit_quats(arrays["quats"][rows]), -1, 1).astype("<f4")  # x, y, z, w
        case "SCALE":
            return np.exp(np.minimum(arrays["log_scales"][rows], 88))  # float32 ends at e^88.7
        case "OPACITY":
            opacity: Array = expit(arrays["logit_opacities"][rows])
            return opacity
        case harmonic:
            _, _, degree, _, number = harmonic.split("_")
            return arrays["sh"][rows, int(degree) ** 2 + int(number)]


def _open(path: Path) -> tuple[Any, Array | None]:
    """The JSON, and the binary chunk of a .glb."""
    held = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(HEADER.size + CHUNK.size)
        if not start.startswith(MAGIC):
            if held > MAX_JSON:
                raise InputError(f"{path}: {held} bytes of JSON are more than {MAX_JSON}. Write it as .glb.")
            return json.loads(start + file.read()), None
        if len(start) < HEADER.size + CHUNK.size:
            raise InputError(f"{path}: cut short within its header.")
        _, version, _ = HEADER.unpack_from(start)
        size, kind = CHUNK.unpack_from(start, HEADER.size)
        if version != 2 or kind != b"JSON" or size > min(MAX_JSON, held - len(start)):
            raise InputError(f"{path}: not a .glb of version 2, cut short, or with {size} bytes of JSON.")
        document = json.loads(file.read(size))
        head = file.read(CHUNK.size)
        offset = file.tell()
    if len(head) < CHUNK.size:
        return document, None
    size, kind = CHUNK.unpack(head)
    if kind != b"BIN\0" or size > held - offset:
        raise InputError(f"{path}: its binary chunk has {held - offset} of {size} bytes: cut short.")
    return document, np.memmap(path, np.uint8, "r", offset, (size,)) if size else None


@dataclass
class _Asset:
    """A parsed document, its binary data, and what can be read from them."""

    document: dict[str, Any]
    binary: Array | None
    path: Path

    def __post_init__(self) -> None:
        self.buffers = dict[int, Array]()
        self.promised = 0  # Gaussians of all primitives so far

    def meshes(self) -> Iterator[tuple[dict[str, Any], Similarity]]:
        """The meshes of the scene and where its nodes put them."""
        nodes = self.document.get("nodes", [])
        scenes = self.document.get("scenes")
        if scenes:
            roots = scenes[self.document.get("scene", 0)].get("nodes", [])
        else:
            roots = set(range(len(nodes))) - {c for node in nodes for c in node.get("children", [])}
        waiting = [(operator.index(root), Similarity.identity()) for root in roots]
        seen = set[int]()
        while waiting:
            index, parent = waiting.pop()
            if index in seen or not 0 <= index < len(nodes) or len(seen) > MAX_NODES:
                raise InputError(f"{self.path}: node {index} is missing, used twice, or one of too many.")
            seen.add(index)
            node = nodes[index]
            place = parent @ self._placement(node)
            waiting += [(operator.index(child), place) for child in node.get("children", [])]
            if "mesh" in node:
                yield self.document["meshes"][operator.index(node["mesh"])], place

    def splats(self, mesh: dict[str, Any]) -> Iterator[Gaussians]:
        """The Gaussians of each primitive that has some."""
        for primitive in mesh["primitives"]:
            about = primitive.get("extensions", {}).get(EXTENSION)
            if about is not None:
                yield repaired(self._splats(primitive["attributes"], about), self.path)

    def _splats(self, attributes: dict[str, Any], about: dict[str, Any]) -> Gaussians:
        if about.get("extensions"):
            raise InputError(
                f"{self.path}: its Gaussians are packed ({', '.join(about['extensions'])}), which firstlight "
                "does not read. Export it without compression."
            )
        if about.get("colorSpace", "srgb_rec709_display") != "srgb_rec709_display":
            raise InputError(f"{self.path}: its colours are {about['colorSpace']!r}; firstlight reads sRGB.")
        # Drafts of the extension had the names without their prefix, and colours beside them.
        found = {name.replace(f"{EXTENSION}:", "_"): index for name, index in attributes.items()}
        names = [name.replace(f"{EXTENSION}:", "_") for name in _harmonics(MAX_DEGREE)]
        there = [name in found for name in names]
        degree = max(d for d in range(MAX_DEGREE + 1) if d == 0 or all(there[: sh_count(d)]))
        means = self._accessor(found["POSITION"], 3)
        count = len(means)
        self.promised += count
        check_swell(4 * (11 + 3 * sh_count(degree)) * self.promised, self._held(), self.path)
        scene = empty(count, degree)
        arrays = views(scene)
        rotations, scales = self._accessor(found["_ROTATION"], 4), self._accessor(found["_SCALE"], 3)
        harmonics = [self._accessor(found[name], 3) for name in names[: sh_count(degree)] if there[0]]
        opacities = self._accessor(found["_OPACITY"], 1) if "_OPACITY" in found else None
        colours = self._accessor(found["COLOR_0"], 4) if opacities is None or not harmonics else None
        if any(
            c is not None and len(c) != count for c in (rotations, scales, opacities, colours, *harmonics)
        ):
            raise InputError(f"{self.path}: attributes of one primitive differ in their count.")
        with np.errstate(all="ignore"):  # hostile numbers; the finished scene is checked
            for rows in blocks(count):
                arrays["means"][rows] = means[rows]
                arrays["quats"][rows] = np.roll(rotations[rows], 1, axis=1)
                arrays["log_scales"][rows] = np.log(scales[rows])
                rgba = colours[rows] if colours is not None else np.empty((0, 4))
                opacity = opacities[rows][:, 0] if opacities is not None else rgba[:, 3]
                arrays["logit_opacities"][rows] = logit(opacity)
                arrays["sh"][rows, 0] = harmonics[0][rows] if harmonics else (rgba[:, :3] - 0.5) / C0
                for k, harmonic in enumerate(harmonics[1:], 1):
                    arrays["sh"][rows, k] = harmonic[rows]
        return scene

    def _accessor(self, index: Any, width: int) -> _Column:
        about = self.document["accessors"][operator.index(index)]
        count, kind = operator.index(about["count"]), about["type"]
        component = np.dtype(COMPONENTS[about["componentType"]])
        if "sparse" in about or "bufferView" not in about:
            raise InputError(f"{self.path}: sparse or packed accessors, which firstlight does not read.")
        if WIDTHS[kind] != width or count < 1:
            raise InputError(f"{self.path}: an accessor of {count} × {kind} where {width} numbers are due.")
        view = self.document["bufferViews"][operator.index(about["bufferView"])]
        data = self._buffer(operator.index(view["buffer"]))
        start, size = operator.index(view.get("byteOffset", 0)), operator.index(view["byteLength"])
        offset, row = operator.index(about.get("byteOffset", 0)), WIDTHS[kind] * component.itemsize
        stride = operator.index(view.get("byteStride", row))
        last = offset + stride * (count - 1) + row
        if min(start, size, offset) < 0 or stride < row or last > size or start + size > len(data):
            raise InputError(f"{self.path}: an accessor reaches beyond its data: cut short or damaged.")
        rows = np.ndarray(
            (count, WIDTHS[kind]), component, data, start + offset, (stride, component.itemsize)
        )
        return _Column(rows, bool(about.get("normalized", False)))

    def _buffer(self, index: int) -> Array:
        if index not in self.buffers:
            uri = self.document["buffers"][index].get("uri")
            if uri is None and index == 0 and self.binary is not None:
                self.buffers[index] = self.binary
            elif isinstance(uri, str):
                self.buffers[index] = self._fetch(uri)
            else:
                raise InputError(f"{self.path}: buffer {index} has no data: cut short or damaged.")
        return self.buffers[index]

    def _fetch(self, uri: str) -> Array:
        """Data written into the JSON, or of a file beside it; never from elsewhere."""
        if uri.startswith("data:"):
            try:
                return np.frombuffer(base64.b64decode(uri.partition(",")[2], validate=True), np.uint8)
            except binascii.Error as error:
                raise InputError(f"{self.path}: the data written into it is damaged ({error}).") from error
        part = _beside(self.path, uri)
        if part is None:
            raise InputError(f"{self.path}: {uri[:80]!r} is not the name of a file beside it.")
        if not part.is_file() or not part.stat().st_size:
            raise InputError(f"{part}: is missing or empty; {self.path.name} names it.")
        return np.memmap(part, np.uint8, "r")

    def _held(self) -> int:
        """Bytes of the file and of those that it names, each counted once."""
        files = {part.resolve() for part in _files(self.document, self.path)}
        return sum(part.stat().st_size for part in files)

    def _placement(self, node: dict[str, Any]) -> Similarity:
        """Where a node puts what is below it; InputError when it does more than turn, scale and move."""
        if "matrix" in node:
            matrix = _numbers(node["matrix"], 16).reshape(4, 4).T  # by columns
        else:
            turn = quat_to_rotmat(_numbers(node.get("rotation", (0, 0, 0, 1)), 4).roll(1))  # w comes last
            matrix = torch.eye(4, dtype=torch.float64)
            matrix[:3, :3] = turn * _numbers(node.get("scale", (1, 1, 1)), 3)
            matrix[:3, 3] = _numbers(node.get("translation", (0, 0, 0)), 3)
        linear = matrix[:3, :3]
        scale = float(linear.det().clamp(min=0)) ** (1 / 3)
        rotation = linear / scale if scale > 0 else linear
        if not torch.allclose(rotation @ rotation.T, torch.eye(3, dtype=torch.float64), atol=1e-3):
            raise InputError(f"{self.path}: a node mirrors, shears or stretches its Gaussians unevenly.")
        return Similarity(scale, rotation, matrix[:3, 3])


def _numbers(values: Any, count: int) -> Tensor:
    numbers = torch.tensor(values, dtype=torch.float64)
    if numbers.shape != (count,):
        raise ValueError(f"{list(numbers.shape)} numbers where {count} are needed")
    return numbers


class _Column:
    """Rows of an accessor, which become float32 a slice at a time."""

    def __init__(self, rows: Array, normalised: bool) -> None:
        self.rows = rows
        self.most = np.iinfo(rows.dtype).max if normalised and rows.dtype.kind in "iu" else 1

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice) -> npt.NDArray[np.float32]:
        return np.maximum(self.rows[rows].astype(np.float32) / self.most, -1 if self.most > 1 else -np.inf)
