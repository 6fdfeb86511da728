"""Score kernel: a walk through the tiles as the blending makes it, that adds to splats instead of pixels.

Slot, sums over pixels that a splat reaches: its weights, how many pixels, weight times error, error; then the
largest weight, and three numbers that are not used.
"""

from typing import Any

import numpy as np
from numba import prange

from firstlight.render._blend_kernels import (
    BATCH,
    CONSTANTS,
    PLAN,
    RECORD,
    ROW,
    TILE,
    _block,
    _falloff,
    _fill_constants,
    _is_opaque,
    _open_tile,
    _plan,
)
from firstlight.render._jit import device, kernel
from firstlight.render._simd import at_least, at_most, highest, lanes, load, select, splat, store, totals

SCORES = 5
SLOT = 8


@device
def _score_splat(
    records: Any, base: Any, x0: int, y0: int, plan: Any, place: int, buffer: Any, slots: Any
) -> None:
    """Add one splat's sums over one block to its slot."""
    constants = TILE * ROW
    gx, gy = records[base] - np.float32(x0), records[base + 1] - np.float32(y0)
    a, b, c = splat(records[base + 2]), splat(records[base + 3]), splat(records[base + 4])
    opacity, centre = splat(records[base + 5]), splat(gy)
    zero = splat(np.float32(0.0))
    weights, hits, weighted, errors, most = zero, zero, zero, zero, zero
    for half in range(2):
        begin, end = np.intp(plan[place + 1 + 2 * half]), np.intp(plan[place + 2 + 2 * half])
        dx = (lanes() + splat(np.float32(8 * half))) - splat(gx)
        across, mixed = a * dx * dx, b * dx
        for row in range(begin, end + 1):
            cell = row * ROW + 8 * half
            dy = splat(buffer[constants + 64 + row]) - centre
            alpha = opacity * _falloff(dy * (c * dy + mixed) + across, buffer, constants)
            alpha = at_most(alpha, load(buffer, constants + 48))
            reached = alpha >= load(buffer, constants + 56)
            alpha = select(reached, alpha, zero)
            before, error = load(buffer, cell), load(buffer, cell + TILE)
            weight = alpha * before
            weights = weights + weight
            # The third plane says which pixels the picture has.
            hits = hits + select(reached, load(buffer, cell + 2 * TILE), zero)
            weighted = weight * error + weighted
            errors = errors + select(reached, error, zero)
            most = at_least(weight, most)
            store(buffer, cell, before - weight)
    slot = (base // RECORD) * SLOT
    store(
        slots,
        slot,
        load(slots, slot) + totals(weights, hits, weighted, errors, zero, zero, zero, zero),
    )
    slots[slot + 4] = max(slots[slot + 4], highest(most))


@kernel
def score(
    records: Any,  # [M * RECORD]
    ids: Any,  # [n_isects]
    starts: Any,  # [tiles + 1]
    bounds: Any,  # [chunks + 1] block numbers
    tile_size: int,
    width: int,
    height: int,
    errors: Any,  # [I, H, W], or empty
    slots: Any,  # [chunks, M * SLOT] out, zeroed here
) -> None:
    """Sums for every splat: one buffer a chunk, so that no two threads add to one number."""
    for chunk in prange(bounds.shape[0] - 1):
        own = slots[chunk]
        own[:] = 0.0
        buffer = np.zeros(TILE * ROW + CONSTANTS, np.float32)
        plan = np.empty(BATCH * PLAN, np.int32)
        _fill_constants(buffer, TILE * ROW)
        for block in range(bounds[chunk], bounds[chunk + 1]):
            tile, image, x0, y0, columns, rows = _block(block, tile_size, width, height)
            buffer[: TILE * ROW] = 0.0
            _open_tile(buffer, ROW, columns, rows)
            for y in range(rows):
                for x in range(columns):
                    buffer[y * ROW + x + 2 * TILE] = 1.0
                    if errors.shape[0] > 0:
                        buffer[y * ROW + x + TILE] = errors[image, y0 + y, x0 + x]
            last = starts[tile + 1]
            for k in range(starts[tile], last, BATCH):
                kept = _plan(records, ids, k, min(k + BATCH, last), x0, y0, columns, rows, plan)
                for item in range(kept):
                    at = item * PLAN
                    _score_splat(records, np.intp(plan[at]), x0, y0, plan, at, buffer, own)
                if _is_opaque(buffer):
                    break


@kernel
def gather_scores(slots: Any, scores: Any) -> None:
    """Join the chunks' buffers [chunks, M * SLOT], in their order, into scores [SCORES, M]."""
    parts, count = slots.shape[0], scores.shape[1]
    for chunk in prange(parts):
        for i in range(count * chunk // parts, count * (chunk + 1) // parts):
            for j in range(SCORES):
                value = slots[0, i * SLOT + j]
                for part in range(1, parts):
                    other = slots[part, i * SLOT + j]
                    value = max(value, other) if j == 4 else value + other
                scores[j, i] = value
