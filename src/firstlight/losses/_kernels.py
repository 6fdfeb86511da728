"""Numba kernels of the photometric loss: L1 and SSIM with their gradient, in two sweeps over the picture.

Pictures keep their interleaved layout: a row is ``3 * width`` floats and a blur along it steps by 3
floats. Neighbouring floats then go through the same arithmetic whatever channel they belong to, and
nothing has to be split into planes. Each sweep walks down a strip of columns with a ring of the last 11
rows, already blurred along the row. Ring rows lie a compile-time constant apart: LLVM sees one base
pointer with constant offsets where 11 separate rows would be 11 pointers that may alias, and vectorises.

SSIM uses the two variances only by their sum, so four blurred moments are enough:
mean of x, of y, of x² + y² and of xy.

Sums are kept for each row of each strip and added in a fixed order afterwards. What a row adds does not
depend on the thread that made it, so results do not change with the number of threads.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import get_num_threads, njit, prange

from firstlight.scene import KEEP_FROM

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Sums = npt.NDArray[np.float64]

RADIUS = 5
TAPS = 2 * RADIUS + 1
SIGMA = 1.5
C1 = 0.01**2
C2 = 0.03**2

_MOMENTS = 4  # what the first sweep blurs
_PARTIALS = 3  # what the second one blurs
_STRIP = 384  # floats, so 128 pixels: the ring is 66 KB and stays in the second-level cache
_HALO = 3 * RADIUS
_PADDED = _STRIP + 2 * _HALO
_RING_ROW = _MOMENTS * _STRIP
_FAST = {"contract", "reassoc", "nsz"}  # not nnan: a fit that diverges has to show


def gaussian_window() -> Sums:
    """The normalised window of SSIM along one axis  # [11]."""
    x = np.arange(-RADIUS, RADIUS + 1)
    weights = np.exp(-(x**2) / (2 * SIGMA**2))
    return weights / weights.sum()  # type: ignore[no-any-return]


_WINDOW = gaussian_window().astype(np.float32)
_W0, _W1, _W2, _W3, _W4, _W5 = (np.float32(w) for w in _WINDOW[: RADIUS + 1])
_C1, _C2 = np.float32(C1), np.float32(C2)
_ONE, _TWO = np.float32(1), np.float32(2)
_FROM_BYTE = np.float32(1 / 255)


