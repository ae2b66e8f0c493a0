"""Write an ONNX graph as one writes formulas: arrays that stand for the results of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET, IR_VERSION = 20, 10  # what onnxruntime reads since 1.18
Number = int | float | bool


class Array:
    """The result of a node. Arithmetic adds nodes to its graph; a Python number takes the type of the array."""

    def __init__(self, graph: Graph, name: str, dtype: Any) -> None:
        self.graph, self.name, self.dtype = graph, name, np.dtype(dtype)

    def _with(self, operation: str, other: Array | Number, *, swapped: bool = False, dtype: Any = None) -> Array:
        if not isinstance(other, Array):
            other = self.graph.constant(np.array(other, self.dtype))
        return self.graph.op(operation, *((other, self) if swapped else (self, other)), dtype=dtype or self.dtype)

    def __add__(self, other: Array | Number) -> Array:
        return self._with("Add", other)

    def __radd__(self, other: Number) -> Array:
        return self._with("Add", other)

    def __sub__(self, other: Array | Number) -> Array:
        return self._with("Sub", other)

    def __rsub__(self, other: Number) -> Array:
        return self._with("Sub", other, swapped=True)

    def __mul__(self, other: Array | Number) -> Array:
        return self._with("Mul", other)

    def __truediv__(self, other: Array | Number) -> Array:
        """Division; of integers, which are not negative here, the whole part."""
        return self._with("Div", other)

    def __mod__(self, other: Array | Number) -> Array:
        return self._with("Mod", other)

    def __matmul__(self, other: Array) -> Array:
        return self._with("MatMul", other)

    def __lt__(self, other: Array | Number) -> Array:
        return self._with("Less", other, dtype=bool)

    def __le__(self, other: Array | Number) -> Array:
        return self._with("LessOrEqual", other, dtype=bool)

    def __gt__(self, other: Array | Number) -> Array:
        return self._with("Greater", other, dtype=bool)

    def __ge__(self, other: Array | Number) -> Array:
        return self._with("GreaterOrEqual", other, dtype=bool)

    def equals(self, other: Array | Number) -> Array:
        return self._with("Equal", other, dtype=bool)

    def __and__(self, other: Array) -> Array:
        return self._with("And", other)

    def __or__(self, other: Array) -> Array:
        return self._with("Or", other)

    def __invert__(self) -> Array:
        return self.graph.op("Not", self)

    def maximum(self, other: Array | Number) -> Array:
        return self._with("Max", other)

    def minimum(self, other: Array | Number) -> Array:
        return self._with("Min", other)

    def apply(self, operation: str, **attributes: Any) -> Array:
        """A function of one argument that keeps the type, such as Sqrt."""
        return self.graph.op(operation, self, **attributes)

    def cast(self, dtype: Any) -> Array:
        to = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self if self.dtype == dtype else self.graph.op("Cast", self, to=to, dtype=dtype)

    def float(self) -> Array:
        return self.cast(np.float32)

    def log1p(self) -> Array:
        """ln(1 + x), with an absolute error of a rounding."""
        return (self + 1).apply("Log")

    def take(self, index: Array | int, axis: int = 0) -> Array:
        """The rows of these numbers; of a single number the row itself, without its axis."""
        if not isinstance(index, Array):
            index = self.graph.constant(np.array(index, np.int64))
        return self.graph.op("Gather", self, index, axis=axis)

    def part(self, first: Size, end: Size, *, axis: int) -> Array:
        """The part first : end along an axis."""
        return self.graph.op("Slice", self, *(self.graph.shape(one) for one in (first, end, axis)))

    def rows(self, first: Size, end: Size) -> Array:
        """The rows first : end."""
        return self.part(first, end, axis=0)

    def reshape(self, *sizes: Size) -> Array:
        """The same numbers in another shape; -1 for one size that follows."""
        return self.graph.op("Reshape", self, self.graph.shape(*sizes), allowzero=int(-1 not in sizes))

    def with_first_axes(self, number: int, *sizes: Size) -> Array:
        """The same numbers with these sizes in place of the first axes, of which there are so many."""
        others = self.graph.op("Shape", self, start=number, dtype=np.int64)
        return self.graph.op("Reshape", self, self.graph.concat([self.graph.shape(*sizes), others]), allowzero=1)

    def unsqueeze(self, axis: int) -> Array:
        return self.graph.op("Unsqueeze", self, self.graph.constant(np.array([axis], np.int64)))

    def squeeze(self, axis: int) -> Array:
        return self.graph.op("Squeeze", self, self.graph.constant(np.array([axis], np.int64)))

    def transpose(self, *axes: int) -> Array:
        return self.graph.op("Transpose", self, perm=list(axes))

    def reduce(self, how: str, *axes: int, keepdims: bool = False) -> Array:
        """Sum, Mean, Max, Min or Prod along the axes."""
        return self.graph.op(
            f"Reduce{how}", self, self.graph.constant(np.array(axes, np.int64)), keepdims=int(keepdims)
        )

    def largest(self, least: int) -> Array:
        """The largest of some whole numbers and `least`, as an array of one number."""
        return self.graph.concat([self, self.graph.shape(least)]).reduce("Max", 0, keepdims=True)

    def cumsum(self) -> Array:
        """Sums of the rows up to each, that row included."""
        return self.graph.op("CumSum", self, self.graph.constant(np.array(0, np.int64)))

    def size(self, axis: int = 0) -> Array:
        """The length of an axis, as an array of one number."""
        return self.graph.op("Shape", self, start=axis, end=axis + 1, dtype=np.int64)

    def nonzero(self, num_axes: int = 1) -> list[Array]:
        """The indices of what is true or not zero, in ascending order: one array for each axis."""
        found = self.graph.op("NonZero", self, dtype=np.int64)
        return [found.take(axis) for axis in range(num_axes)]

    def scatter(self, index: Array, rows: Array) -> Array:
        """These rows, with others in the places of `index`, each place at most once."""
        return self.graph.op("ScatterND", self, index.unsqueeze(1), rows)

    def add_at(self, index: Array, rows: Array) -> Array:
        """The sum with rows in the places of `index`, each place at most once: onnxruntime adds in several threads."""
        return self.graph.op("ScatterND", self, index.unsqueeze(1), rows, reduction="add")

    def add_all_at(self, index: Array, numbers: Array, how: str = "add") -> Array:
        """The sum, "max" or "min" with numbers in the places of `index`, one after the other. One axis only: slow."""
        return self.graph.op("ScatterElements", self, index, numbers, reduction=how)


Size = int | Array  # of one number


class Graph:
    """Nodes and constants of an ONNX graph, added by `Array`s."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.defaults: dict[str, np.ndarray] = {}
        self.constants: dict[tuple[Any, ...], tuple[str, np.ndarray]] = {}
        self._number = 0

    def array(self, dtype: Any) -> Array:
        """A new name for the result of a node."""
        self._number += 1
        return Array(self, f"v{self._number}", dtype)

    def input(self, name: str, dtype: Any, shape: Sequence[int | str], *, default: np.ndarray | None = None) -> Array:
        """An input of the graph; one with a default need not be given."""
        self.inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape))
        if default is not None:
            self.defaults[name] = default
        return Array(self, name, dtype)

    def constant(self, value: Any) -> Array:
        """A constant; equal ones are stored once."""
        value = np.ascontiguousarray(value).reshape(np.shape(value))
        key = (value.dtype.str, value.shape, value.tobytes())
        name, _ = self.constants.setdefault(key, (f"c{len(self.constants)}", value))
        return Array(self, name, value.dtype)

    def op(self, operation: str, *inputs: Array | None, dtype: Any = None, **attributes: Any) -> Array:
        """Add a node of one result, whose type is that of its first input unless given."""
        return self.ops(operation, *inputs, dtypes=[dtype], **attributes)[0]

    def ops(self, operation: str, *inputs: Array | None, dtypes: Sequence[Any], **attributes: Any) -> list[Array]:
        """Add a node of several results."""
        given = next((one.dtype for one in inputs if one is not None), None)
        results = [self.array(dtype or given) for dtype in dtypes]
        names = [one.name if one is not None else "" for one in inputs]
        self.nodes.append(helper.make_node(operation, names, [one.name for one in results], **attributes))
        return results

    def shape(self, *sizes: Size) -> Array:
        """Sizes as one array."""
        if not any(isinstance(one, Array) for one in sizes):
            return self.constant(np.array(sizes, np.int64))
        return self.concat([one if isinstance(one, Array) else self.shape(one) for one in sizes])

    def concat(self, arrays: Sequence[Array], axis: int = 0) -> Array:
        return self.op("Concat", *arrays, axis=axis) if len(arrays) > 1 else arrays[0]

    def where(self, mask: Array, yes: Array | Number, no: Array | Number) -> Array:
        dtype = next(one.dtype for one in (yes, no) if isinstance(one, Array))
        given = (one if isinstance(one, Array) else self.constant(np.array(one, dtype)) for one in (yes, no))
        return self.op("Where", mask, *given, dtype=dtype)

    def arange(self, number: Array) -> Array:
        zero, one = (self.constant(np.array(value, np.int64)) for value in (0, 1))
        return self.op("Range", zero, self.op("Squeeze", number), one)

    def full(self, shape: Sequence[Size], value: Number, dtype: Any = np.float32) -> Array:
        content = numpy_helper.from_array(np.array([value], dtype))
        return self.op("ConstantOfShape", self.shape(*shape), value=content, dtype=dtype)

    def sort(self, value: Array) -> Array:
        """The order in which the values ascend; equal ones stay in their order."""
        options = {"axis": 0, "largest": 0, "sorted": 1}
        return self.ops("TopK", value, value.size(), dtypes=[value.dtype, np.int64], **options)[1]
