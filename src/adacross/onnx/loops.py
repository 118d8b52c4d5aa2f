# mypy: ignore-errors
# onnxscript's language is not Python: this source is parsed and never run.
"""Operators with a loop, as onnxscript functions. Imported only where onnxscript is installed."""

from onnxscript import FLOAT, INT64, script
from onnxscript import opset18 as op
from onnxscript.values import Opset

_domain = Opset("adacross", 1)


@script(_domain, default_opset=op)
def farthest_points(points: FLOAT["B", "N", "D"], count: int) -> INT64["B", "count"]:
    """`adacross.ops.neighbors.farthest_point_sample`: one iteration of an ONNX Loop for each point."""
    # Named constants: a literal would be cast to the other operand's type in every iteration.
    nought, one = op.Constant(value_int=0), op.Constant(value_int=1)
    axis = op.Constant(value_ints=[2])
    steps = op.Constant(value_int=count)
    places = op.Range(nought, steps, one)
    distance = op.Expand(op.Constant(value_float=3.4e38), op.Shape(points, start=0, end=2))
    last = op.ArgMax(distance, axis=1, keepdims=1)  # all are equal, so index 0
    chosen = op.Mul(last, places)
    for i in range(op.Sub(steps, one)):
        center = op.Unsqueeze(op.GatherND(points, last, batch_dims=1), op.Constant(value_ints=[1]))
        offset = op.Sub(points, center)
        distance = op.Min(distance, op.ReduceSum(op.Mul(offset, offset), axis, keepdims=0))
        last = op.ArgMax(distance, axis=1, keepdims=1)
        chosen = op.Where(op.Equal(places, op.Add(i, one)), last, chosen)
    return chosen
