"""firstlight's own .forest, version 1: a scene as trees, which is much smaller than the Gaussians of it.

It is no section of an .flz: that file is a list of Gaussians, each coded after its neighbours, and nothing of
it would be left. The two share their coder. Opened as a scene it gives the leaves as Gaussians.
docs/forest.md says how the file is laid out.
"""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit, logit
from torch import Tensor

from firstlight.errors import InputError
from firstlight.files._blocks import repaired
from firstlight.files._container import Container
from firstlight.files._entropy import Coder, DamageError, Floats, Ints, Writer
from firstlight.files._limits import check_swell
from firstlight.files.atomic import atomic_write
from firstlight.scene import Gaussians
from firstlight.scene.forest import WAVE_WIDTH, Forest, Network
from firstlight.scene.sh import MAX_DEGREE, sh_count

FOREST_FILE = "scene.forest"  # in a run's folder, beside scene.ply
MAGIC = b"FOREST"
VERSION = 1
HEADER = struct.Struct("<6sBIIIBBBB")  # magic, version, then _Layout
FILE = Container(".forest", MAGIC, VERSION, HEADER)
PLACE_BITS = 12  # of each axis of a tree's box
LEVELS = 255  # of a feature and of an opacity
MOST_WIDTH = 64  # numbers of a feature, or units of a hidden layer


@dataclass(frozen=True)
class _Layout:
    leaves: int
    branches: int
    roots: int
    branch_width: int
    root_width: int
    hidden: int
    degree: int

    @property
    def sensible(self) -> bool:
        widths = (self.branch_width, self.root_width, self.hidden)
        return (
            0 < self.roots <= self.branches <= self.leaves
            and all(0 < width <= MOST_WIDTH for width in widths)
            and self.degree <= MAX_DEGREE
        )

    def sizes(self, out: int) -> list[tuple[int, ...]]:
        """Shapes of the layers of a network with ``out`` outputs."""
        known = self.branch_width + self.root_width + WAVE_WIDTH
        widths = (known, self.hidden, self.hidden, out)
        pairs = zip(widths[1:], widths[:-1], strict=True)
        return [shape for into, from_ in pairs for shape in ((into, from_), (into,))]


def write_forest(forest: Forest, path: Path) -> None:
    """Write a forest whose networks have two hidden layers of one width; one forest, one file.

    Leaves are stored tree by tree: places to 1/4096 of their tree's box, features and opacities to 1/255 of
    their range, networks as float16. ValueError where numbers are not finite or the forest is too large.
    """
    data = encode_forest(forest)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def encode_forest(forest: Forest) -> bytes:
    """The content of the file that ``write_forest`` writes."""
    layout = _Layout(
        len(forest.means),
        len(forest.branches),
        len(forest.roots),
        forest.branches.shape[1],
        forest.roots.shape[1],
        len(forest.colour[0]),
        _degree(len(forest.colour[-1])),
    )
    writer = Writer()
    _code(writer, _Table.of(forest), layout)
    data = FILE.begin(astuple(layout)) + writer.finish()
    decode_forest(data, Path("the forest"))  # too many trees for the file, say
    return data


def read_forest(path: Path) -> Gaussians:
    """The leaves of a file as Gaussians (float32); InputError when it cannot be used."""
    return repaired(load_forest(path).gaussians(), path)


def load_forest(path: Path) -> Forest:
    """The forest itself; InputError when the file cannot be used."""
    return decode_forest(path.read_bytes(), path)


def decode_forest(data: bytes, path: Path) -> Forest:
    """The forest of a file's content; InputError, which names ``path``, when it cannot be used."""
    layout = _Layout(*FILE.layout(data, path))
    if not layout.sensible:
        raise InputError(f"{path}: a damaged header.")
    if layout.leaves > max(2**12, len(data)):  # real ones take four bytes at least
        raise InputError(f"{path}: {len(data)} bytes claim to hold {layout.leaves} leaves: damaged.")
    check_swell(4 * (11 + 3 * sh_count(layout.degree)) * layout.leaves, len(data), path)
    table = FILE.read(data, path, lambda reader: _code(reader, None, layout))
    return table.forest()


