"""Products of rows that lie anywhere in memory with the matrices of a kernel, without a copy of the rows.

A tile of the result, some rows by one or two vectors of columns, is summed in registers. LLVM does not do this with
loops in Python, so the tile is written in its own language, which numba compiles (llvmlite).
"""

from collections.abc import Callable
from itertools import chain
from typing import Any, NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from torch import Tensor
from torch.nn import functional

from cdmtrain.compiled import jit

INDEX, COUNT = ir.IntType(64), ir.IntType(32)
_FEATURES = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
VECTOR_BYTES = 64 if "+avx512f" in _FEATURES else 32 if "+avx" in _FEATURES else 16
ROWS = 8 if VECTOR_BYTES == 64 else 4  # of a tile: with two vectors of columns it fits into 32 or 16 registers
LARGEST_VECTOR = 16  # numbers: to multiples of this the columns of weights are padded


def padded(weight: Float[Tensor, "element inputs outputs"]) -> Float[np.ndarray, "element inputs columns"]:
    """The matrices for `add_products`: columns of zeros complete the last vector."""
    missing = -weight.shape[2] % LARGEST_VECTOR
    matrices = functional.pad(weight, (0, missing)) if missing else weight
    return matrices.detach().contiguous().numpy()


@jit
@no_type_check  # numba knows the types
def add_products(x, matrices, y, source, target, begin):
    """y_t += x_s W_k for the pairs (s, t) of each element k of a kernel, which begin at begin[k] and end at the next.

    Shapes: x (N, inputs), matrices as `padded` returns them, y (M, outputs), source and target (pair,), int32.
    """
    for element in range(len(matrices)):
        add_product(x, matrices[element], y, source, target, begin[element], begin[element + 1], True)


@jit
@no_type_check
def add_product(x, matrix, y, source, target, pair, last, added):
    """The same of one matrix and the pairs from one to another; with None for source and target pair i is (i, i).

    With None for `added`, y_t is replaced.
    """
    vector = VECTOR_BYTES // x.itemsize
    while pair < last:
        whole = pair + ROWS <= last
        for column in range(0, y.shape[1], 2 * vector):
            rest = y.shape[1] - column
            if whole and rest >= 2 * vector:
                _tile_of_products(ROWS, 2, False, x, source, matrix, y, target, pair, column, added)
            elif whole and rest > vector:
                _tile_of_products(ROWS, 2, True, x, source, matrix, y, target, pair, column, added)
            elif whole:
                _tile_of_products(ROWS, 1, True, x, source, matrix, y, target, pair, column, added)
            elif rest > vector:
                _tile_of_products(1, 2, True, x, source, matrix, y, target, pair, column, added)
            else:
                _tile_of_products(1, 1, True, x, source, matrix, y, target, pair, column, added)
        pair += ROWS if whole else 1


@jit
@no_type_check
def add_outer_products(x, y, total, source, target, begin):
    """total_k += x_s^T y_t for the pairs (s, t) of each element k, listed as in `add_products`.

    Shapes: x (N, inputs), y (M, outputs), total (element, inputs, outputs).
    """
    for element in range(len(total)):
        add_outer_product(x, y, total[element], source, target, begin[element], begin[element + 1])


@jit
@no_type_check
def add_outer_product(x, y, total, source, target, first, last):
    """The same of one element, for pairs as in `add_product`."""
    vector, row = VECTOR_BYTES // x.itemsize, 0
    while row < x.shape[1]:
        whole = row + ROWS <= x.shape[1]
        for column in range(0, y.shape[1], 2 * vector):
            rest = y.shape[1] - column
            if whole and rest >= 2 * vector:
                _tile_of_outer_products(ROWS, 2, False, x, source, y, target, first, last, total, row, column)
            elif whole and rest > vector:
                _tile_of_outer_products(ROWS, 2, True, x, source, y, target, first, last, total, row, column)
            elif whole:
                _tile_of_outer_products(ROWS, 1, True, x, source, y, target, first, last, total, row, column)
            elif rest > vector:
                _tile_of_outer_products(1, 2, True, x, source, y, target, first, last, total, row, column)
            else:
                _tile_of_outer_products(1, 1, True, x, source, y, target, first, last, total, row, column)
        row += ROWS if whole else 1


@intrinsic(prefer_literal=True)
@no_type_check
def _tile_of_products(context, rows, vectors, masked, x, source, matrix, y, target, pair, column, added):
    """y[target[pair + r], columns] += x[source[pair + r]] @ matrix[:, columns] for each of the rows r, or = ..."""

    def generate(context, builder, signature, arguments):
        x, source, matrix, y, target = (Array(context, builder, signature, arguments, i) for i in range(3, 8))
        pair, column, _ = arguments[8:]
        pairs = [builder.add(pair, INDEX(row)) for row in range(rows.literal_value)]
        of_pair = [x.row(source.at(number)) for number in pairs]
        _add_tile(
            builder,
            terms=(INDEX(0), x.width),
            scalars=lambda term: [builder.load(builder.gep(row, [term])) for row in of_pair],
            vectors=lambda term: builder.gep(matrix.row(term), [column]),
            results=[builder.gep(y.row(target.at(number)), [column]) for number in pairs],
            shape=Shape(vectors.literal_value, masked.literal_value and builder.sub(y.width, column), True),
            replaces=isinstance(added, types.NoneType),
        )

    return types.void(rows, vectors, masked, x, source, matrix, y, target, pair, column, added), generate


