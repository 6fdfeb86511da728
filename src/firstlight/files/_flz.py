"""firstlight's own .flz, version 1: each Gaussian as exactly as it is seen, and entropy coded.

What it can hold: any number in any range, but rounded, more coarsely the less of a Gaussian is seen.
docs/flz.md says how the file is laid out and why.
"""

from __future__ import annotations

import math
import struct
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit, logit
from torch import Tensor

from firstlight.errors import InputError
from firstlight.files._blocks import empty, repaired, views
from firstlight.files._container import Container
from firstlight.files._entropy import Coder, Floats, Ints, Writer
from firstlight.files._flz_channels import CLASSES, Neighbours, Places, code_channel
from firstlight.files._limits import may_swell
from firstlight.files.atomic import atomic_write
from firstlight.scene import Gaussians
from firstlight.scene.rotation import quat_multiply, quat_to_rotmat, rotmat_to_quat
from firstlight.scene.sh import MAX_DEGREE, sh_count

MAGIC = b"FLZ"
VERSION = 1
HEADER = struct.Struct("<3sBIBBH")  # magic, version, count, degree, bits of the tree, kept harmonics
FILE = Container(".flz", MAGIC, VERSION, HEADER)
MAX_BITS = 20
MAX_SWELL = 400  # of a file in memory: what is hardly seen takes little room, and the kitchen swelled by 115

# Steps are no coarser than this, however little is seen: beyond it errors no longer grow with the steps.
COARSEST_SIZE, COARSEST_TURN, COARSEST_OPACITY, COARSEST_COLOUR = 0.25, 0.15, 0.15, 0.5
# Harmonics' axes whose weighted variance is less than this share of a step's square are left out.
WORTH = 0.05
# Colours as brightness and two differences, lengths kept.
_TO_LUMA = np.array([[1, 1, 1], [1, 0, -1], [-1, 2, -1]]) / np.sqrt([[3], [2], [6]])


@dataclass(frozen=True)
class FlzSteps:
    """How coarsely a Gaussian is rounded of which least is seen; each class above halves all of it."""

    colour: float  # of coefficients of degree 0
    harmonics: float  # of the others
    place: float  # in the middle one of the standard deviations
    size: float  # of log-scales
    turn: float  # of a quaternion's numbers
    opacity: float  # of arcsin √opacity

    def times(self, factor: float) -> FlzSteps:
        return FlzSteps(*(step * factor for step in astuple(self)))


# Where nothing is known of cameras; the ratios are about those measured on two scenes.
DEFAULT_STEPS = FlzSteps(colour=128, harmonics=128, place=64, size=64, turn=48, opacity=24)


@dataclass(frozen=True)
class Seen:
    """How much pictures change with each Gaussian: octaves [N], of which 0 … 15 are told apart."""

    colour: Floats
    shape: Floats

    def select(self, index: Ints) -> Seen:
        return Seen(self.colour[index], self.shape[index])


def guess_seen(gaussians: Gaussians) -> Seen:
    """What can be said without cameras: more is seen of what is large and opaque."""
    # What float32 cannot hold of a huge scene is infinite here.
    seen = gaussians.importance.double().clamp(1e-30, 1e38).log2().numpy() / 2
    octaves = seen - np.quantile(seen, 0.99) + CLASSES - 3
    return Seen(octaves, octaves)