@dataclass(frozen=True)
class _Table:
    """A forest in the terms of the file: leaves by branch, branches by root."""

    branches_of: Ints  # [R] how many a root has
    leaves_of: Ints  # [B] how many a branch has
    places: Floats  # [R, 3]
    units: Floats  # [R]
    boxes: Floats  # [R, 6] low and high end of the leaves' places
    means: Floats  # [L, 3]
    opacities: Floats  # [L]
    branches: Floats  # [B, …]
    roots: Floats  # [R, …]
    shape: list[Floats]
    colour: list[Floats]

    @staticmethod
    def of(forest: Forest) -> _Table:
        root, branch = forest.root.numpy(), forest.branch.numpy()
        by_root = np.argsort(root, kind="stable")
        rank = np.empty_like(by_root)
        rank[by_root] = np.arange(len(by_root))
        by_branch = np.argsort(rank[branch], kind="stable")
        means = _array(forest.means)[by_branch]
        tree = root[branch][by_branch]
        starts = np.searchsorted(tree, np.arange(len(forest.roots)))
        low, high = np.minimum.reduceat(means, starts), np.maximum.reduceat(means, starts)
        return _Table(
            branches_of=np.bincount(root, minlength=len(forest.roots)),
            leaves_of=np.bincount(rank[branch], minlength=len(root)),
            places=_array(forest.places),
            units=_array(forest.units),
            boxes=np.concatenate([low, high], 1),
            means=means,
            opacities=expit(_array(forest.logit_opacities))[by_branch],
            branches=_array(forest.branches)[by_root],
            roots=_array(forest.roots),
            shape=[_array(layer) for layer in forest.shape],
            colour=[_array(layer) for layer in forest.colour],
        )

    def forest(self) -> Forest:
        def tensor(values: Floats) -> Tensor:
            return torch.from_numpy(values.astype(np.float32))

        def network(layers: list[Floats]) -> Network:
            return tuple(tensor(layer) for layer in layers)

        return Forest(
            means=tensor(self.means),
            logit_opacities=tensor(logit(np.clip(self.opacities, 1e-6, 1 - 1e-6))),
            branch=torch.from_numpy(np.repeat(np.arange(len(self.leaves_of)), self.leaves_of)),
            branches=tensor(self.branches),
            root=torch.from_numpy(np.repeat(np.arange(len(self.branches_of)), self.branches_of)),
            roots=tensor(self.roots),
            places=tensor(self.places),
            units=tensor(self.units),
            shape=network(self.shape),
            colour=network(self.colour),
        )


def _code(coder: Coder, table: _Table | None, layout: _Layout) -> _Table:
    """The layout of the file: writes ``table``, or reads it where that is None. Returns what is read."""

    def stored(name: str) -> Floats | None:
        if table is None:
            return None
        values: Floats = getattr(table, name)
        return values

    def network(name: str, out: int) -> list[Floats]:
        layers = [None] * 6 if table is None else getattr(table, name)
        return [
            coder.floats(layer, int(np.prod(shape)), "<f2").reshape(shape)
            for layer, shape in zip(layers, layout.sizes(out), strict=True)
        ]

    shape, colour = network("shape", 7), network("colour", 3 * sh_count(layout.degree))
    branches_of = _counts(coder, None if table is None else table.branches_of, layout.roots, layout.branches)
    leaves_of = _counts(coder, None if table is None else table.leaves_of, layout.branches, layout.leaves)
    tree = np.repeat(np.repeat(np.arange(layout.roots), branches_of), leaves_of)
    places = coder.floats(stored("places"), 3 * layout.roots).reshape(-1, 3)
    units = coder.floats(stored("units"), layout.roots)
    boxes = coder.floats(stored("boxes"), 6 * layout.roots).reshape(-1, 6)[tree]
    means = np.empty((layout.leaves, 3))
    for axis in range(3):
        values = None if table is None else table.means[:, axis]
        means[:, axis] = _in_box(coder, values, boxes[:, axis], boxes[:, 3 + axis])
    share = None if table is None else np.arcsin(np.sqrt(np.clip(table.opacities, 0, 1)))[:, None]
    opacities = np.sin(_levels(coder, share, layout.leaves, 1)[:, 0]) ** 2
    branches = _levels(coder, stored("branches"), layout.branches, layout.branch_width)
    roots = _levels(coder, stored("roots"), layout.roots, layout.root_width)
    return _Table(
        branches_of, leaves_of, places, units, boxes, means, opacities, branches, roots, shape, colour
    )


def _counts(coder: Coder, values: Ints | None, groups: int, total: int) -> Ints:
    """How many of ``total`` each of ``groups`` has: at least one."""
    counts = coder.channel(values, np.zeros(groups, np.int64), 1)
    if (counts < 1).any() or int(counts.sum()) != total:
        raise DamageError("its trees do not add up")
    return counts


def _in_box(coder: Coder, values: Floats | None, low: Floats, high: Floats) -> Floats:
    """Numbers [n] between ``low`` and ``high`` [n]."""
    levels = 2**PLACE_BITS
    part = None
    if values is not None:
        with np.errstate(invalid="ignore"):
            inside = np.where(high > low, (values - low) / (high - low), 0)
        part = np.clip(np.floor(inside * levels), 0, levels - 1).astype(np.int64)
    part = coder.uniform(part, np.full(len(low), levels))
    read: Floats = low + (part + 0.5) / levels * (high - low)
    return read


def _levels(coder: Coder, values: Floats | None, count: int, width: int) -> Floats:
    """Columns of numbers [count, width], each to 1/255 of its range."""
    ends = None if values is None else np.concatenate([values.min(0), values.max(0)])
    low, high = coder.floats(ends, 2 * width).reshape(2, width)
    step = np.where(high > low, (high - low) / LEVELS, 1.0)
    read = np.empty((count, width))
    for column in range(width):
        level = None
        if values is not None:
            rounded = np.rint((values[:, column] - low[column]) / step[column])
            level = np.clip(rounded, 0, LEVELS).astype(np.int64)
        read[:, column] = coder.channel(level, np.zeros(count, np.int64), 1)
    return low + step * read


def _array(tensor: Tensor) -> Floats:
    values: Floats = tensor.detach().double().numpy()
    if not np.isfinite(values).all():
        raise ValueError("the forest holds NaN or infinity")
    return values


def _degree(outputs: int) -> int:
    return next(degree for degree in range(MAX_DEGREE + 1) if 3 * sh_count(degree) == outputs)
