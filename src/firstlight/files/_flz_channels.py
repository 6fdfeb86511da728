"""The parts of an .flz file: places in a tree, and numbers told apart from their neighbours'."""

from __future__ import annotations

import numpy as np

from firstlight.files._blocks import from_log, to_log
from firstlight.files._entropy import Coder, Floats, Ints
from firstlight.files._tree import code_places, sort_places

CLASSES = 16  # of how much is seen of a Gaussian: each halves the steps
FINEST = 12000  # steps from the middle of a channel to its end, at most
MOST_PARTS = 2**20  # of a cell's side


class Places:
    """Centres: cells of a tree first, which put the Gaussians in order, then where each is in its cell.

    The tree is laid through sign(x)·log(1 + |x|) of places about their middle, so that what is far away has
    large cells.
    """

    def __init__(self, coder: Coder, means: Floats | None, count: int, bits: int) -> None:
        self.bits = bits
        self.order = np.arange(count)
        frame = ends = cells = None
        if means is not None:
            middle = np.median(means, 0)
            frame = np.array([*middle, max(float(np.median(np.linalg.norm(means - middle, axis=1))), 1e-30)])
        frame = coder.floats(frame, 4)
        self._middle, self._unit = frame[:3], max(float(frame[3]), 1e-30)
        if means is not None:
            logs = self._logs(means)
            ends = np.stack([logs.min(0), logs.max(0)]).ravel()
        low, high = coder.floats(ends, 6).reshape(2, 3)
        self._low, self._wide = low, np.maximum(high - low, 1e-6) * (1 + 1e-6)
        if means is not None:
            cells = np.clip(np.floor(self._in_cells(means)).astype(np.int64), 0, 2**bits - 1)
            self.order = sort_places(cells, bits)
            cells = cells[self.order]
        self.cells = code_places(coder, cells, count, bits)

    @property
    def roughly(self) -> Floats:
        """The cells' middles [N, 3]."""
        return self._world(self.cells.astype(np.float64) + 0.5)

    def exactly(self, coder: Coder, means: Floats | None, steps: Floats) -> Floats:
        """Centres [N, 3] to within ``steps`` [N], those coded being in order already."""
        inside = np.empty((len(self.cells), 3))
        corners = self.cells.astype(np.float64)
        with np.errstate(invalid="ignore"):
            sides = self._world(corners + 1) - self._world(corners)
        for axis in range(3):
            # A hostile file's sides may be infinite.
            wanted = np.nan_to_num(np.ceil(sides[:, axis] / steps), nan=1, posinf=MOST_PARTS)
            parts = np.clip(wanted, 1, MOST_PARTS).astype(np.int64)
            part = None
            if means is not None:
                exact = (self._in_cells(means) - self.cells)[:, axis] * parts
                part = np.clip(np.floor(exact).astype(np.int64), 0, parts - 1)
            inside[:, axis] = (coder.uniform(part, parts) + 0.5) / parts
        return self._world(corners + inside)

    def _in_cells(self, means: Floats) -> Floats:
        scaled: Floats = (self._logs(means) - self._low) / self._wide * 2**self.bits
        return scaled

    def _logs(self, means: Floats) -> Floats:
        return to_log((means - self._middle) / self._unit)

    def _world(self, cells: Floats) -> Floats:
        with np.errstate(over="ignore", invalid="ignore"):  # hostile numbers; the finished scene is checked
            logs = self._low + cells / 2**self.bits * self._wide
            world: Floats = from_log(logs) * self._unit + self._middle
        return world


class Neighbours:
    """Of every second on the curve, and of every fourth: those around it that are known before."""

    def __init__(self, places: Floats) -> None:
        count = len(places)
        self.first = np.arange(0, count, 4)
        self.tiers: list[tuple[Ints, Ints, Floats]] = []
        for stride in (2, 1):
            index = np.arange(stride, count, 2 * stride)
            near = index[:, None] + stride * np.array([-1, 1, -3, 3])
            near = np.where((near >= 0) & (near < count), near, index[:, None] - stride)
            with np.errstate(all="ignore"):  # as above
                away = ((places[near] - places[index, None]) ** 2).sum(2)
                weights = 1 / (away + 0.1 * away.mean(1, keepdims=True) + 1e-30)
                weights = np.nan_to_num(weights / weights.sum(1, keepdims=True))
            self.tiers.append((index, near, weights))

    def guess(self, tier: int, known: Floats) -> Floats:
        _, near, weights = self.tiers[tier]
        guess: Floats = (known[near] * weights).sum(1)
        return guess


def code_channel(
    coder: Coder, values: Floats | None, steps: Floats, classes: Ints, near: Neighbours, coarsest: float
) -> Floats:
    """Numbers [N] rounded to multiples of ``steps`` [N] from what their neighbours suggest."""
    about = None
    if values is not None:
        middle = float(np.median(values))
        about = np.array([middle, np.abs(values - middle).max(), _likeness(values - middle, near)])
    middle, reach, likeness = coder.floats(about, 3)
    steps = np.maximum(np.minimum(steps, coarsest), max(reach / FINEST, 1e-30))
    known = np.full(len(classes), middle)

    def code(index: Ints, guess: Floats) -> None:
        rounded = None
        if values is not None:
            rounded = np.rint((values[index] - guess) / steps[index]).astype(np.int64)
        with np.errstate(over="ignore", invalid="ignore"):  # as above
            known[index] = guess + steps[index] * coder.channel(rounded, classes[index], CLASSES)

    code(near.first, np.full(len(near.first), middle))
    for tier, (index, _, _) in enumerate(near.tiers):
        with np.errstate(over="ignore", invalid="ignore"):
            guess = middle + likeness * (near.guess(tier, known) - middle)
        code(index, guess)
    return known


def _likeness(off: Floats, near: Neighbours) -> float:
    """How far to follow the neighbours from the middle: 0 … 1."""
    tier = len(near.tiers) - 1
    index, guess = near.tiers[tier][0], near.guess(tier, off)
    return float(np.clip((guess * off[index]).sum() / max(float((guess * guess).sum()), 1e-30), 0, 1))
