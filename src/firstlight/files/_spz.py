"""Niantic's .spz, versions 1 to 4 read, 2 to 4 written: some 20 bytes a Gaussian.

What it can hold: places in 24-bit fixed point, log-scales from −10 to 5.9 in steps of 1/16, colours from
−0.44 to 1.44 and opacities in bytes, harmonics within ±1 in steps of 1/16, up to degree 3 (4 in version 4).

Axes are stored as they are, as all converters do. A program that holds to the specification's own axes (y up)
writes scenes that stand on their heads here; half a turn about x puts them right.
"""

from __future__ import annotations

import math
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import IO, Literal

import numpy as np
import numpy.typing as npt
import zstandard
from scipy.special import expit

from firstlight.errors import InputError
from firstlight.files._blocks import Array, blocks, byte_to_logit, empty, repaired, to_byte, unit_quats, views
from firstlight.files._limits import check_swell, inflate
from firstlight.files._order import morton_order
from firstlight.files._smallest_three import join_largest, split_largest
from firstlight.files.atomic import atomic_write
from firstlight.scene import Gaussians
from firstlight.scene.sh import MAX_DEGREE, sh_count

Bytes = npt.NDArray[np.uint8]

MAGIC = b"NGSP"
GZIP = b"\x1f\x8b"
# magic, version, count, degree, fractional bits of places, flags, then streams (version 4) or zero
HEADER = struct.Struct("<4sIIBBBB")
HEADER_4 = struct.Struct("<4sIIBBBBI12x")  # and where the table of streams is
STREAM = struct.Struct("<QQ")  # bytes compressed, bytes raw

# A coefficient has a byte, but only so many bits of it are used, so that it compresses. The reference encoder
# keeps 4 above degree 1: on a scene of 40,000 Gaussians 21.3 bytes each, and the picture 36.2 dB from the
# original's; with 5 it is 24.2 bytes and 43.0 dB.
SH_BITS = 5
COLOUR_SCALE = 0.15
MOST = 2**23 - 1  # of a place in fixed point
FAR = 16
ZSTD_LEVEL = 12
GZIP_LEVEL = 7  # 9 takes six times as long for 2 per cent


def write_spz(gaussians: Gaussians, path: Path, version: Literal[2, 3, 4] | None = None) -> None:
    """Write in Morton order.

    ``version`` None is 3, which more programs open than 4, unless degree 4 needs 4. Versions 2 and 3 cut
    degree 4 to 3. InputError when a place is too far out for 24 bits.
    """
    version = version or (4 if gaussians.degree > 3 else 3)
    scene = gaussians if version >= 4 else gaussians.with_degree(min(gaussians.degree, 3))
    fraction = _fraction_bits(scene, path)
    arrays = views(scene)
    order = morton_order(arrays["means"])
    tables = [np.empty((len(scene), width), np.uint8) for width in _widths(version, scene.degree)]
    for rows in blocks(len(scene)):
        block = {name: array[order[rows]] for name, array in arrays.items()}
        for table, part in zip(tables, _encode(block, version, fraction), strict=True):
            table[rows] = part
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        if version >= 4:
            _write_streams(file, tables, scene, fraction)
        else:
            header = HEADER.pack(MAGIC, version, len(scene), scene.degree, fraction, 0, 0)
            gzip = zlib.compressobj(GZIP_LEVEL, wbits=16 + zlib.MAX_WBITS)
            file.write(gzip.compress(header))
            for table in tables:
                file.write(gzip.compress(table.data))
            file.write(gzip.flush())


def read_spz(path: Path) -> Gaussians:
    """Read Gaussians (float32); InputError when the file cannot be used."""
    held = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(HEADER.size)
        file.seek(0)
        zipped = start.startswith(GZIP)
        if zipped:
            start = inflate(file, HEADER.size, path)
            file.seek(0)
        if len(start) < HEADER.size or not start.startswith(MAGIC):
            raise InputError(f"{path}: not an .spz file (no NGSP at its beginning), or cut short.")
        _, version, count, degree, fraction, _, _ = HEADER.unpack(start)
        if version not in (1, 2, 3, 4) or (version == 4 and zipped):
            raise InputError(f"{path}: .spz version {version}; firstlight reads 1 to 4.")
        if not 0 <= degree <= MAX_DEGREE or fraction > 24:
            raise InputError(f"{path}: a damaged header: degree {degree}, {fraction} fractional bits.")
        if count == 0:
            raise InputError(f"{path}: the file holds no Gaussians.")
        widths = _widths(version, degree)
        check_swell(count * sum(widths), held, path)
        if version == 4:
            parts = _read_streams(file, [count * width for width in widths], held, path)
        else:
            parts = _read_whole(file, HEADER.size, [count * width for width in widths], zipped, path)
    tables = [part.reshape(count, width) for part, width in zip(parts, widths, strict=True)]
    scene = empty(count, degree)
    arrays = views(scene)
    for rows in blocks(count):
        for name, values in _decode([table[rows] for table in tables], version, fraction).items():
            arrays[name][rows] = values
    return repaired(scene, path)