def write_flz(
    gaussians: Gaussians, path: Path, *, steps: FlzSteps = DEFAULT_STEPS, seen: Seen | None = None
) -> None:
    """Write in the order of a Z-curve; the same scene gives the same bytes.

    Axes are put in the order of their length and quaternions turned to fit, so that these differ from the
    scene's own though they mean the same. ValueError where ``steps`` are too fine for the format.
    """
    data = encode_flz(gaussians, steps=steps, seen=seen)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def encode_flz(gaussians: Gaussians, *, steps: FlzSteps = DEFAULT_STEPS, seen: Seen | None = None) -> bytes:
    """The content of the file that ``write_flz`` writes."""
    table = _table(gaussians, steps, seen or guess_seen(gaussians))
    count = len(gaussians)
    bits = min(max(math.ceil(math.log2(count) / 2) + 1, 2), MAX_BITS)
    layout = _Layout(count, gaussians.degree, bits, table.harmonics.shape[1])
    writer = Writer()
    _code(writer, table, layout)
    data = writer.finish()
    while not layout.believed(len(data)):  # all alike: padded, by whole words, to what a reader believes
        data += bytes(-(-len(data) // 4) * 4)
    return FILE.begin(astuple(layout)) + data


def read_flz(path: Path) -> Gaussians:
    """Read Gaussians (float32); InputError when the file cannot be used."""
    return decode_flz(path.read_bytes(), path)


def decode_flz(data: bytes, path: Path) -> Gaussians:
    """Gaussians (float32) of a file's content; InputError, which names ``path``, when it cannot be used."""
    layout = _Layout(*FILE.layout(data, path))
    if not layout.sensible:
        raise InputError(f"{path}: a damaged header: {layout.count} Gaussians of degree {layout.degree}.")
    if not layout.believed(len(data) - HEADER.size):
        raise InputError(f"{path}: {len(data)} bytes claim to hold {layout.count} Gaussians: damaged.")
    table = FILE.read(data, path, lambda reader: _code(reader, None, layout))
    return repaired(_scene(table, layout.degree), path)


@dataclass(frozen=True)
class _Layout:
    count: int
    degree: int
    bits: int
    kept: int

    @property
    def width(self) -> int:
        """Numbers of harmonics above degree 0."""
        return 3 * (sh_count(self.degree) - 1)

    @property
    def sensible(self) -> bool:
        return (
            self.count > 0
            and self.degree <= MAX_DEGREE
            and 0 < self.bits <= MAX_BITS
            and self.kept <= self.width
        )

    def believed(self, size: int) -> bool:
        """Whether ``size`` bytes can hold so many; real Gaussians take a byte at least."""
        numbers = 14 + self.width
        return self.count <= max(2**15, 8 * size) and may_swell(4 * numbers * self.count, size, MAX_SWELL)


@dataclass(frozen=True)
class _Table:
    """A scene in the terms of the file."""

    steps: FlzSteps
    means: Floats  # [N, 3]
    colour_class: Ints  # [N]
    shape_class: Ints  # [N]
    sizes: Floats  # [N, 3] the longest log-scale, by how much the next is less, and the last
    turns: Floats  # [N, 3] x, y, z of a quaternion whose w is largest
    opacities: Floats  # [N] arcsin √opacity
    colours: Floats  # [N, 3] brightness and two differences
    harmonics: Floats  # [N, kept] along ``axes`` from ``middle``
    middle: Floats  # [width]
    axes: Floats  # [kept, width]

    def ordered(self, order: Ints) -> _Table:
        rows = ("means", "colour_class", "shape_class", "sizes", "turns", "opacities", "colours", "harmonics")
        return replace(self, **{name: getattr(self, name)[order] for name in rows})


def _code(coder: Coder, table: _Table | None, layout: _Layout) -> _Table:
    """The layout of the file: writes ``table``, or reads it where that is None. Returns what is read."""

    def wanted(name: str, column: int | None = None) -> Floats | None:
        if table is None:
            return None
        values: Floats = getattr(table, name)
        return values if column is None else values[:, column]

    def columns(name: str, count: int, steps: Floats, classes: Ints, coarsest: float) -> Floats:
        coded = np.empty((layout.count, count))
        for i in range(count):
            coded[:, i] = code_channel(coder, wanted(name, i), steps, classes, near, coarsest)
        return coded

    stored = None if table is None else np.array(astuple(table.steps))
    steps = FlzSteps(*coder.floats(stored, len(fields(FlzSteps))))
    places = Places(coder, wanted("means"), layout.count, layout.bits)
    if table is not None:
        table = table.ordered(places.order)
    near = Neighbours(places.roughly)
    colour_class = coder.symbols(
        None if table is None else table.colour_class, np.zeros(layout.count, np.int64), 1, CLASSES
    )
    shape_class = coder.symbols(None if table is None else table.shape_class, colour_class, CLASSES, CLASSES)
    fine, seen = _halved(shape_class), _halved(colour_class)
    sizes = columns("sizes", 3, steps.size * fine, shape_class, COARSEST_SIZE)
    opacities = code_channel(
        coder, wanted("opacities"), steps.opacity * fine, shape_class, near, COARSEST_OPACITY
    )
    # A turn shows as much as the axes differ.
    uneven = np.exp(np.clip((sizes[:, 1] + sizes[:, 2]) / 2, 0, 3))
    turns = columns("turns", 3, steps.turn * fine / uneven, shape_class, COARSEST_TURN)
    middle_size = np.exp(np.clip(sizes[:, 0] - sizes[:, 1], -60, 60))
    means = places.exactly(coder, wanted("means"), np.minimum(steps.place * fine, 1) * middle_size)
    colours = columns("colours", 3, steps.colour * seen, colour_class, COARSEST_COLOUR)
    middle = coder.floats(wanted("middle"), layout.width)
    axes = coder.floats(wanted("axes"), layout.kept * layout.width, "<f2")
    harmonics = columns("harmonics", layout.kept, steps.harmonics * seen, colour_class, math.inf)
    return _Table(
        steps, means, colour_class, shape_class, sizes, turns, opacities, colours, harmonics, middle,
        axes.reshape(layout.kept, layout.width),
    )  # fmt: skip


def _halved(times: Ints) -> Floats:
    halves: Floats = np.exp2(-times.astype(np.float64))
    return halves


def _table(gaussians: Gaussians, steps: FlzSteps, seen: Seen) -> _Table:
    ordered = gaussians.log_scales.double().sort(1, descending=True)
    logs = ordered.values.numpy()
    sh = gaussians.sh.double().numpy() @ _TO_LUMA.T
    rest = sh[:, 1:].reshape(len(sh), -1)
    colour_class, shape_class = (
        np.clip(np.rint(octaves), 0, CLASSES - 1).astype(np.int64) for octaves in (seen.colour, seen.shape)
    )
    middle, axes = _principal(rest, _halved(-2 * colour_class), steps.harmonics)
    return _Table(
        steps=steps,
        means=gaussians.means.double().numpy(),
        colour_class=colour_class,
        shape_class=shape_class,
        sizes=np.stack([logs[:, 0], logs[:, 0] - logs[:, 1], logs[:, 1] - logs[:, 2]], 1),
        turns=_turns(gaussians.quats.double(), ordered.indices),
        opacities=np.arcsin(np.sqrt(expit(gaussians.logit_opacities.double().numpy()))),
        colours=sh[:, 0],
        harmonics=(rest - middle) @ axes.T,
        middle=middle,
        axes=axes,
    )


def _principal(rest: Floats, weights: Floats, step: float) -> tuple[Floats, Floats]:
    """Middle [D] of weighted rows [N, D], and those principal axes [kept, D] that are worth their bits."""
    if not rest.shape[1]:
        return np.zeros(0), np.zeros((0, 0))
    middle = (weights @ rest / weights.sum()).astype(np.float32).astype(np.float64)
    off = (rest - middle) * np.sqrt(weights)[:, None]
    values, vectors = np.linalg.eigh(off.T @ off / len(rest))
    kept = vectors.T[::-1][values[::-1] > WORTH * step**2]
    return middle, kept.astype(np.float16).astype(np.float64)


def _turns(quats: Tensor, order: Tensor) -> Floats:
    """Of frames whose axes are put in ``order`` [N, 3]; of the four that look alike, the one turned least."""
    frames = quat_to_rotmat(quats).gather(2, order[:, None, :].expand(-1, 3, -1))
    frames[:, :, 2] *= torch.linalg.det(frames).round()[:, None]
    upright = rotmat_to_quat(frames)
    alike = torch.stack([quat_multiply(upright, half.expand_as(upright)) for half in torch.eye(4).double()])
    least = alike[alike[..., 0].abs().argmax(0), torch.arange(len(quats))]
    turns: Floats = (least[:, 1:] * torch.where(least[:, :1] < 0, -1.0, 1.0)).numpy()
    return turns


def _scene(table: _Table, degree: int) -> Gaussians:
    scene = empty(len(table.means), degree)
    arrays = views(scene)
    with np.errstate(all="ignore"):  # hostile numbers; the finished scene is checked
        arrays["means"][:] = table.means
        arrays["log_scales"][:] = np.cumsum(table.sizes * [1, -1, -1], 1)
        w = np.sqrt(np.maximum(1 - (table.turns**2).sum(1, keepdims=True), 0))
        arrays["quats"][:] = np.concatenate([w, table.turns], 1)
        share = np.sin(np.clip(table.opacities, 0, math.pi / 2)) ** 2
        arrays["logit_opacities"][:] = logit(np.clip(share, 1e-6, 1 - 1e-6))
        arrays["sh"][:, 0] = table.colours @ _TO_LUMA
        if degree:
            rest = table.middle + table.harmonics @ table.axes
            arrays["sh"][:, 1:] = rest.reshape(len(rest), -1, 3) @ _TO_LUMA
    return scene
