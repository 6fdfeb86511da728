"""Entropy coding of whole numbers: generalised Gaussian models and a range coder.

A channel's numbers are modelled by p(y) ∝ exp(−|(y − μ)/α|^β) over bins of width 1: one shape β for the
channel, a scale α and a centre μ for each context (Zhang et al. 2024, 'Generalized Gaussian model for learned
image compression'). Models are few bytes and stand in the file, so that nothing is trained to read it.
Probabilities are rounded to whole numbers: reader and writer must agree on them to the last bit, which the
incomplete gamma function of two machines does not. A checksum finds out where that was not enough.
"""

from __future__ import annotations

import struct
import zlib
from functools import cache
from typing import Protocol

import constriction
import numpy as np
import numpy.typing as npt
from scipy.special import gammaincc

from firstlight.files._blocks import Array

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SHAPES = 2.0 ** ((np.arange(16) - 7) / 4)  # β: 0.3 … 4
SCALES = 2.0 ** ((np.arange(64) - 16) / 4)  # α: 1/16 … 3,400 steps
TOTAL = 2**22  # what the probabilities of a table sum to, before the 1 that each symbol has at least
MOST_SYMBOLS = 2**15  # of a channel
_FITTED = 256  # magnitudes that a model is fitted to; greater ones count as this

_CHANNEL = struct.Struct("<Bii")  # shape, least symbol, greatest symbol
_CONTEXT = struct.Struct("<Bh")  # scale, as its distance to the context before; centre


class DamageError(Exception):
    """The stream cannot be what a writer wrote."""


class Coder(Protocol):
    """Writes numbers and returns them, or reads them: the layout of a file is one function for both."""

    def channel(self, values: Ints | None, contexts: Ints, count: int) -> Ints:
        """Numbers [n], each in one of ``count`` contexts [n], by a generalised Gaussian model."""
        ...

    def symbols(self, values: Ints | None, contexts: Ints, count: int, size: int) -> Ints:
        """Numbers [n] in 0 … size − 1 of any distribution, each in one of ``count`` contexts [n]."""
        ...

    def uniform(self, values: Ints | None, sizes: Ints) -> Ints:
        """Numbers [n] in 0 … sizes − 1, all alike."""
        ...

    def floats(self, values: Array | None, count: int, kind: str = "<f4") -> Floats:
        """``count`` numbers as they are, rounded to float32 or ``kind``."""
        ...


class Writer:
    def __init__(self) -> None:
        self._encoder = constriction.stream.queue.RangeEncoder()
        self._models = bytearray()
        self._check = 0

    def channel(self, values: Ints | None, contexts: Ints, count: int) -> Ints:
        assert values is not None
        low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
        if high - low >= MOST_SYMBOLS:
            raise ValueError(f"{high - low} different numbers: the steps are too fine")
        order, counts = _by_context(contexts, count)
        groups = np.split(values[order], np.cumsum(counts)[:-1])
        shape, scales, centers = _fit(groups)
        self._models += _CHANNEL.pack(shape, low, high)
        before = 0
        for group, scale, center in zip(groups, scales, centers, strict=True):
            if len(group):
                self._models += _CONTEXT.pack((scale - before) % len(SCALES), center)
                before = scale
                self._encode(group - low, _generalised_gaussian(shape, scale, low - center, high - center))
        return self._checked(values)

    def symbols(self, values: Ints | None, contexts: Ints, count: int, size: int) -> Ints:
        assert values is not None
        order, counts = _by_context(contexts, count)
        for group in np.split(values[order], np.cumsum(counts)[:-1]):
            if len(group):
                shares = _shares(np.bincount(group, minlength=size))
                self._models += shares.tobytes()
                self._encode(group, _from_shares(shares))
        return self._checked(values)

    def uniform(self, values: Ints | None, sizes: Ints) -> Ints:
        assert values is not None
        some = sizes > 1
        if some.any():
            model = constriction.stream.model.Uniform()
            self._encoder.encode(values[some].astype(np.int32), model, sizes[some].astype(np.int32))
        return self._checked(values)

    def floats(self, values: Array | None, count: int, kind: str = "<f4") -> Floats:
        assert values is not None
        stored = np.asarray(values, kind).reshape(count)
        self._models += stored.tobytes()
        return stored.astype(np.float64)

    def finish(self) -> bytes:
        """Models, then the stream; what both were made of is checked when they are read."""
        models = zlib.compress(bytes(self._models), 9)
        stream: bytes = self._encoder.get_compressed().astype("<u4").tobytes()
        return struct.pack("<III", self._check, len(self._models), len(models)) + models + stream

    def _encode(self, values: Ints, table: Floats) -> None:
        if len(table) > 1:
            self._encoder.encode(values.astype(np.int32), _model(table))

    def _checked(self, values: Ints) -> Ints:
        self._check = zlib.crc32(values.astype("<i4").tobytes(), self._check)
        return values


