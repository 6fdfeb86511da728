"""PlayCanvas's SOG, version 2: lossless WebP pictures, a texel a Gaussian, and a meta.json; zip or folder.

What it can hold: places in 16 bits a side of log(1 + |x|), rotations in a byte a number, 256 different
log-scales and colours, and a palette of at most 65,536 sets of harmonics up to degree 3.
"""

from __future__ import annotations

import json
import math
import operator
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.special import expit

from firstlight.errors import InputError
from firstlight.files._blocks import (
    Array,
    blocks,
    byte_to_logit,
    empty,
    from_log,
    repaired,
    to_byte,
    to_log,
    views,
)
from firstlight.files._codebooks import codebook, nearest, palette
from firstlight.files._limits import ZIP_ERRORS, check_swell
from firstlight.files._order import morton_order
from firstlight.files._smallest_three import join_largest, split_largest
from firstlight.files.atomic import atomic_write
from firstlight.scene import Gaussians
from firstlight.scene.sh import sh_count

Bytes = npt.NDArray[np.uint8]
Fetch = Callable[[str, int], bytes]

META = "meta.json"
# What the format's own encoder or this one calls a picture.
PICTURE = re.compile(r"(means_[lu]|quats|scales|sh0|shN_(centroids|labels))(-[0-9a-f]{12})?\.webp")
MAX_DEGREE = 3
MAX_META = 2**20  # bytes; real ones have some 15,000
MAX_SIDE = 16383  # pixels of a WebP picture
PALETTE_WIDTH = 64  # sets of harmonics in a row of their picture
MIN_PALETTE, MAX_PALETTE = 4096, 65536
# Of 256 numbers in the codebook of harmonics, so many are used: the palette's own error is far above what
# more would mend, and fewer compress better (on one scene 4.8 for 8.1 bytes a Gaussian at the same 43.0 dB).
PALETTE_LEVELS = 32
QUAT_TAG = 252  # alpha of a rotation's texel: this, and the place of the largest number


def write_sog(gaussians: Gaussians, path: Path) -> None:
    """Write in Morton order, zipped; degree 4 is cut to 3. The same scene gives the same bytes."""
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        meta, pictures = _encode(gaussians)
        for name, data in (pictures | {META: json.dumps(meta).encode()}).items():
            archive.writestr(zipfile.ZipInfo(name), data)  # stored: pictures are packed already


def write_sog_folder(gaussians: Gaussians, path: Path) -> None:
    """The same with the files side by side in the folder of ``path``, which is a meta.json.

    Pictures have their content in their names, so that those of a scene that stands there stay whole until
    the meta.json, which comes last, names the new ones. Then pictures that it does not name are deleted.
    """
    meta, pictures = _encode(gaussians)
    names = {
        name: f"{Path(name).stem}-{sha256(data).hexdigest()[:12]}.webp" for name, data in pictures.items()
    }
    for part in meta.values():
        if isinstance(part, dict) and "files" in part:
            part["files"] = [names[name] for name in part["files"]]
    for name, data in pictures.items():
        with atomic_write(path.parent / names[name]) as temporary:
            temporary.write_bytes(data)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(meta), encoding="utf-8")
    for old in path.parent.iterdir():
        if PICTURE.fullmatch(old.name) and old.name not in names.values():
            old.unlink()


