"""Few values that stand for many: k-means of numbers and of vectors, quick enough for writing a file."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from firstlight.files._blocks import Array

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def codebook(values: Array, size: int = 256, rounds: int = 30) -> Floats:
    """``size`` numbers, ascending, that stand for ``values`` with little squared error (Lloyd 1982).

    On sorted values a cluster is an interval and its mean a difference of two running sums, so a round costs
    ``size`` look-ups. Three in four start as dense as the cube root of the values' density, which is optimal
    for many clusters (Panter and Dite 1951), the others evenly: rare values, the largest splats among them,
    are then off by 1/100 of the range at most.
    """
    ordered = np.sort(values.ravel().astype(np.float64))
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    density, edges = np.histogram(ordered, 4096)
    dense = np.cbrt(density)
    share = np.concatenate([[0.0], np.cumsum(0.75 * dense / dense.sum() + 0.25 / len(dense))])
    centers = np.interp((np.arange(size) + 0.5) / size * share[-1], share, edges)
    for _ in range(rounds):
        ends = np.searchsorted(ordered, (centers[1:] + centers[:-1]) / 2)
        ends = np.concatenate([[0], ends, [len(ordered)]])
        counts = np.diff(ends)
        centers = np.where(counts > 0, np.diff(sums[ends]) / np.maximum(counts, 1), centers)
    book: Floats = centers.astype(np.float32)
    return book


def nearest(values: Array, book: Floats) -> npt.NDArray[np.uint8]:
    """Index of the number of an ascending ``book`` that is nearest to each of ``values``, same shape."""
    return np.searchsorted((book[1:] + book[:-1]) / 2, values).astype(np.uint8)


def palette(vectors: Floats, size: int, rounds: int = 10, seed: int = 0) -> tuple[Floats, Labels]:
    """``size`` vectors that stand for ``vectors`` [N, D] → centers [size, D], the label [N] of each vector.

    k-means in two levels, some √size groups and the rest within each: N·√size·D work a round where plain
    k-means has N·size·D. The same seed gives the same palette.
    """
    if size >= len(vectors):
        return vectors, np.arange(len(vectors))
    rng = np.random.default_rng(seed)
    groups = max(round(size**0.5), 1)
    sample = vectors[rng.permutation(len(vectors))[: 64 * groups]]
    tops = sample[:groups].copy()
    everything = np.array([0, len(sample)])
    _lloyd(sample, everything, tops, np.array([0, groups]), np.empty(len(sample), np.int64), rounds)
    group = np.empty(len(vectors), np.int64)
    _assign(vectors, tops, group)
    order = np.argsort(group, kind="stable")
    counts = np.bincount(group, minlength=groups)
    starts = np.concatenate([[0], np.cumsum(counts)])
    firsts = np.concatenate([[0], np.cumsum(_shares(counts, size))])
    inside = vectors[order]
    chosen = [
        start + rng.permutation(n)[:share]
        for start, n, share in zip(starts[:-1], counts, np.diff(firsts), strict=True)
    ]
    centers = inside[np.concatenate(chosen)]
    label = np.empty(len(vectors), np.int64)
    _lloyd(inside, starts, centers, firsts, label, rounds)
    labels = np.empty_like(label)
    labels[order] = label
    return centers, labels


def _shares(counts: Labels, size: int) -> Labels:
    """At most ``size``, dealt out in proportion to ``counts``: at least 1 where a count is not 0."""
    some = (counts > 0).astype(np.int64)
    rest = counts - some
    shares: Labels = some + rest * (size - some.sum()) // max(int(rest.sum()), 1)
    return shares


@njit(cache=True, fastmath={"contract", "arcp", "nsz", "reassoc"}, error_model="numpy")
def _nearest(vector: Floats, centers: Floats, first: int, last: int) -> int:
    best, least = first, np.float32(np.inf)
    for c in range(first, last):
        distance = np.float32(0)
        for d in range(vector.shape[0]):
            off = vector[d] - centers[c, d]
            distance += off * off
        if distance < least:
            best, least = c, distance
    return best


@njit(parallel=True, cache=True)
def _assign(vectors: Floats, centers: Floats, label: Labels) -> None:
    for i in prange(len(vectors)):
        label[i] = _nearest(vectors[i], centers, 0, len(centers))


@njit(parallel=True, cache=True)
def _lloyd(
    vectors: Floats, starts: Labels, centers: Floats, firsts: Labels, label: Labels, rounds: int
) -> None:
    """k-means of each group apart: vectors starts[g]:starts[g + 1] and centers firsts[g]:firsts[g + 1].

    Centers move to the means of the vectors nearest to them; one without vectors stays. Labels are those of
    the centers as they stand in the end.
    """
    for g in prange(len(starts) - 1):
        for turn in range(rounds + 1):
            for i in range(starts[g], starts[g + 1]):
                label[i] = _nearest(vectors[i], centers, firsts[g], firsts[g + 1])
            if turn == rounds:
                break
            counts = np.zeros(firsts[g + 1] - firsts[g], np.int64)
            sums = np.zeros((firsts[g + 1] - firsts[g], vectors.shape[1]), np.float32)
            for i in range(starts[g], starts[g + 1]):
                c = label[i] - firsts[g]
                counts[c] += 1
                for d in range(vectors.shape[1]):
                    sums[c, d] += vectors[i, d]
            for c in range(len(counts)):
                for d in range(vectors.shape[1]):
                    if counts[c] > 0:
                        centers[firsts[g] + c, d] = sums[c, d] / counts[c]