def chunks_of(height: int) -> int:
    """Into how many chunks of rows to cut: one a thread, but none so short that its halo dominates."""
    return max(1, min(int(get_num_threads()), height // (4 * RADIUS)))


def strips_of(width: int) -> int:
    """Into how many strips of columns a picture of ``width`` pixels is cut."""
    return -(-3 * width // _STRIP)


@njit(fastmath=_FAST, error_model="numpy")
def _copy(source: Floats, target: Floats, count: int) -> None:
    """What ``target[:count] = source[:count]`` says, but in a quarter of its time: that asks for overlaps."""
    for i in range(count):
        target[i] = source[i]


@njit(fastmath=_FAST, error_model="numpy")
def _load(rendered: Floats, photo: Bytes, mask: Bytes, row: int, first: int, x: Floats, y: Floats) -> None:
    """One row of both pictures from float ``first - _HALO`` on; 0 outside of picture and mask."""
    begin = max(0, first - _HALO)
    count = min(rendered.shape[1], first + _STRIP + _HALO) - begin
    shift = begin - (first - _HALO)
    x[:] = 0
    y[:] = 0
    _copy(rendered[row, begin:], x[shift:], count)
    bytes_, floats = photo[row, begin:], y[shift:]
    for i in range(count):
        floats[i] = np.float32(bytes_[i]) * _FROM_BYTE
    if mask.size > 0:
        for pixel in range(begin // 3, (begin + count) // 3):
            if mask[row, pixel] < KEEP_FROM:
                at = 3 * pixel - begin + shift
                x[at : at + 3] = 0
                y[at : at + 3] = 0


@njit(fastmath=_FAST, error_model="numpy")
def _load_keep(mask: Bytes, row: int, first: int, keep: Floats, width: int) -> None:
    """1 where the mask keeps a float of this row of the strip, 0 elsewhere."""
    for i in range(width):
        keep[i] = np.float32(mask[row, (first + i) // 3] >= KEEP_FROM)


@njit(fastmath=_FAST, error_model="numpy")
def _blur_along(padded: Floats, out: Floats, width: int) -> None:
    """Blur a padded row of pixels."""
    for i in range(width):
        out[i] = (
            _W0 * (padded[i] + padded[i + 30])
            + _W1 * (padded[i + 3] + padded[i + 27])
            + _W2 * (padded[i + 6] + padded[i + 24])
            + _W3 * (padded[i + 9] + padded[i + 21])
            + _W4 * (padded[i + 12] + padded[i + 18])
            + _W5 * padded[i + 15]
        )


@njit(fastmath=_FAST, error_model="numpy")
def _blur_down(ring: Floats, top: int, out: Floats, width: int) -> None:
    """Blur one plane of a ring across its 11 rows, of which slot ``top`` holds the topmost.

    The rows stay in their slots and the weights turn instead: that keeps every offset a constant.
    """
    w0, w1, w2 = _WINDOW[(11 - top) % 11], _WINDOW[(12 - top) % 11], _WINDOW[(13 - top) % 11]
    w3, w4, w5 = _WINDOW[(14 - top) % 11], _WINDOW[(15 - top) % 11], _WINDOW[(16 - top) % 11]
    w6, w7, w8 = _WINDOW[(17 - top) % 11], _WINDOW[(18 - top) % 11], _WINDOW[(19 - top) % 11]
    w9, w10 = _WINDOW[(20 - top) % 11], _WINDOW[(21 - top) % 11]
    for i in range(width):
        out[i] = (
            w0 * ring[i]
            + w1 * ring[i + 1 * _RING_ROW]
            + w2 * ring[i + 2 * _RING_ROW]
            + w3 * ring[i + 3 * _RING_ROW]
            + w4 * ring[i + 4 * _RING_ROW]
            + w5 * ring[i + 5 * _RING_ROW]
            + w6 * ring[i + 6 * _RING_ROW]
            + w7 * ring[i + 7 * _RING_ROW]
            + w8 * ring[i + 8 * _RING_ROW]
            + w9 * ring[i + 9 * _RING_ROW]
            + w10 * ring[i + 10 * _RING_ROW]
        )


@njit(fastmath=_FAST, error_model="numpy")
def _push_moments(x: Floats, y: Floats, product: Floats, slot: Floats, width: int) -> None:
    """Blur the four moments of a row into one slot of the ring."""
    padded = width + 2 * _HALO
    _blur_along(x, slot, width)
    _blur_along(y, slot[_STRIP:], width)
    for i in range(padded):
        product[i] = x[i] * x[i] + y[i] * y[i]
    _blur_along(product, slot[2 * _STRIP :], width)
    for i in range(padded):
        product[i] = x[i] * y[i]
    _blur_along(product, slot[3 * _STRIP :], width)


@njit(fastmath=_FAST, error_model="numpy")
def _partials_row(moments: Floats, keep: Floats, width: int, partials: Floats) -> np.float32:
    """The sum of SSIM over a row, and its derivatives by mean x, mean x² + y² and mean xy."""
    total = np.float32(0)
    for i in range(width):
        mx, my = moments[i], moments[_STRIP + i]
        xy, squares = mx * my, mx * mx + my * my
        a = _TWO * xy + _C1
        b = _TWO * (moments[3 * _STRIP + i] - xy) + _C2
        c = squares + _C1
        d = moments[2 * _STRIP + i] - squares + _C2
        per_cd = keep[i] / (c * d)
        similarity = a * b * per_cd
        total += similarity
        # similarity / c and similarity / d without a second division
        by_c, by_d = similarity * d * per_cd, similarity * c * per_cd
        partials[i] = _TWO * (my * (b - a) * per_cd - mx * (by_c - by_d))
        partials[_STRIP + i] = -by_d
        partials[2 * _STRIP + i] = _TWO * a * per_cd
    return total


@njit(fastmath=_FAST, error_model="numpy")
def _l1_row(x: Floats, y: Floats, width: int) -> np.float32:
    total = np.float32(0)
    for i in range(width):
        total += abs(x[_HALO + i] - y[_HALO + i])
    return total


@njit(fastmath=_FAST, error_model="numpy")
def _compare_strip(
    rendered: Floats,
    photo: Bytes,
    mask: Bytes,
    begin: int,
    end: int,
    strip: int,
    partials: Floats,
    l1_sums: Sums,
    ssim_sums: Sums,
) -> None:
    """The first sweep over rows ``begin`` to ``end`` of one strip."""
    height, floats = rendered.shape
    first = strip * _STRIP
    width = min(_STRIP, floats - first)
    x, y = np.zeros(_PADDED, np.float32), np.zeros(_PADDED, np.float32)
    product, keep = np.zeros(_PADDED, np.float32), np.ones(_STRIP, np.float32)
    ring, moments = np.zeros(TAPS * _RING_ROW, np.float32), np.zeros(_RING_ROW, np.float32)
    out = np.zeros(_PARTIALS * _STRIP, np.float32)
    for row in range(begin - RADIUS, end + RADIUS):
        at = (row + TAPS) % TAPS * _RING_ROW
        if 0 <= row < height:
            _load(rendered, photo, mask, row, first, x, y)
            _push_moments(x, y, product, ring[at:], width)
            if begin <= row < end:
                l1_sums[row, strip] = _l1_row(x, y, width)
        else:
            ring[at : at + _RING_ROW] = 0
        middle = row - RADIUS
        if middle < begin:
            continue
        for plane in range(_MOMENTS):
            _blur_down(ring[plane * _STRIP :], (row + 1) % TAPS, moments[plane * _STRIP :], width)
        if mask.size > 0:
            _load_keep(mask, middle, first, keep, width)
        ssim_sums[middle, strip] = _partials_row(moments, keep, width, out)
        if partials.size > 0:
            for plane in range(_PARTIALS):
                _copy(out[plane * _STRIP :], partials[plane, middle, first:], width)


@njit(parallel=True, fastmath=_FAST, error_model="numpy", cache=True)
def compare(
    rendered: Floats,  # [H, 3W]
    photo: Bytes,  # [H, 3W]
    mask: Bytes,  # [H, W], or empty
    chunks: int,
    partials: Floats,  # [3, H, 3W], or empty where no gradient is wanted
    l1_sums: Sums,  # [H, strips]
    ssim_sums: Sums,  # [H, strips]
) -> None:
    """First sweep: the sums of L1 and SSIM, and what SSIM's gradient needs of each pixel."""
    height, strips = l1_sums.shape
    for task in prange(chunks * strips):
        strip, chunk = task % strips, task // strips
        begin, end = chunk * height // chunks, (chunk + 1) * height // chunks
        _compare_strip(rendered, photo, mask, begin, end, strip, partials, l1_sums, ssim_sums)


@njit(fastmath=_FAST, error_model="numpy")
def _gradient_row(
    x: Floats, y: Floats, blurred: Floats, l1: float, ssim: float, width: int, out: Floats
) -> None:
    for i in range(width):
        a, b = x[_HALO + i], y[_HALO + i]
        sign = np.float32(a > b) - np.float32(a < b)
        similarity = blurred[i] + _TWO * a * blurred[_STRIP + i] + b * blurred[2 * _STRIP + i]
        out[i] = l1 * sign + ssim * similarity


@njit(fastmath=_FAST, error_model="numpy")
def _differentiate_strip(
    rendered: Floats,
    photo: Bytes,
    mask: Bytes,
    begin: int,
    end: int,
    first: int,
    partials: Floats,
    l1_scale: float,
    ssim_scale: float,
    gradient: Floats,
) -> None:
    """The second sweep over rows ``begin`` to ``end`` of the strip from float ``first`` on."""
    height, floats = rendered.shape
    width = min(_STRIP, floats - first)
    left, right = max(0, first - _HALO), min(floats, first + _STRIP + _HALO)
    shift = left - (first - _HALO)
    x, y = np.zeros(_PADDED, np.float32), np.zeros(_PADDED, np.float32)
    padded, keep = np.zeros(_PADDED, np.float32), np.ones(_STRIP, np.float32)
    ring, blurred = np.zeros(TAPS * _RING_ROW, np.float32), np.zeros(_RING_ROW, np.float32)
    out = np.zeros(_STRIP, np.float32)
    for row in range(begin - RADIUS, end + RADIUS):
        at = (row + TAPS) % TAPS * _RING_ROW
        if 0 <= row < height:
            for plane in range(_PARTIALS):
                _copy(partials[plane, row, left:], padded[shift:], right - left)
                _blur_along(padded, ring[at + plane * _STRIP :], width)
        else:
            ring[at : at + _RING_ROW] = 0
        middle = row - RADIUS
        if middle < begin:
            continue
        for plane in range(_PARTIALS):
            _blur_down(ring[plane * _STRIP :], (row + 1) % TAPS, blurred[plane * _STRIP :], width)
        _load(rendered, photo, mask, middle, first, x, y)
        _gradient_row(x, y, blurred, l1_scale, ssim_scale, width, out)
        if mask.size > 0:
            _load_keep(mask, middle, first, keep, width)
            for i in range(width):
                out[i] *= keep[i]
        _copy(out, gradient[middle, first:], width)


@njit(parallel=True, fastmath=_FAST, error_model="numpy", cache=True)
def differentiate(
    rendered: Floats,  # [H, 3W]
    photo: Bytes,  # [H, 3W]
    mask: Bytes,  # [H, W], or empty
    chunks: int,
    strips: int,
    partials: Floats,  # [3, H, 3W] from `compare`
    l1_scale: float,  # float32: what one |x - y| counts in the loss
    ssim_scale: float,  # float32: what one SSIM value counts in the loss
    gradient: Floats,  # [H, 3W], written
) -> None:
    """Second sweep: the gradient of ``l1_scale * sum |x - y| + ssim_scale * sum SSIM`` by x."""
    height = len(rendered)
    for task in prange(chunks * strips):
        first, chunk = task % strips * _STRIP, task // strips
        begin, end = chunk * height // chunks, (chunk + 1) * height // chunks
        _differentiate_strip(
            rendered, photo, mask, begin, end, first, partials, l1_scale, ssim_scale, gradient
        )