def is_spz(start: bytes) -> bool:
    """Whether a file that begins so is of this kind, packed or not."""
    if start.startswith(GZIP):
        try:
            start = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS).decompress(start, len(MAGIC))
        except zlib.error:
            return False
    return start.startswith(MAGIC)


def _widths(version: int, degree: int) -> list[int]:
    """Bytes a Gaussian of places, opacities, colours, scales, rotations and (above degree 0) harmonics."""
    rest = 3 * (sh_count(degree) - 1)
    return [6 if version == 1 else 9, 1, 3, 3, 3 if version < 3 else 4, *([rest] if rest else [])]


def _fraction_bits(scene: Gaussians, path: Path) -> int:
    """As many bits behind the point as splats of this size need, 12 at least, and as places leave room for.

    Others always write 12, a step of 0.0002: too coarse where a scene's unit is its own extent. A few far out
    do not count, see ``_pulled_in``.
    """
    reach = scene.means.abs().amax(1).numpy()
    breadth = np.median(views(scene)["log_scales"], axis=1)  # of the three, the one that is seen as a width
    needed = max(12, math.ceil(2 - float(np.quantile(breadth, 0.05)) / math.log(2)))
    room = max(_room(float(reach.max())), _room(FAR * float(np.quantile(reach, 0.99))))
    if room < 0:
        raise InputError(
            f"{path}: places up to {reach.max():.3g} are too far out for .spz. Scale or crop it."
        )
    return min(needed, room, 24)


def _room(reach: float) -> int:
    """Bits that are left behind the point where places go up to ``reach``."""
    return math.floor(math.log2(MOST / max(reach, 1e-30)))


def _pulled_in(block: dict[str, Array], fraction: int) -> tuple[Array, Array]:
    """Places and log-scales; what is beyond the greatest number comes nearer and shrinks as much.

    That is only what lies ``FAR`` times farther out than 99 of 100 others. From their midst it looks the
    same.
    """
    reach = np.abs(block["means"].astype(np.float64)).max(1, keepdims=True)
    nearer = np.minimum(MOST / 2.0**fraction / np.maximum(reach, 1e-30), 1)
    return block["means"] * nearer, block["log_scales"] + np.log(nearer)


def _encode(block: dict[str, Array], version: int, fraction: int) -> list[Bytes]:
    means, log_scales = _pulled_in(block, fraction)
    fixed = np.rint(means * 2.0**fraction).astype("<i4")
    colours = np.rint((block["sh"][:, 0] * COLOUR_SCALE + 0.5) * 255)
    parts = [
        fixed[..., None].view(np.uint8)[..., :3].reshape(len(fixed), 9),
        to_byte(expit(block["logit_opacities"]))[:, None],
        np.clip(colours, 0, 255).astype(np.uint8),
        np.clip(np.rint((log_scales + 10) * 16), 0, 255).astype(np.uint8),
        _encode_rotation(block["quats"], version),
    ]
    if block["sh"].shape[1] > 1:
        parts.append(_encode_sh(block["sh"][:, 1:]))
    return parts


def _encode_rotation(quats: Array, version: int) -> Bytes:
    xyzw = np.roll(unit_quats(quats), -1, axis=1)
    if version < 3:
        xyz = np.where(xyzw[:, 3:] < 0, -1, 1) * xyzw[:, :3]
        return np.rint((xyz + 1) * 127.5).astype(np.uint8)
    largest, others = split_largest(xyzw)
    word = largest.astype(np.uint32)
    for other in others.T:
        size = np.minimum(np.rint(np.abs(other) * (511 * math.sqrt(2))), 511).astype(np.uint32)
        word = word << np.uint32(10) | (other < 0).astype(np.uint32) << np.uint32(9) | size
    return word.astype("<u4")[:, None].view(np.uint8)


def _encode_sh(rest: Array) -> Bytes:
    """Harmonics [n, K, 3] → bytes [n, 3K], rounded to the middles of buckets; beyond ±1 they are clipped."""
    bucket = 2 ** (8 - SH_BITS)
    rounded = np.floor((np.rint(rest * 128) + 128 + bucket / 2) / bucket) * bucket
    stored: Bytes = np.clip(rounded, 0, 255).astype(np.uint8).reshape(len(rest), -1)
    return stored