def read_sog(path: Path) -> Gaussians:
    """Read Gaussians (float32) from a zip; InputError when the file cannot be used."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = {info.filename: info for info in archive.infolist()}

            def fetch(name: str, limit: int) -> bytes:
                if name not in infos:
                    raise InputError(f"{path}: {name!r} is missing in it.")
                if infos[name].file_size > limit:
                    raise InputError(f"{path}: {name!r} claims {infos[name].file_size} bytes, over {limit}.")
                with archive.open(infos[name]) as file:
                    return file.read(limit)

            return _decode(fetch, path.stat().st_size, path)
    except ZIP_ERRORS as error:
        raise InputError(f"{path}: damaged as a zip file ({error}).") from error


def read_sog_folder(path: Path) -> Gaussians:
    """Read Gaussians (float32) from the folder of ``path``, which is a meta.json."""

    def fetch(name: str, limit: int) -> bytes:
        # Names come from the file: they must not lead out of the folder, through links neither.
        part = path.parent / name
        if Path(name).name != name or part.resolve().parent != path.parent.resolve():
            raise InputError(f"{path}: {name!r} is not the name of a file beside it.")
        if not part.is_file():
            raise InputError(f"{part}: is missing; {path.name} names it.")
        if part.stat().st_size > limit:
            raise InputError(f"{part}: has {part.stat().st_size} bytes, over {limit}.")
        return part.read_bytes()

    held = sum(part.stat().st_size for part in path.parent.iterdir() if part.is_file())
    return _decode(fetch, held, path)


def _encode(gaussians: Gaussians) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What meta.json says, and the pictures by their names."""
    scene = gaussians.with_degree(min(gaussians.degree, MAX_DEGREE))
    count = len(scene)
    width = 4 * math.ceil(math.sqrt(count) / 4)
    height = 4 * math.ceil(count / width / 4)
    if max(width, height) > MAX_SIDE:
        raise InputError(f"{count} Gaussians are too many for .sog: keep fewer, or write another format.")
    arrays = views(scene)
    order = morton_order(arrays["means"])
    logs = [to_log(arrays["means"][:, axis].astype(np.float64)) for axis in range(3)]
    mins, maxs = [float(log.min()) for log in logs], [float(log.max()) for log in logs]
    books = {"scales": codebook(arrays["log_scales"]), "sh0": codebook(arrays["sh"][:, 0])}
    pictures = {name: np.zeros((height * width, 4), np.uint8) for name in ("means_l", "means_u", "quats")}
    pictures |= {name: np.zeros((height * width, 4), np.uint8) for name in books}
    for name in ("means_l", "means_u", "scales"):
        pictures[name][:, 3] = 255
    for rows in blocks(count):
        chosen = order[rows]
        for axis, log in enumerate(logs):
            unit = (log[chosen] - mins[axis]) / max(maxs[axis] - mins[axis], 1e-30)
            fixed = np.rint(unit * 65535).astype(np.uint16)
            pictures["means_l"][rows, axis], pictures["means_u"][rows, axis] = fixed & 255, fixed >> 8
        largest, others = split_largest(arrays["quats"][chosen])  # w, x, y, z
        pictures["quats"][rows, :3] = to_byte(others / math.sqrt(2) + 0.5)
        pictures["quats"][rows, 3] = QUAT_TAG + largest
        pictures["scales"][rows, :3] = nearest(arrays["log_scales"][chosen], books["scales"])
        pictures["sh0"][rows, :3] = nearest(arrays["sh"][chosen, 0], books["sh0"])
        pictures["sh0"][rows, 3] = to_byte(expit(arrays["logit_opacities"][chosen]))
    meta: dict[str, Any] = {
        "version": 2,
        "asset": {"generator": "firstlight"},
        "count": count,
        "means": {"mins": mins, "maxs": maxs, "files": ["means_l.webp", "means_u.webp"]},
        "scales": {"codebook": books["scales"].tolist(), "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"codebook": books["sh0"].tolist(), "files": ["sh0.webp"]},
    }
    files = {f"{name}.webp": _to_webp(texels, width) for name, texels in pictures.items()}
    if scene.degree:
        about, more = _encode_harmonics(scene, order, width, height)
        meta["shN"] = about
        files |= more
    return meta, files


def _encode_harmonics(
    scene: Gaussians, order: Array, width: int, height: int
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What meta.json says of the harmonics, and their two pictures."""
    rest = scene.sh[:, 1:]
    centers, labels = palette(rest.flatten(1).numpy(), _palette_size(len(scene)))
    values = centers.reshape(-1, rest.shape[1], 3)
    book = codebook(values, PALETTE_LEVELS if len(values) < len(scene) else 256)
    rows = math.ceil(len(values) / PALETTE_WIDTH)
    texels = np.zeros((rows * PALETTE_WIDTH, rest.shape[1], 4), np.uint8)
    texels[: len(values), :, :3] = nearest(values, book)
    texels[..., 3] = 255
    label = np.zeros((height * width, 4), np.uint8)
    label[:, 3] = 255
    ordered = labels[order]
    label[: len(scene), 0], label[: len(scene), 1] = ordered & 255, ordered >> 8
    about = {
        "count": len(values),
        "bands": scene.degree,
        "codebook": [*book.tolist(), *[float(book[-1])] * (256 - len(book))],
        "files": ["shN_centroids.webp", "shN_labels.webp"],
    }
    return about, {
        "shN_centroids.webp": _to_webp(texels.reshape(-1, 4), PALETTE_WIDTH * rest.shape[1]),
        "shN_labels.webp": _to_webp(label, width),
    }


def _palette_size(count: int) -> int:
    """How many sets of harmonics stand for those of ``count`` Gaussians.

    The reference encoder keeps one for 1 to 3 Gaussians, which then take more room than all the rest.
    """
    return min(count, max(count // 4, MIN_PALETTE), MAX_PALETTE)


def _to_webp(texels: Bytes, width: int) -> bytes:
    """RGBA texels [n, 4] as a lossless picture; ``exact`` keeps the colours of transparent ones."""
    out = BytesIO()
    opaque = bool((texels[:, 3] == 255).all())
    picture = Image.fromarray(texels.reshape(-1, width, 4)[..., : 3 if opaque else 4])
    picture.save(out, "WEBP", lossless=True, exact=True, quality=90, method=4)
    return out.getvalue()


@dataclass(frozen=True)
class _Parts:
    """A file taken apart, every size held against the count of Gaussians."""

    count: int
    degree: int
    mins: Array  # [3] log-places of 0
    maxs: Array  # [3] and of 65535
    low: Bytes  # texels [T, 4], T ≥ count, here and below
    high: Bytes
    quats: Bytes
    scales: Bytes
    sh0: Bytes
    scale_book: Array  # [256]
    colour_book: Array  # [256]
    labels: Bytes | None  # and where there are harmonics
    palette: Array | None  # [P, K, 3]


def _decode(fetch: Fetch, held: int, path: Path) -> Gaussians:
    parts = _take_apart(fetch, held, path)
    scene = empty(parts.count, parts.degree)
    arrays = views(scene)
    for rows in blocks(parts.count):
        fixed = parts.low[rows, :3] + 256.0 * parts.high[rows, :3]
        with np.errstate(all="ignore"):  # hostile numbers; the finished scene is checked
            log = parts.mins + fixed / 65535 * (parts.maxs - parts.mins)
            arrays["means"][rows] = from_log(log)
        others = (parts.quats[rows, :3] / 255 - 0.5) * math.sqrt(2)
        arrays["quats"][rows] = join_largest(parts.quats[rows, 3] & 3, others)
        arrays["log_scales"][rows] = parts.scale_book[parts.scales[rows, :3]]
        arrays["sh"][rows, 0] = parts.colour_book[parts.sh0[rows, :3]]
        arrays["logit_opacities"][rows] = byte_to_logit(parts.sh0[rows, 3])
        if parts.labels is not None and parts.palette is not None:
            label = parts.labels[rows, 0] + 256 * parts.labels[rows, 1].astype(np.intp)
            if label.max() >= len(parts.palette):
                raise InputError(f"{path}: harmonics beyond the palette's {len(parts.palette)}: damaged.")
            arrays["sh"][rows, 1:] = parts.palette[label]
    return repaired(scene, path)


def _take_apart(fetch: Fetch, held: int, path: Path) -> _Parts:
    """``fetch`` gives the file of a name, at most so many bytes; ``held`` bytes are there in all."""

    def texels(part: dict[str, Any], index: int, least: int) -> Bytes:
        name = str(part["files"][index])
        return _from_webp(fetch(name, held), least, f"{path}: {name!r}")

    try:
        meta = json.loads(fetch(META, MAX_META))
        if meta.get("version") != 2:
            raise InputError(f"{path}: SOG of version {meta.get('version', 1)}; firstlight reads version 2.")
        count, harmonics = operator.index(meta["count"]), meta.get("shN")
        degree = operator.index(harmonics["bands"]) if harmonics else 0
        if count < 1 or not 0 <= degree <= MAX_DEGREE:
            raise InputError(f"{path}: {count} Gaussians with harmonics of degree {degree}: no usable scene.")
        check_swell(16 * count, held, path)
        mins, maxs = (np.asarray(meta["means"][end], np.float64).reshape(3) for end in ("mins", "maxs"))
        return _Parts(
            count, degree, mins, maxs,
            low=texels(meta["means"], 0, count),
            high=texels(meta["means"], 1, count),
            quats=texels(meta["quats"], 0, count),
            scales=texels(meta["scales"], 0, count),
            sh0=texels(meta["sh0"], 0, count),
            scale_book=_book(meta["scales"]),
            colour_book=_book(meta["sh0"]),
            labels=texels(harmonics, 1, count) if degree else None,
            palette=_palette(harmonics, degree, texels) if degree else None,
        )  # fmt: skip
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path}: its {META} cannot be understood ({error!s:.100}).") from error


def _book(part: dict[str, Any]) -> npt.NDArray[np.float32]:
    """256 numbers; those that a shorter codebook lacks are NaN, so that their use is found out."""
    book = np.full(256, np.nan, np.float32)
    values = np.asarray(part["codebook"], np.float32)
    book[: len(values)] = values
    return book


def _palette(part: dict[str, Any], degree: int, texels: Callable[..., Bytes]) -> Array:
    """Sets of harmonics [P, K, 3]."""
    size, coefficients = operator.index(part["count"]), sh_count(degree) - 1
    if not 0 < size <= MAX_PALETTE:
        raise ValueError(f"a palette of {size}")
    rows = -(-size // PALETTE_WIDTH)
    indices = texels(part, 0, rows * PALETTE_WIDTH * coefficients)
    return _book(part)[indices[:, :3]].reshape(-1, coefficients, 3)[:size]


def _from_webp(data: bytes, least: int, name: str) -> Bytes:
    """RGBA texels [T, 4] of a picture that must have ``least`` of them, and not many more."""
    try:
        with Image.open(BytesIO(data), formats=["WEBP"]) as picture:
            held = picture.width * picture.height  # known before anything is decoded
            if not least <= held <= 2 * least + 2**16:
                raise InputError(f"{name} has {held} texels where {least} are needed: damaged.")
            return np.asarray(picture.convert("RGBA")).reshape(-1, 4)
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise InputError(f"{name} is no WebP picture, or damaged ({error}).") from error
