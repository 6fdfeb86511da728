"""A value of eight floats for Numba kernels.

LLVM's loop vectoriser gives up on loops that mix several arrays, masks and early exits, which is what a
blending loop is. This module names the vector instead: ``F8`` is LLVM's ``<8 x float>`` and ``B8`` its
``<8 x i1>``, with arithmetic and comparison operators, so a kernel reads like scalar Python and compiles to
one instruction an operation on AVX2 (two on NEON or SSE; LLVM splits the vector itself).

Both types live only inside kernels. Arrays are one-dimensional float32; ``load`` and ``store`` take any
element index and check no bounds.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 8

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_BOOLS = ir.VectorType(ir.IntType(1), LANES)
_INT = ir.IntType(32)
_FAST = ("contract", "arcp", "nsz")


class _F8Type(types.Type):
    def __init__(self) -> None:
        super().__init__(name="F8")


class _B8Type(types.Type):
    def __init__(self) -> None:
        super().__init__(name="B8")


F8 = _F8Type()
B8 = _B8Type()


@register_model(_F8Type)
class _F8Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, frontend_type: Any) -> None:
        super().__init__(manager, frontend_type, _FLOATS)


@register_model(_B8Type)
class _B8Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, frontend_type: Any) -> None:
        super().__init__(manager, frontend_type, _BOOLS)


def _operator(op: Any, operand: types.Type, result: types.Type, emit: Callable[[Any, Any, Any], Any]) -> None:
    """Give ``operand op operand -> result`` a type rule and its LLVM instruction."""

    class Rule(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and args[0] == operand and args[1] == operand:
                return signature(result, operand, operand)
            return None

    infer_global(op)(Rule)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return emit(builder, args[0], args[1])

    lower_builtin(op, operand, operand)(lower)


_operator(operator.add, F8, F8, lambda b, x, y: b.fadd(x, y, flags=_FAST))
_operator(operator.sub, F8, F8, lambda b, x, y: b.fsub(x, y, flags=_FAST))
_operator(operator.mul, F8, F8, lambda b, x, y: b.fmul(x, y, flags=_FAST))
_operator(operator.truediv, F8, F8, lambda b, x, y: b.fdiv(x, y, flags=_FAST))
_operator(operator.lt, F8, B8, lambda b, x, y: b.fcmp_ordered("<", x, y))
_operator(operator.ge, F8, B8, lambda b, x, y: b.fcmp_ordered(">=", x, y))


def _constant_index(lane: int) -> ir.Constant:
    return ir.Constant(_INT, lane)


def _shuffle(builder: Any, vector: Any, lanes: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(_INT, len(lanes)), lanes)
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _FLOATS.as_pointer())


@intrinsic
def splat(typing: Any, value: Any) -> Any:
    """Eight copies of one number."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        scalar = context.cast(builder, args[0], sig.args[0], types.float32)
        one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), scalar, _constant_index(0))
        return _shuffle(builder, one, [0] * LANES)

    return F8(value), emit


@intrinsic
def lanes(typing: Any) -> Any:
    """0, 1, ... 7."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(_FLOATS, [float(i) for i in range(LANES)])

    return F8(), emit


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """``array[index : index + 8]``."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, sig.args[0], args[0], args[1]), align=4)

    return F8(array, types.intp), emit


@intrinsic
def store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """``array[index : index + 8] = value``."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(context, builder, sig.args[0], args[0], args[1]), align=4)
        return context.get_dummy_value()

    return types.none(array, types.intp, F8), emit


@intrinsic
def fetch_ahead(typing: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of ``array[index]``, which is soon read or written; waits for nothing."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        byte = ir.IntType(8).as_pointer()
        place = builder.bitcast(builder.gep(data, [args[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, _INT, _INT, _INT])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        # For reading, to be kept in all caches, of data.
        builder.call(prefetch, [place, _constant_index(0), _constant_index(3), _constant_index(1)])
        return context.get_dummy_value()

    return types.none(array, types.intp), emit


@intrinsic
def select(typing: Any, mask: Any, yes: Any, no: Any) -> Any:
    """Lane by lane ``yes if mask else no``."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(args[0], args[1], args[2])

    return F8(B8, F8, F8), emit


@intrinsic
def at_least(typing: Any, value: Any, limit: Any) -> Any:
    """``max(value, limit)``, and ``limit`` where ``value`` is not a number."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[0], args[1])

    return F8(F8, F8), emit


@intrinsic
def at_most(typing: Any, value: Any, limit: Any) -> Any:
    """``min(value, limit)``, and ``limit`` where ``value`` is not a number."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[0], args[1])

    return F8(F8, F8), emit


@intrinsic
def any_lane(typing: Any, mask: Any) -> Any:
    """True if the mask holds in at least one lane."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(LANES), 0))

    return types.boolean(B8), emit


@intrinsic
def total(typing: Any, value: Any) -> Any:
    """Sum of the eight lanes, always in the same order."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector, width = args[0], LANES
        while width > 1:
            width //= 2
            low = _shuffle(builder, vector, list(range(width)))
            high = _shuffle(builder, vector, list(range(width, 2 * width)))
            vector = builder.fadd(low, high)
        return builder.extract_element(vector, _constant_index(0))

    return types.float32(F8), emit


@intrinsic
def highest(typing: Any, value: Any) -> Any:
    """Largest of the eight lanes."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector, width = args[0], LANES
        while width > 1:
            width //= 2
            low = _shuffle(builder, vector, list(range(width)))
            high = _shuffle(builder, vector, list(range(width, 2 * width)))
            vector = builder.select(builder.fcmp_ordered(">", low, high), low, high)
        return builder.extract_element(vector, _constant_index(0))

    return types.float32(F8), emit


@intrinsic
def totals(typing: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any) -> Any:
    """The sums of eight vectors as one vector, at less than half the price of eight sums."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        # Each step folds pairs of vectors into one that holds partial sums of both; the order makes
        # the last one come out sorted.
        vectors = [args[i] for i in (0, 4, 2, 6, 1, 5, 3, 7)]
        for run in (4, 2, 1):
            blocks = range(0, LANES, 2 * run)
            low = [side + b + i for b in blocks for side in (0, LANES) for i in range(run)]
            high = [lane + run for lane in low]
            masks = [ir.Constant(ir.VectorType(_INT, LANES), mask) for mask in (low, high)]
            vectors = [
                builder.fadd(builder.shuffle_vector(x, y, masks[0]), builder.shuffle_vector(x, y, masks[1]))
                for x, y in zip(vectors[0::2], vectors[1::2], strict=True)
            ]
        return vectors[0]

    return F8(F8, F8, F8, F8, F8, F8, F8, F8), emit


@intrinsic
def magnitude(typing: Any, value: Any) -> Any:
    """Absolute value of each lane."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        negative = builder.fneg(args[0])
        return builder.select(builder.fcmp_ordered("<", args[0], negative), negative, args[0])

    return F8(F8), emit
