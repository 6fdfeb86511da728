"""The kernel of ``VisibleAdam``: all attributes of all visible rows in one sweep over memory.

The work is bound by memory: parameter, gradient and two moments in, parameter and moments out. So rows are
taken in blocks that fit the first caches, and everything about a block is done while it is there.

Attributes come as tuples of flat arrays, a width each. Wide ones (harmonics, 192 bytes a row) are updated
row by row and hidden rows are never touched. Several rows of a narrow one share a cache line, which is
loaded anyway, and are too short for the vectoriser; those are updated as one flat run over the block, in
which a select leaves hidden rows as they are. Each update is three loops of one store each, since LLVM
gives up on loops that store to several arrays which might overlap.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, prange

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int32]

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-15

_BLOCK = 128  # rows
_WIDE = 16  # floats a row: one cache line
_B1, _B2, _EPSILON = np.float32(BETA1), np.float32(BETA2), np.float32(EPSILON)
_ONE, _ZERO = np.float32(1), np.float32(0)
_FAST = {"contract", "reassoc", "nsz"}  # not nnan or ninf: rows that are not finite must be found


@njit(fastmath=_FAST, error_model="numpy")
def _is_finite(values: Floats) -> bool:
    total = _ZERO
    for i in range(len(values)):
        total += values[i] * _ZERO
    return bool(total == _ZERO)


@njit(fastmath=_FAST, error_model="numpy")
def _list_rows(visible: Bools, rows: Ints) -> int:
    """The positions that are set, in order; their number. No branch that the processor could guess wrong."""
    found = 0
    for row in range(len(visible)):
        rows[found] = row
        found += visible[row]
    return found


@njit(fastmath=_FAST, error_model="numpy")
def _drop_lost(grad: Floats, width: int, rows: Ints, found: int) -> int:
    """Take rows whose gradient is not finite off the list; the new length of the list."""
    if width < _WIDE and _is_finite(grad):
        return found
    kept = 0
    for k in range(found):
        row = rows[k]
        rows[kept] = row
        kept += _is_finite(grad[row * width : (row + 1) * width])
    return kept


@njit(fastmath=_FAST, error_model="numpy")
def _note_gaps(last: Ints, now: int, longest: int, rows: Ints, gaps: Ints) -> None:
    """How many steps each listed row has missed; from now on it has missed none."""
    for k in range(len(rows)):
        gaps[k] = min(now - last[rows[k]] - 1, longest)
        last[rows[k]] = now


@njit(fastmath=_FAST, error_model="numpy")
def _catch_up(
    param: Floats,
    first: Floats,
    second: Floats,
    rows: Ints,
    gaps: Ints,
    rates: Floats,
    fix1: np.float32,
    fix2: np.float32,
    missed: Floats,
) -> None:
    """The steps that the listed rows have missed, all at once: without a gradient, moments only fade."""
    width = len(rates)
    for k in range(len(rows)):
        gap = gaps[k]
        if gap == 0:
            continue
        i, j = rows[k] * width, (rows[k] + 1) * width
        p, m, v = param[i:j], first[i:j], second[i:j]
        fade1, fade2, drift = missed[0, gap], missed[1, gap], missed[2, gap] * fix1
        for c in range(width):
            p[c] -= rates[c] * drift * m[c] / (np.sqrt(v[c]) * fix2 + _EPSILON)
        for c in range(width):
            m[c] *= fade1
        for c in range(width):
            v[c] *= fade2


@njit(fastmath=_FAST, error_model="numpy")
def _update_rows(
    param: Floats,
    grad: Floats,
    first: Floats,
    second: Floats,
    rows: Ints,
    rates: Floats,
    fix1: np.float32,
    fix2: np.float32,
) -> None:
    """Adam (Kingma and Ba 2015) for the listed rows."""
    width = len(rates)
    for row in rows:
        i, j = row * width, (row + 1) * width
        p, g, m, v = param[i:j], grad[i:j], first[i:j], second[i:j]
        for k in range(width):
            m[k] = _B1 * m[k] + (_ONE - _B1) * g[k]
        for k in range(width):
            v[k] = _B2 * v[k] + (_ONE - _B2) * (g[k] * g[k])
        for k in range(width):
            p[k] -= rates[k] * fix1 * m[k] / (np.sqrt(v[k]) * fix2 + _EPSILON)


@njit(fastmath=_FAST, error_model="numpy")
def _update_run(
    param: Floats, grad: Floats, first: Floats, second: Floats, speeds: Floats, seen: Floats, fix2: np.float32
) -> None:
    """Adam for a flat run of values; ``seen`` is 0 where a value has to stay as it is."""
    for i in range(len(param)):
        old, g = first[i], grad[i]
        new = _B1 * old + (_ONE - _B1) * g
        first[i] = new if seen[i] > 0 else old
    for i in range(len(param)):
        old, g = second[i], grad[i]
        new = _B2 * old + (_ONE - _B2) * (g * g)
        second[i] = new if seen[i] > 0 else old
    for i in range(len(param)):
        old = param[i]
        new = old - speeds[i] * first[i] / (np.sqrt(second[i]) * fix2 + _EPSILON)
        param[i] = new if seen[i] > 0 else old


@njit(fastmath=_FAST, error_model="numpy")
def _spread(rates: Floats, fix1: np.float32, rows: Ints, count: int, speeds: Floats, seen: Floats) -> None:
    """Learning rate of each value of ``count`` rows, and which of them are listed."""
    width = len(rates)
    for i in range(width):
        rate = rates[i] * fix1
        for row in range(count):
            speeds[row * width + i] = rate
    seen[: count * width] = 0
    for row in rows:
        seen[row * width : (row + 1) * width] = 1


@njit(parallel=True, fastmath=_FAST, error_model="numpy", cache=True)
def update(
    params: tuple[Floats, ...],  # each [N * width]
    grads: tuple[Floats, ...],
    firsts: tuple[Floats, ...],
    seconds: tuple[Floats, ...],
    last: Ints,  # [N]: the step in which a row was last updated
    now: int,
    rates: tuple[Floats, ...],  # each [width]
    visible: Bools,  # [N]
    fix1: np.float32,  # 1 / (1 - β1^now)
    fix2: np.float32,  # 1 / √(1 - β2^now)
    missed: Floats,  # [3, G]: what missing 0, 1, ... steps does to both moments, and how far it carries
    skipped: npt.NDArray[np.int64],  # [chunks], written: visible rows without a finite gradient
) -> None:
    """One step of every attribute of every visible row whose gradient is finite."""
    count, chunks = len(visible), len(skipped)
    for chunk in prange(chunks):
        rows, gaps = np.empty(_BLOCK, np.int32), np.empty(_BLOCK, np.int32)
        speeds, seen = np.empty(_BLOCK * _WIDE, np.float32), np.empty(_BLOCK * _WIDE, np.float32)
        lost = 0
        stop = (chunk + 1) * count // chunks
        for begin in range(chunk * count // chunks, stop, _BLOCK):
            end = min(begin + _BLOCK, stop)
            wanted = _list_rows(visible[begin:end], rows)
            found = wanted
            for a in range(len(grads)):
                width = len(rates[a])
                found = _drop_lost(grads[a][begin * width : end * width], width, rows, found)
            lost += wanted - found
            if found == 0:
                continue
            listed, since = rows[:found], gaps[:found]
            _note_gaps(last[begin:end], now, missed.shape[1] - 1, listed, since)
            for a in range(len(params)):
                width = len(rates[a])
                i, j = begin * width, end * width
                param, grad, first, second = params[a][i:j], grads[a][i:j], firsts[a][i:j], seconds[a][i:j]
                _catch_up(param, first, second, listed, since, rates[a], fix1, fix2, missed)
                if width >= _WIDE:
                    _update_rows(param, grad, first, second, listed, rates[a], fix1, fix2)
                else:
                    _spread(rates[a], fix1, listed, end - begin, speeds, seen)
                    _update_run(param, grad, first, second, speeds, seen, fix2)
        skipped[chunk] = lost