class Reader:
    """Of what a Writer finished; DamageError where it cannot be that."""

    def __init__(self, data: bytes) -> None:
        if len(data) < 12:
            raise DamageError("cut short")
        self._expected, size, packed = struct.unpack_from("<III", data)
        if size > 2**22 or 12 + packed > len(data) or (len(data) - 12 - packed) % 4:
            raise DamageError("its models do not fit")
        try:
            stream = zlib.decompressobj()
            self._models = memoryview(stream.decompress(data[12 : 12 + packed], max(size, 1)))
        except zlib.error as error:
            raise DamageError(f"its models are damaged ({error})") from error
        words = np.frombuffer(data, "<u4", offset=12 + packed).astype(np.uint32)
        self._decoder = constriction.stream.queue.RangeDecoder(words)
        self._check = 0

    def channel(self, values: Ints | None, contexts: Ints, count: int) -> Ints:
        shape, low, high = self._unpack(_CHANNEL)
        if shape >= len(SHAPES) or not low <= high < low + MOST_SYMBOLS or abs(low) > 2**30:
            raise DamageError(f"numbers from {low} to {high} of shape {shape}")
        order, counts = _by_context(contexts, count)
        parts, scale = [], 0
        for n in counts:
            if n:
                more, center = self._unpack(_CONTEXT)
                scale = (scale + more) % len(SCALES)
                table = _generalised_gaussian(shape, scale, low - center, high - center)
                parts.append(self._decode(int(n), table) + low)
        return self._sorted(parts, order)

    def symbols(self, values: Ints | None, contexts: Ints, count: int, size: int) -> Ints:
        order, counts = _by_context(contexts, count)
        parts = []
        for n in counts:
            if n:
                table = _from_shares(np.frombuffer(self._take(size), np.uint8))
                parts.append(self._decode(int(n), table))
        return self._sorted(parts, order)

    def uniform(self, values: Ints | None, sizes: Ints) -> Ints:
        read = np.zeros(len(sizes), np.int64)
        some = sizes > 1
        if some.any():
            model = constriction.stream.model.Uniform()
            read[some] = self._guarded(model, sizes[some].astype(np.int32))
        return self._checked(read)

    def floats(self, values: Array | None, count: int, kind: str = "<f4") -> Floats:
        stored = np.frombuffer(self._take(count * np.dtype(kind).itemsize), kind)
        if not np.isfinite(stored).all():
            raise DamageError("numbers that are none")
        return stored.astype(np.float64)

    def finish(self) -> None:
        """DamageError unless exactly what was written has been read."""
        if len(self._models) or self._check != self._expected:
            raise DamageError("its checksum is not that of its content")

    def _unpack(self, struct_: struct.Struct) -> tuple[int, ...]:
        return struct_.unpack(self._take(struct_.size))

    def _take(self, size: int) -> memoryview:
        if len(self._models) < size:
            raise DamageError("its models are cut short")
        taken, self._models = self._models[:size], self._models[size:]
        return taken

    def _decode(self, n: int, table: Floats) -> Ints:
        return self._guarded(_model(table), n) if len(table) > 1 else np.zeros(n, np.int64)

    def _guarded(self, model: object, amount: Array | int) -> Ints:
        try:
            read: Ints = self._decoder.decode(model, amount).astype(np.int64)
        except (AssertionError, ValueError) as error:
            raise DamageError(f"its stream is damaged ({error})") from error
        return read

    def _sorted(self, parts: list[Ints], order: Ints) -> Ints:
        read = np.empty(len(order), np.int64)
        if parts:
            read[order] = np.concatenate(parts)
        return self._checked(read)

    def _checked(self, values: Ints) -> Ints:
        self._check = zlib.crc32(values.astype("<i4").tobytes(), self._check)
        return values


