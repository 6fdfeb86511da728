"""mkkellogg's .ksplat, levels 0 to 2, harmonics up to degree 2. Read only: the format is frozen."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firstlight.errors import InputError
from firstlight.files._blocks import Array, blocks, byte_to_logit, empty, repaired, views
from firstlight.scene import Gaussians
from firstlight.scene.sh import C0, sh_count

MAIN_SIZE, SECTION_SIZE = 4096, 1024
MAX_DEGREE = 2
# major, minor, (2), sections that there is room for, sections, Gaussians at most, Gaussians, level, (2),
# centre of the scene, least and greatest harmonic
MAIN = struct.Struct("<BB2xIIIIH2x3fff")
# Gaussians, at most, bucket size, buckets, side of a bucket, bytes of a bucket, (2), range of a place, (4),
# full buckets, partial buckets, degree
SECTION = struct.Struct("<IIIIfH2xI4xIIH")

# Types of place, scale and rotation, of harmonics, by compression level; colours are bytes.
LEVELS = (("<f4", "<f4", "<f4"), ("<u2", "<f2", "<f2"), ("<u2", "<f2", "u1"))


@dataclass(frozen=True)
class Section:
    """A run of Gaussians with the same layout."""

    count: int  # Gaussians
    room: int  # records that the file keeps for it
    degree: int
    record: np.dtype[np.void]
    bucket_size: int  # Gaussians in a full bucket
    full: int  # full buckets
    partial: int  # buckets with fewer
    buckets: int
    bucket_bytes: int  # of a bucket's centre
    step: float  # scene units of one step of a quantised place
    middle: int  # the step that lies at the bucket's centre

    @property
    def head(self) -> int:
        """Bytes before the records."""
        return 4 * self.partial + self.buckets * self.bucket_bytes

    @property
    def size(self) -> int:
        return self.head + self.room * self.record.itemsize


def read_ksplat(path: Path) -> Gaussians:
    """Read Gaussians (float32); InputError when the file cannot be used."""
    data = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.empty(0, np.uint8)
    level, sections, extremes = _headers(data, path)
    count = sum(section.count for section in sections)
    if count == 0:
        raise InputError(f"{path}: the file holds no Gaussians.")
    scene = empty(count, max(section.degree for section in sections))
    scene.sh.zero_()
    arrays = views(scene)
    done, offset = 0, MAIN_SIZE + SECTION_SIZE * _room(data)
    for section in sections:
        own = {name: array[done : done + section.count] for name, array in arrays.items()}
        _fill(own, data[offset : offset + section.size], section, level, extremes, path)
        done += section.count
        offset += section.size
    return repaired(scene, path)


def is_ksplat(start: bytes) -> bool:
    """Whether a file that begins so may be of this kind: it has no magic, only a version 0.1 and zeros."""
    return len(start) >= MAIN.size and start[:4] == b"\x00\x01\x00\x00" and start[20:24] in _LEVEL_BYTES


_LEVEL_BYTES = tuple(struct.pack("<HH", level, 0) for level in range(3))


def _room(data: Array) -> int:
    return int(MAIN.unpack_from(data.data)[2])


def _headers(data: Array, path: Path) -> tuple[int, list[Section], tuple[float, float]]:
    """Compression level, sections and the harmonics' extremes; every size held against the file's."""
    if len(data) < MAIN_SIZE:
        raise InputError(f"{path}: {len(data)} bytes are too few for a .ksplat file.")
    # The count of sections in use is that of a file on its way: unused ones are empty, so all are read.
    major, minor, room, _, _, _, level, *_, low, high = MAIN.unpack_from(data.data)
    if (major, minor) != (0, 1) or level > 2:
        raise InputError(
            f"{path}: .ksplat version {major}.{minor} at level {level}; known are 0.1 and 0 to 2."
        )
    offset = MAIN_SIZE + SECTION_SIZE * room
    if offset > len(data):
        raise InputError(f"{path}: {room} sections in {len(data)} bytes: cut short or damaged.")
    sections = []
    for i in range(room):
        section = _section(data[MAIN_SIZE + SECTION_SIZE * i :], level, path)
        offset += section.size
        if offset > len(data):
            raise InputError(f"{path}: a section ends at byte {offset} of {len(data)}: cut short or damaged.")
        sections.append(section)
    return level, sections, (low or -1.5, high or 1.5)


def _section(header: Array, level: int, path: Path) -> Section:
    (
        count, room, bucket_size, buckets, side, bucket_bytes, middle, full, partial, degree,
    ) = SECTION.unpack_from(header.data)  # fmt: skip
    if degree > MAX_DEGREE:
        raise InputError(f"{path}: harmonics of degree {degree}; .ksplat defines 0 to {MAX_DEGREE}.")
    quantised = level > 0
    if count > room or (quantised and (bucket_bytes < 12 or full + partial > buckets)):
        raise InputError(f"{path}: a section of {count} Gaussians in a room for {room}: damaged.")
    place, scale, harmonic = LEVELS[level]
    record = np.dtype(
        [
            ("mean", place, (3,)),
            ("scale", scale, (3,)),
            ("quat", scale, (4,)),
            ("rgba", "u1", (4,)),
            ("sh", harmonic, (3 * (sh_count(degree) - 1),)),
        ]
    )
    middle = middle or 32767
    return Section(
        count, room, degree, record, bucket_size, full, partial, buckets, bucket_bytes,
        side / 2 / middle, middle,
    )  # fmt: skip


def _fill(
    own: dict[str, Array],
    data: Array,
    section: Section,
    level: int,
    extremes: tuple[float, float],
    path: Path,
) -> None:
    records = data[section.head :].view(section.record)
    centers = _centers(data, section, path) if level else None
    with np.errstate(all="ignore"):  # hostile numbers; the finished scene is checked
        for rows in blocks(section.count):
            block = records[rows]
            means = block["mean"].astype(np.float64)
            if centers is not None:
                means = (means - section.middle) * section.step + centers[_buckets(rows, data, section)]
            own["means"][rows] = means
            own["log_scales"][rows] = np.log(block["scale"].astype(np.float32))
            own["quats"][rows] = block["quat"]
            own["logit_opacities"][rows] = byte_to_logit(block["rgba"][:, 3])
            own["sh"][rows, 0] = (block["rgba"][:, :3] / 255 - 0.5) / C0
            harmonics = block["sh"].astype(np.float64)
            if level == 2:
                harmonics = extremes[0] + harmonics / 255 * (extremes[1] - extremes[0])
            # Band by band, and in each all of red first.
            for degree in range(1, section.degree + 1):
                band = slice(sh_count(degree - 1) - 1, sh_count(degree) - 1)
                width = band.stop - band.start
                part = harmonics[:, 3 * band.start : 3 * band.stop].reshape(-1, 3, width)
                own["sh"][rows, 1 + band.start : 1 + band.stop] = part.transpose(0, 2, 1)


def _centers(data: Array, section: Section, path: Path) -> Array:
    """Centres of the buckets [B, 3]; InputError when the buckets hold too few Gaussians."""
    held = section.full * section.bucket_size + int(_partial_sizes(data, section).sum())
    if held < section.count:
        raise InputError(f"{path}: buckets for {held} of {section.count} Gaussians: damaged.")
    head = data[4 * section.partial : section.head]
    rows = head.reshape(section.buckets, section.bucket_bytes)[:, :12]
    return np.ascontiguousarray(rows).view("<f4").astype(np.float64)


def _partial_sizes(data: Array, section: Section) -> Array:
    return data[: 4 * section.partial].view("<u4").astype(np.int64)


def _buckets(rows: slice, data: Array, section: Section) -> Array:
    """The bucket of each row: full ones come first."""
    index = np.arange(rows.start, rows.stop)
    in_full = section.full * section.bucket_size
    ends = in_full + np.cumsum(_partial_sizes(data, section))
    partial = section.full + np.searchsorted(ends, index, "right")
    return np.where(index < in_full, index // max(section.bucket_size, 1), partial)
