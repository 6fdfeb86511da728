"""Sub-vector quantisation with codebooks beside what .flz does, for the same numbers of the same scene.

    python benchmarks/codebooks.py SCENE|RUN [--json FILE]

Coded are the harmonics above degree 0, or log-scales and rotations; all else stays exact. Both are told the
same about what is seen. Cameras as in compression.py: PSNR is of pictures that did not help to measure.

SVQ splits a vector into parts, each with its own k-means codebook, every Gaussian weighted by what is seen
of it. Its bytes are the entries in use as float16 and the labels, at the least of three: their empirical
entropy, or what an adaptive coder needs that knows the class of what is seen, or the label before on the
Z-curve. No model of these is counted, and the classes are free, as they are for .flz here, which needs them
for other numbers. A price on bits makes a label cheap rather than near where little is seen (Chou et al.
1989, 'Entropy-constrained vector quantization'): it is that of an .flz of the quality given.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compression import same

from firstlight.compress import cameras_around, cameras_of_run, measure_sensitivity
from firstlight.compress._search import pictures, psnr
from firstlight.files import FlzSteps, Seen, load_gaussians
from firstlight.files._codebooks import palette
from firstlight.files._entropy import Floats, Ints, Writer
from firstlight.files._flz import _TO_LUMA, _code, _Layout, _scene, _Table, _table
from firstlight.files._flz_channels import CLASSES, Places
from firstlight.scene import Gaussians

BITS = 12  # of the tree that puts the Gaussians in order
ROUNDS = 5
QUALITIES = (5.0, 5.5, 6.0, 6.5, 7.0, 8.0, 9.0, 10.0)
PRICES = (None, 8.0)
# A channel is three calls: the sizes', the opacity's, the turns', the colours'; then come the harmonics'.
SIZES, TURNS, HARMONICS = range(9), range(12, 21), range(30, 200)


class Tally(Writer):
    """Bytes of each channel, its models' in proportion to what they pack to."""

    def __init__(self) -> None:
        super().__init__()
        self.stream: list[float] = []
        self.models: list[int] = []

    def channel(self, values: Ints | None, contexts: Ints, count: int) -> Ints:
        bits, models = self._encoder.num_bits(), len(self._models)
        coded = super().channel(values, contexts, count)
        self.stream.append((self._encoder.num_bits() - bits) / 8)
        self.models.append(len(self._models) - models)
        return coded

    def bytes_of(self, calls: list[int], more: int) -> float:
        """Of those ``channel`` calls, and of ``more`` bytes of floats."""
        size, raw = len(self.finish()), len(self._models)
        packed = size - 12 - 4 * self._encoder.num_words()
        calls = [i for i in calls if i < len(self.stream)]
        models: float = (sum(self.models[i] for i in calls) + more) * packed / raw
        return sum(self.stream[i] for i in calls) + models


@dataclass(frozen=True)
class Numbers:
    """What is coded, in units in which an .flz of quality q rounds class 15 to multiples of 2^−q."""

    name: str
    vectors: Floats  # [N, D]
    weights: Floats  # [N, D], alike within each part
    classes: Ints  # [N]
    parts: tuple[int, ...]
    sizes: tuple[int, ...]
    calls: list[int]
    floats: Callable[[_Table], int]  # bytes of them in an .flz beside its channels
    restored: Callable[[Floats], Gaussians]
    coded: Callable[[_Table], Gaussians]


def prepare(scene: Gaussians, steps: FlzSteps, seen: Seen) -> list[Numbers]:
    table = _table(scene, steps, seen)
    width = 3 * (scene.sh.shape[1] - 1)

    def shaped(changed: _Table) -> Gaussians:
        read = _scene(replace(table, sizes=changed.sizes, turns=changed.turns), scene.degree)
        return replace(scene, log_scales=read.log_scales, quats=read.quats)

    def coloured(changed: _Table) -> Gaussians:
        read = _scene(changed, scene.degree)
        return replace(scene, sh=torch.cat([scene.sh[:, :1], read.sh[:, 1:]], 1))

    plain = replace(table, axes=np.eye(width), middle=np.zeros(width))
    rest = (scene.sh[:, 1:].double().numpy() @ _TO_LUMA.T).reshape(len(scene), width)
    size, turn = steps.size / 2.0 ** (CLASSES - 1), steps.turn / 2.0 ** (CLASSES - 1)
    uneven = np.exp(np.clip((table.sizes[:, 1:].sum(1)) / 2, 0, 3))[:, None]
    by_colour, by_shape = (
        4.0 ** (classes - CLASSES + 1)[:, None] for classes in (table.colour_class, table.shape_class)
    )
    shapes = Numbers(
        "sizes and turns", np.hstack([table.sizes / size, table.turns / turn]),
        np.hstack([np.repeat(by_shape, 3, 1), np.repeat(by_shape * uneven**2, 3, 1)]), table.shape_class,
        (2, 6), (64, 256, 1024), [*SIZES, *TURNS], lambda _: 6 * 12,
        lambda read: shaped(replace(table, sizes=read[:, :3] * size, turns=read[:, 3:] * turn)), shaped,
    )  # fmt: skip
    if not width:
        return [shapes]
    parts = tuple(parts for parts in (1, 3, 5, 9, 15) if width % parts == 0)
    harmonics = Numbers(
        "harmonics", rest, np.repeat(by_colour, width, 1), table.colour_class,
        parts, (64, 256, 1024), list(HARMONICS), lambda coded: 4 * width + len(coded.axes) * (2 * width + 12),
        lambda read: coloured(replace(plain, harmonics=read)), coloured,
    )  # fmt: skip
    return [harmonics, shapes]