def _decode(tables: list[Bytes], version: int, fraction: int) -> dict[str, Array]:
    places, opacities, colours, scales, rotations, *harmonics = tables
    if version == 1:
        means: Array = np.ascontiguousarray(places).view("<f2")
    else:
        # The three bytes are the upper ones of a 32-bit number, so that its sign is theirs.
        fixed = np.zeros((len(places), 3, 4), np.uint8)
        fixed[..., 1:] = places.reshape(-1, 3, 3)
        means = (fixed.view("<i4")[..., 0] >> 8) / 2.0**fraction
    sh = ((colours / 255 - 0.5) / COLOUR_SCALE)[:, None]
    if harmonics:
        sh = np.concatenate([sh, (harmonics[0].reshape(len(places), -1, 3) - 128.0) / 128], 1)
    return {
        "means": means,
        "quats": _decode_rotation(rotations, version),
        "log_scales": scales / 16 - 10,
        "logit_opacities": byte_to_logit(opacities[:, 0]),
        "sh": sh,
    }


def _decode_rotation(rotations: Bytes, version: int) -> Array:
    if version < 3:
        xyz = rotations / 127.5 - 1
        w = np.sqrt(np.maximum(1 - (xyz * xyz).sum(1, keepdims=True), 0))
        return np.concatenate([w, xyz], 1)
    word = np.ascontiguousarray(rotations).view("<u4")[:, 0]
    fields = np.stack([word >> np.uint32(shift) & np.uint32(1023) for shift in (20, 10, 0)], 1)
    others = (fields & 511) * (math.sqrt(0.5) / 511) * np.where(fields & 512, -1, 1)
    return np.roll(join_largest(word >> np.uint32(30), others), 1, axis=1)


def _read_whole(file: IO[bytes], offset: int, sizes: list[int], zipped: bool, path: Path) -> list[Bytes]:
    """Versions 1 to 3: one stream after the header."""
    size = offset + sum(sizes)
    data = inflate(file, size, path) if zipped else file.read(size)
    if len(data) < size:
        raise InputError(f"{path}: the header promises {size} bytes, but there are {len(data)}: cut short.")
    return np.split(np.frombuffer(data, np.uint8, offset=offset), np.cumsum(sizes)[:-1])


def _write_streams(file: IO[bytes], tables: list[Bytes], scene: Gaussians, fraction: int) -> None:
    """Version 4: header, table of streams, streams."""
    packer = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
    streams = [packer.compress(table.tobytes()) for table in tables]
    file.write(HEADER_4.pack(MAGIC, 4, len(scene), scene.degree, fraction, 0, len(streams), HEADER_4.size))
    for stream, table in zip(streams, tables, strict=True):
        file.write(STREAM.pack(len(stream), table.nbytes))
    for stream in streams:
        file.write(stream)


def _read_streams(file: IO[bytes], sizes: list[int], held: int, path: Path) -> list[Bytes]:
    start = file.read(HEADER_4.size)
    if len(start) < HEADER_4.size:
        raise InputError(f"{path}: cut short within its header.")
    *_, count, offset = HEADER_4.unpack(start)
    if count < len(sizes) or not HEADER_4.size <= offset <= held - count * STREAM.size:
        raise InputError(f"{path}: damaged: {count} streams listed at byte {offset} of {held}.")
    file.seek(offset)
    table = list(STREAM.iter_unpack(file.read(count * STREAM.size)))
    if sum(packed for packed, _ in table) > held - file.tell():
        raise InputError(f"{path}: its streams are longer than the file: cut short or damaged.")
    parts = []
    for (packed, raw), size in zip(table, sizes, strict=False):
        if raw != size:
            raise InputError(f"{path}: a stream of {raw} bytes where the count of Gaussians asks for {size}.")
        parts.append(_unpack(file.read(packed), size, path))
    return parts


def _unpack(packed: bytes, size: int, path: Path) -> Bytes:
    """A stream of exactly ``size`` bytes; what its own header says of its size is not believed."""
    try:
        with zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(BytesIO(packed)) as reader:
            data = reader.read(size)
    except (zstandard.ZstdError, MemoryError) as error:
        raise InputError(f"{path}: the compressed data is damaged ({error}).") from error
    if len(data) < size:
        raise InputError(f"{path}: cut short: {size} bytes expected after decompression, {len(data)} found.")
    return np.frombuffer(data, np.uint8)
