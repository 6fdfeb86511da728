"""Each point's mean of what the points around it say, weighted by attention: one fused rule.

What the points around one say is half the neighbour's own (its key and its value) and half of where it stands
(its offset, in C numbers). In plain torch the first has to be copied out for each pair, N·K·2D numbers a step
and as many gradients; here a pair is read, used and forgotten.

What a pair adds to its neighbour's gradient is summed over a list of who looks at whom, in that list's order:
results do not change with the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import njit, prange
from torch import Tensor
from torch.autograd.function import once_differentiable

Floats = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]

_FAST = {"contract", "reassoc", "nsz"}  # not nnan: a fit that diverges has to show


def attend(
    pairs: Tensor, query: Tensor, asked: Tensor, offsets: Tensor, around: Tensor
) -> tuple[Tensor, Tensor]:
    """Means over the K neighbours ``around`` [N, K] of their values [N, D] and of their offsets [N, C].

    pairs: [N, 2D] each point's key, then its value. query: [N, D] what a point looks for in keys; asked:
    [N, C] in ``offsets`` [N, K, C]. A neighbour's weight is the softmax of (key·query + offset·asked) / √D.
    All of one type, float32 or float64. No gradient for ``offsets``; the others' can be taken once.
    """
    means: tuple[Tensor, Tensor] = _Attend.apply(pairs, query, asked, offsets, around)  # type: ignore[no-untyped-call]
    return means


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, pairs: Tensor, query: Tensor, asked: Tensor, offsets: Tensor, around: Tensor
    ) -> tuple[Tensor, Tensor]:
        given = [t.contiguous() for t in (pairs, query, asked, offsets, around)]
        weights = query.new_empty(around.shape)
        means = torch.empty_like(given[1]), torch.empty_like(given[2])
        _attend(*(t.numpy() for t in (*given, weights, *means)))
        ctx.save_for_backward(*given, weights)
        return means

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_value: Tensor, d_offset: Tensor) -> tuple[Tensor | None, ...]:
        pairs, query, asked, offsets, around, weights = (t.numpy() for t in ctx.saved_tensors)
        said = [d.contiguous().numpy() for d in (d_value, d_offset)]
        d_logits, d_query, d_asked, d_pairs = (np.empty_like(a) for a in (weights, query, asked, pairs))
        _to_queries(pairs, asked, offsets, around, weights, *said, d_logits, d_query, d_asked)
        _to_pairs(query, *_lookers(around), weights, d_logits, said[0], d_pairs)
        return *(torch.from_numpy(d) for d in (d_pairs, d_query, d_asked)), None, None


@njit(parallel=True, cache=True, fastmath=_FAST, error_model="numpy")
def _attend(
    pairs: Floats,
    query: Floats,
    asked: Floats,
    offsets: Floats,
    around: Indices,
    weights: Floats,
    values: Floats,
    places: Floats,
) -> None:
    count, neighbours = around.shape
    width, codes = query.shape[1], asked.shape[1]
    share = pairs.dtype.type(1 / np.sqrt(width))
    for n in prange(count):
        logits = weights[n]
        most = pairs.dtype.type(-np.inf)
        for k in range(neighbours):
            key, offset = pairs[around[n, k]], offsets[n, k]
            logit = pairs.dtype.type(0)
            for d in range(width):
                logit += key[d] * query[n, d]
            for c in range(codes):
                logit += offset[c] * asked[n, c]
            logits[k] = logit * share
            most = max(most, logits[k])
        total = pairs.dtype.type(0)
        for k in range(neighbours):
            logits[k] = np.exp(logits[k] - most)
            total += logits[k]
        values[n] = 0
        places[n] = 0
        for k in range(neighbours):
            weight = logits[k] / total
            weights[n, k] = weight
            value, offset = pairs[around[n, k], width:], offsets[n, k]
            for d in range(width):
                values[n, d] += weight * value[d]
            for c in range(codes):
                places[n, c] += weight * offset[c]


@njit(parallel=True, cache=True, fastmath=_FAST, error_model="numpy")
def _to_queries(
    pairs: Floats,
    asked: Floats,
    offsets: Floats,
    around: Indices,
    weights: Floats,
    d_value: Floats,
    d_place: Floats,
    d_logits: Floats,
    d_query: Floats,
    d_asked: Floats,
) -> None:
    """What the points themselves get, and the gradients of the logits before they are divided by √D."""
    count, neighbours = around.shape
    width, codes = d_query.shape[1], asked.shape[1]
    share = pairs.dtype.type(1 / np.sqrt(width))
    for n in prange(count):
        mean = pairs.dtype.type(0)
        for k in range(neighbours):
            value, offset = pairs[around[n, k], width:], offsets[n, k]
            worth = pairs.dtype.type(0)
            for d in range(width):
                worth += d_value[n, d] * value[d]
            for c in range(codes):
                worth += d_place[n, c] * offset[c]
            d_logits[n, k] = worth
            mean += weights[n, k] * worth
        d_query[n] = 0
        d_asked[n] = 0
        for k in range(neighbours):
            d_logits[n, k] = weights[n, k] * (d_logits[n, k] - mean) * share
            key, offset = pairs[around[n, k]], offsets[n, k]
            for d in range(width):
                d_query[n, d] += d_logits[n, k] * key[d]
            for c in range(codes):
                d_asked[n, c] += d_logits[n, k] * offset[c]


@njit(cache=True)
def _lookers(around: Indices) -> tuple[Indices, Indices]:
    """Where each point's lookers begin [N + 1] among all pairs (n·K + k) sorted by neighbour [N·K]."""
    flat = around.ravel()
    begins = np.zeros(len(around) + 1, np.int64)
    for j in flat:
        begins[j + 1] += 1
    begins = np.cumsum(begins)
    free, by_neighbour = begins.copy(), np.empty_like(flat)
    for at in range(len(flat)):
        j = flat[at]
        by_neighbour[free[j]] = at
        free[j] += 1
    return begins, by_neighbour


@njit(parallel=True, cache=True, fastmath=_FAST, error_model="numpy")
def _to_pairs(
    query: Floats,
    begins: Indices,
    by_neighbour: Indices,
    weights: Floats,
    d_logits: Floats,
    d_value: Floats,
    d_pairs: Floats,
) -> None:
    """What each point gets from all that look at it."""
    neighbours, width = weights.shape[1], query.shape[1]
    for j in prange(len(d_pairs)):
        d_key, d_own = d_pairs[j], d_pairs[j, width:]
        d_pairs[j] = 0
        for at in by_neighbour[begins[j] : begins[j + 1]]:
            n, k = divmod(at, neighbours)
            for d in range(width):
                d_key[d] += d_logits[n, k] * query[n, d]
                d_own[d] += weights[n, k] * d_value[n, d]