def flz(
    scene: Gaussians, steps: FlzSteps, seen: Seen, numbers: Numbers, quality: float
) -> tuple[float, Gaussians]:
    table = _table(scene, steps.times(2.0**-quality), seen)
    tally = Tally()
    read = _code(tally, table, _Layout(len(scene), scene.degree, BITS, table.harmonics.shape[1]))
    return tally.bytes_of(numbers.calls, numbers.floats(table)), numbers.coded(read)


def svq(
    numbers: Numbers, parts: int, size: int, price: float | None
) -> tuple[float, dict[str, float], Floats]:
    """Bytes of the codebooks, of the labels by how they are coded, and the numbers read."""
    read, columns = np.empty_like(numbers.vectors), np.split(np.arange(numbers.vectors.shape[1]), parts)
    books, total = 0.0, dict.fromkeys(("order 0", "class", "neighbour"), 0.0)
    for part in columns:
        vectors, weights = numbers.vectors[:, part], numbers.weights[:, part[0]]
        centers, labels = quantise(vectors, weights, numbers.classes, size, price)
        read[:, part] = centers[labels]
        shares = np.bincount(labels) / len(labels)
        books += 2 * len(part) * np.count_nonzero(shares)
        before = np.concatenate([[0], labels[:-1]])
        total["order 0"] -= float(np.log2(shares[labels]).sum()) / 8
        total["class"] += adaptive(labels, numbers.classes)
        total["neighbour"] += adaptive(labels, before)
    return books, total, read