@intrinsic(prefer_literal=True)
@no_type_check
def _tile_of_outer_products(context, rows, vectors, masked, x, source, y, target, first, last, total, row, column):
    """total[row + r, columns] += x[s, row + r] y[t, columns], summed over pairs (s, t), for each of the rows r."""

    def generate(context, builder, signature, arguments):
        x, source, y, target = (Array(context, builder, signature, arguments, i) for i in range(3, 7))
        first, last, _, row, column = arguments[7:]
        total = Array(context, builder, signature, arguments, 9)
        numbers = [builder.add(row, INDEX(number)) for number in range(rows.literal_value)]

        def scalars(pair):
            of_pair = x.row(source.at(pair))
            return [builder.load(builder.gep(of_pair, [number])) for number in numbers]

        _add_tile(
            builder,
            terms=(first, last),
            scalars=scalars,
            vectors=lambda pair: builder.gep(y.row(target.at(pair)), [column]),
            results=[builder.gep(total.row(number), [column]) for number in numbers],
            shape=Shape(vectors.literal_value, masked.literal_value and builder.sub(y.width, column), True),
        )

    return types.void(rows, vectors, masked, x, source, y, target, first, last, total, row, column), generate


class Array:
    """An argument of an intrinsic that is an array, its rows one after another."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any, number: int) -> None:
        self._builder, self._data = builder, None
        if isinstance(signature.args[number], types.NoneType):
            return
        array = context.make_array(signature.args[number])(context, builder, arguments[number])
        self._data, (stride, *_) = array.data, cgutils.unpack_tuple(builder, array.strides)
        self._stride, self.width = builder.sdiv(stride, array.itemsize), cgutils.unpack_tuple(builder, array.shape)[-1]

    def row(self, number: ir.Value) -> ir.Value:
        return self._builder.gep(self._data, [self._builder.mul(number, self._stride)])

    def at(self, number: ir.Value) -> ir.Value:
        if self._data is None:
            return number
        return self._builder.sext(self._builder.load(self._builder.gep(self._data, [number])), INDEX)


class Shape(NamedTuple):
    """The columns of a tile: so many vectors, of which the last ends early where `left` columns are left."""

    vectors: int
    left: Any  # False: all are whole
    inputs_end: bool  # whether what is multiplied ends there too, and not only the result


def _add_tile(
    builder: Any,
    *,
    terms: tuple[ir.Value, ir.Value],
    scalars: Callable[[ir.Value], list[ir.Value]],
    vectors: Callable[[ir.Value], ir.Value],
    results: list[ir.Value],
    shape: Shape,
    replaces: bool = False,
) -> None:
    """results[r] += the sum over the terms of scalars(term)[r] * vectors(term), in registers, or = with `replaces`."""
    number_type = results[0].type.pointee
    bits = 32 if isinstance(number_type, ir.FloatType) else 64
    vector = ir.VectorType(number_type, 8 * VECTOR_BYTES // bits)
    name = f"v{vector.count}f{bits}"
    mask = None if shape.left is False else _first_lanes(builder, shape, vector)

    def function(kind: str, result: ir.Type, *arguments: ir.Type) -> Any:
        return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), f"llvm.{kind}")

    def place(start: ir.Value, number: int) -> ir.Value:
        return builder.bitcast(builder.gep(start, [INDEX(number * vector.count)]), vector.as_pointer())

    def load(start: ir.Value, number: int, ends: bool) -> ir.Value:
        if mask is None or not ends or number < shape.vectors - 1:
            return builder.load(place(start, number), align=bits // 8)
        masked = function(f"masked.load.{name}.p0", vector, vector.as_pointer(), COUNT, mask.type, vector)
        return builder.call(masked, [place(start, number), COUNT(bits // 8), mask, vector(None)])

    def store(value: ir.Value, start: ir.Value, number: int) -> None:
        if mask is None or number < shape.vectors - 1:
            builder.store(value, place(start, number), align=bits // 8)
            return
        masked = function(f"masked.store.{name}.p0", ir.VoidType(), vector, vector.as_pointer(), COUNT, mask.type)
        builder.call(masked, [value, place(start, number), COUNT(bits // 8), mask])

    multiply_add = function(f"fma.{name}", vector, vector, vector, vector)
    sums = [[cgutils.alloca_once_value(builder, vector(None)) for _ in range(shape.vectors)] for _ in results]
    for one in chain(*sums):
        builder.store(vector(None), one)
    with cgutils.for_range_slice(builder, *terms, INDEX(1)) as (term, _):
        start = vectors(term)
        columns = [load(start, number, shape.inputs_end) for number in range(shape.vectors)]
        for scalar, row in zip(scalars(term), sums, strict=True):
            factor = _all_lanes(builder, scalar, vector)
            for one, column in zip(row, columns, strict=True):
                builder.store(builder.call(multiply_add, [factor, column, builder.load(one)]), one)
    for result, row in zip(results, sums, strict=True):
        for number, one in enumerate(row):
            total = builder.load(one)
            store(total if replaces else builder.fadd(load(result, number, True), total), result, number)


def _first_lanes(builder: Any, shape: Shape, vector: ir.VectorType) -> ir.Value:
    """Which lanes of the last vector of a tile have a column."""
    lanes = ir.VectorType(INDEX, vector.count)
    left = builder.sub(shape.left, INDEX((shape.vectors - 1) * vector.count))
    return builder.icmp_signed("<", lanes(list(range(vector.count))), _all_lanes(builder, left, lanes))


def _all_lanes(builder: Any, value: ir.Value, vector: ir.VectorType) -> ir.Value:
    undefined = vector(ir.Undefined)
    first = builder.insert_element(undefined, value, COUNT(0))
    return builder.shuffle_vector(first, undefined, ir.VectorType(COUNT, vector.count)(None))