def _by_context(contexts: Ints, count: int) -> tuple[Ints, Ints]:
    """The order [n] that sorts by context, and how many there are in each [count]."""
    return np.argsort(contexts, kind="stable"), np.bincount(contexts, minlength=count)


def _model(table: Floats) -> object:
    return constriction.stream.model.Categorical(table, perfect=False)


@cache
def _costs() -> Floats:
    """Bits of magnitudes 0 … ``_FITTED`` in each model [shapes, scales, magnitudes], for fitting."""
    edges = np.arange(_FITTED + 1) + 0.5
    above = _tail(SHAPES[:, None, None], SCALES[:, None], edges)  # half the mass beyond each edge
    mass = np.concatenate([1 - 2 * above[..., :1], above[..., :-1] - above[..., 1:]], -1)
    costs: Floats = -np.log2(mass + 1 / TOTAL)
    return costs


def _tail(shape: Array, scale: Array, t: Array) -> Floats:
    """Mass of a generalised Gaussian above t ≥ 0: ½ Q(1/β, (t/α)^β)."""
    with np.errstate(over="ignore"):
        tail: Floats = 0.5 * gammaincc(1 / shape, (t / scale) ** shape)
    return tail


def _fit(groups: list[Ints]) -> tuple[int, list[int], list[int]]:
    """The shape of a channel, and scale and centre of each context, with the least bits."""
    centers = [int(np.clip(np.rint(np.median(g)), -(2**15), 2**15 - 1)) if len(g) else 0 for g in groups]
    counted = [
        np.bincount(np.minimum(np.abs(g - c), _FITTED), minlength=_FITTED + 1)
        for g, c in zip(groups, centers, strict=True)
    ]
    bits = _costs() @ np.stack(counted, 1)  # [shapes, scales, contexts]
    shape = int(bits.min(1).sum(1).argmin())
    return shape, [int(scale) for scale in bits[shape].argmin(0)], centers


def _generalised_gaussian(shape: int, scale: int, low: int, high: int) -> Floats:
    """Probabilities of low … high around a centre 0, each a multiple of one over their sum."""
    k = np.arange(low, high + 1)
    a, b = SHAPES[shape], SCALES[scale]
    # On the side away from the centre, where differences of tails are accurate.
    inner, outer = _tail(a, b, np.maximum(np.abs(k) - 0.5, 0)), _tail(a, b, np.abs(k) + 0.5)
    mass = np.where(k == 0, 1 - 2 * outer, inner - outer)
    return _normalised(np.rint(mass * TOTAL) + 1)


def _shares(counts: Ints) -> npt.NDArray[np.uint8]:
    """Frequencies in a byte each: 0 for none, else eighths of an octave below the greatest."""
    with np.errstate(divide="ignore"):
        octaves = np.log2(counts / counts.max())
    return np.where(counts > 0, np.clip(np.rint(255 + 8 * octaves), 1, 255), 0).astype(np.uint8)


def _from_shares(shares: npt.NDArray[np.uint8]) -> Floats:
    mass = np.where(shares > 0, 2.0 ** ((shares.astype(np.float64) - 255) / 8), 0)
    return _normalised(np.rint(mass * TOTAL) + (shares > 0) if shares.any() else np.ones(len(shares)))


def _normalised(weights: Floats) -> Floats:
    normalised: Floats = weights / weights.sum()
    return normalised
