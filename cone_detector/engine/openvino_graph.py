# SPDX-License-Identifier: Apache-2.0
"""Two rewrites of a network that leave its result as it is and spare OpenVINO's CPU plugin work.

Where a convolution's output is only cut in two (YOLO's C2f, C3k2), the plugin writes it as floats, cuts those, and
quantizes each part again; of two convolutions with half the filters each, both write INT8 at once. And where the last
convolution of the box head is pointwise, its output is needed at the best anchors only, a sixteenth of all.
A graph that looks otherwise stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import openvino as ov


def spare_work(model: ov.Model) -> None:
    """Rewrites the network in place."""
    _part_convolutions(model)
    _locate_best_only(model)
    model.validate_nodes_and_infer_types()


def _part_convolutions(model: ov.Model) -> None:
    """Gives each slice of a convolution's channels a convolution of its own."""
    from openvino import opset13 as ops

    for cut in model.get_ordered_ops():
        chain = _chain(cut, "Slice", "Swish", "Add", "Convolution")
        if chain is None:
            continue
        _, _, add, convolution = chain
        channels = cut.input_value(0).get_shape()[1]
        bounds = [_constant(cut.input_value(n)) for n in (1, 2, 3, 4)]
        bias = _constant(add.input_value(1))
        if bias is None or any(bound is None for bound in bounds):
            continue
        start, stop, step, axis = (int(bound.item()) for bound in bounds)  # type: ignore[union-attr]
        weights = _filters(convolution.input_value(1), slice(start, min(stop, channels)))
        if (axis, step) != (1, 1) or weights is None or bias.shape != (1, channels, 1, 1):
            continue
        form = convolution.get_attributes()
        part = ops.convolution(
            convolution.input_value(0),
            weights,
            *(form[name] for name in ("strides", "pads_begin", "pads_end", "dilations", "auto_pad")),
        )
        part = ops.swish(ops.add(part, ops.constant(bias[:, start : min(stop, channels)])))
        _replace(cut, part)


def _locate_best_only(model: ov.Model) -> None:
    """Runs the box head's last, pointwise convolutions at the best anchors, after these have been chosen."""
    from openvino import opset13 as ops

    for pick in model.get_ordered_ops():
        chain = _chain(pick, "GatherElements", "Concat")
        spread = _chain(pick, "GatherElements", "Broadcast", "Unsqueeze", source=1)
        if chain is None or spread is None:
            continue
        ends = [_chain(value.get_node(), "Reshape", "Add", "Convolution") for value in chain[1].input_values()]
        levels = [(end[2], *head) for end in ends if end is not None and (head := _pointwise(end[1], end[2]))]
        shapes = {weights.shape for _, weights, _ in levels}
        if len(levels) < len(ends) or len(shapes) > 1 or pick.get_output_partial_shape(0).is_dynamic:
            continue
        best = ops.convert(spread[2].input_value(0), "i32")
        boxes, first = None, 0
        for convolution, weights, bias in levels:
            features = ops.transpose(convolution.input_value(0), ops.constant([0, 2, 3, 1]))
            images, height, width, inputs = features.output(0).get_shape()
            features = ops.reshape(features, ops.constant([images, height * width, inputs]), False)
            # Which level an anchor belongs to is known at run time only, so each one answers for all: what it says of
            # another's anchors, at its own nearest place, does not count.
            within = ops.clamp(ops.subtract(best, ops.constant(np.int32(first))), 0, height * width - 1)
            chosen = ops.gather(features, within, ops.constant(1), 1)
            found = ops.add(ops.matmul(chosen, ops.constant(weights), False, True), ops.constant(bias))
            here = ops.unsqueeze(ops.greater_equal(best, ops.constant(np.int32(first))), ops.constant(2))
            boxes = found if boxes is None else ops.select(here, found, boxes)
            first += height * width
        _replace(pick, ops.transpose(boxes, ops.constant([0, 2, 1])))


def _chain(last: Any, *kinds: str, source: int = 0) -> list[Any] | None:
    """`last` and what its input `source`, then each first input, comes from; None where they are not of these kinds."""
    found = [last]
    for number, kind in enumerate(kinds):
        if found[-1].get_type_name() != kind:
            return None
        if number + 1 < len(kinds):
            found.append(found[-1].input_value(source if number == 0 else 0).get_node())
    return found


def _constant(value: Any) -> NDArray[Any] | None:
    """What a constant holds, behind a change of its type or shape too; None where it is none."""
    node = value.get_node()
    if node.get_type_name() in ("Convert", "Reshape"):
        inner = _constant(node.input_value(0))
        if inner is None or node.get_output_partial_shape(0).is_dynamic:
            return None
        return inner.astype(node.get_output_element_type(0).to_dtype()).reshape(node.get_output_shape(0))
    return node.data if node.get_type_name() == "Constant" else None


def _filters(value: Any, rows: slice) -> Any:
    """Some filters of a convolution's weights, float or INT8 with a scale a filter; None where they are otherwise."""
    from openvino import opset13 as ops

    node = value.get_node()
    if node.get_type_name() != "Multiply":
        weights = _constant(value)
        return None if weights is None else ops.constant(np.ascontiguousarray(weights[rows]))
    convert = node.input_value(0).get_node()
    scale = _constant(node.input_value(1))
    if convert.get_type_name() != "Convert" or scale is None or scale.ndim != 4:
        return None
    weights = _constant(convert.input_value(0))
    if weights is None or weights.dtype != np.int8 or len(scale) != len(weights):
        return None
    # Converted in the graph: these are the INT8 weights that the plugin looks for.
    stored = ops.convert(ops.constant(np.ascontiguousarray(weights[rows])), "f32")
    return ops.multiply(stored, ops.constant(np.ascontiguousarray(scale[rows])))


def _pointwise(add: Any, convolution: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """(outputs, inputs) weights and (outputs,) bias of a 1x1 convolution with float weights; None for another."""
    weights, bias = _constant(convolution.input_value(1)), _constant(add.input_value(1))
    if weights is None or bias is None or weights.shape[2:] != (1, 1) or bias.size != len(weights):
        return None
    if list(convolution.get_attributes()["strides"]) != [1, 1]:
        return None
    return weights[:, :, 0, 0].astype(np.float32), bias.reshape(-1).astype(np.float32)


def _replace(node: Any, other: Any) -> None:
    for target in list(node.output(0).get_target_inputs()):
        target.replace_source_output(other.output(0))