def quantise(
    vectors: Floats, weights: Floats, classes: Ints, size: int, price: float | None
) -> tuple[Floats, Ints]:
    """Centres [size, D] as float16 holds them, and labels [N]: the better of two starts."""
    rng, many = np.random.default_rng(0), min(max(len(vectors) // 4, 4 * size), len(vectors))
    heavy = rng.choice(len(vectors), many, replace=False, p=weights / weights.sum())
    tried = []
    for start in (vectors, vectors[heavy]):
        first, _ = palette(np.ascontiguousarray(start, np.float32), size)
        tried.append(_lloyd(vectors, weights, classes, first.astype(np.float64), price))
    _, centers, labels = min(tried, key=lambda result: result[0])
    return centers, labels


def _lloyd(
    vectors: Floats, weights: Floats, classes: Ints, centers: Floats, price: float | None
) -> tuple[float, Floats, Ints]:
    # The slope of error against bits where numbers are rounded to multiples of 2^−q: 2 ln 2 · step²/12.
    slope = 0.0 if price is None else 2 * np.log(2) / 12 * 4.0**-price
    bits = np.zeros((CLASSES, len(centers)))
    for turn in range(ROUNDS + 1):
        labels, cost = _assign(vectors, weights, classes, centers, slope * bits)
        if turn == ROUNDS:
            break
        mass = np.bincount(labels, weights, len(centers))
        sums = np.stack([np.bincount(labels, weights * v, len(centers)) for v in vectors.T], 1)
        centers = np.where(mass[:, None] > 0, sums / np.maximum(mass, 1e-300)[:, None], centers)
        counts = np.bincount(classes * len(centers) + labels, minlength=bits.size).reshape(bits.shape)
        overall = (counts.sum(0) + 0.5) / (len(labels) + 0.5 * len(centers))
        bits = -np.log2((counts + 16 * overall) / (counts.sum(1, keepdims=True) + 16))
        if turn == ROUNDS - 1:
            centers = centers.astype(np.float16).astype(np.float64)
    return cost, centers, labels


def _assign(
    vectors: Floats, weights: Floats, classes: Ints, centers: Floats, dues: Floats
) -> tuple[Ints, float]:
    labels, cost = np.empty(len(vectors), np.int64), 0.0
    vectors, centers = (
        vectors - centers.mean(0),
        centers - centers.mean(0),
    )  # what float32 leaves is then small
    few, dues = centers.T.astype(np.float32), dues.astype(np.float32)
    far = (few**2).sum(0)
    for some in np.array_split(np.arange(len(vectors)), len(vectors) // 2048 + 1):
        errors = far - 2 * vectors[some].astype(np.float32) @ few
        if dues.any():
            errors += dues[classes[some]] / weights[some, None].astype(np.float32)
        labels[some] = errors.argmin(1)
        least = errors.min(1) + (vectors[some] ** 2).sum(1)
        cost += float((weights[some] * least).sum())
    return labels, cost


def adaptive(labels: Ints, contexts: Ints) -> float:
    """Bytes of a coder that counts labels in each context as it goes, beginning with overall shares."""
    shares = np.bincount(labels)[labels] / len(labels)
    pairs, singles = _before(contexts * (labels.max() + 1) + labels), _before(contexts)
    trusts = 4.0 ** np.arange(1, 8)
    return min(float(-np.log2((pairs + t * shares) / (singles + t)).sum()) / 8 for t in trusts)


def _before(keys: Ints) -> Ints:
    """How often each key occurred before."""
    order = np.argsort(keys, kind="stable")
    _, starts, counts = np.unique(keys[order], return_index=True, return_counts=True)
    ranks = np.empty(len(keys), np.int64)
    ranks[order] = np.arange(len(keys)) - np.repeat(starts, counts)
    return ranks


def measure(path: Path, count: int, max_size: int, keep: int | None) -> Iterator[dict[str, Any]]:
    scene = load_gaussians(path)
    if keep is not None and keep < len(scene):
        scene = scene.select(scene.importance.topk(keep).indices)
    order = Places(Writer(), scene.means.double().numpy(), len(scene), BITS).order
    scene = scene.select(torch.from_numpy(order))
    cameras = cameras_of_run(path, max_size) if path.is_dir() else None
    cameras = cameras or cameras_around(scene, 2 * count, max_size)
    chosen = torch.arange(2 * min(count, len(cameras) // 2)) * len(cameras) // (2 * count)
    sensitivity = measure_sensitivity(scene, cameras.select(chosen[::2]))
    steps, seen = sensitivity.steps, sensitivity.seen
    compared = cameras.select(chosen[1::2])
    original = pictures(scene, compared)
    for numbers in prepare(scene, steps, seen):
        about = {"scene": str(path), "gaussians": len(scene), "numbers": numbers.name}
        curve = []
        for quality in QUALITIES:
            size, read = flz(scene, steps, seen, numbers, quality)
            curve.append((quality, round(size), psnr(pictures(read, compared), original)))
            yield {**about, "how": f".flz {quality:g}", "bytes": curve[-1][1], "psnr": curve[-1][2]}
        for parts, codes, price in product(numbers.parts, numbers.sizes, PRICES):
            books, sizes, values = svq(numbers, parts, codes, price)
            least = min(sizes, key=lambda how: sizes[how])
            db = psnr(pictures(numbers.restored(values), compared), original)
            yield {
                **about, "how": f"SVQ {parts} × {codes}" + (f", priced {price:g}" if price else ""),
                "labels": least, "bytes": round(books + sizes[least]), "psnr": db, "flz": same(curve, db),
                "codebooks": books, "all labels": sizes,
            }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scene", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=int, default=8, help="to measure with, and as many to compare")
    parser.add_argument("--max-size", type=int, default=320)
    parser.add_argument("--keep", type=int, help="of a larger scene, the most important ones alone")
    arguments = parser.parse_args()
    print("| numbers | how | labels by | bytes | of these labels | PSNR | .flz of that PSNR | SVQ / .flz |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |")
    rows = []
    for row in measure(arguments.scene, arguments.pictures, arguments.max_size, arguments.keep):
        flz = row.get("flz")
        labels = f"{row['bytes'] - row['codebooks']:,.0f}" if "codebooks" in row else ""
        beside = f"{flz:,.0f} | {row['bytes'] / flz:.2f}" if flz else "– | –"
        print(
            f"| {row['numbers']} | {row['how']} | {row.get('labels', '')} | {row['bytes']:,} "
            f"| {labels} | {row['psnr']:.2f} dB | {beside} |",
            flush=True,
        )
        rows.append(row)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
