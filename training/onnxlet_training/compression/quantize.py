"""Quantize: weights and activations of an ONNX graph as eight-bit integers.

Source: B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
2018; ONNX Runtime, "Quantize ONNX models" (static).
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from onnxlet_training.recipe import Array

BATCH_ROWS = 32

OPERATORS = ("Conv", "Gemm", "MatMul", "MaxPool", "Relu")
"""The operators to quantize: not the softmax, whose probabilities would have steps of 1/256. A quantized Relu costs
nothing, as the range before it begins at zero; a float Relu would need a conversion and back after each convolution."""


class _Rows(CalibrationDataReader):
    """Calibration features in batches."""

    def __init__(self, name: str, features: Array) -> None:
        starts = range(0, len(features), BATCH_ROWS)
        self._batches = iter({name: features[start : start + BATCH_ROWS]} for start in starts)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)


def quantize(path: Path, input_name: str, calibration: Array, target: Path) -> None:
    """Write the FP32 graph at `path` with eight-bit weights, one scale for each channel, and eight-bit activations.

    The calibration features, from the training split, determine the activations' ranges.
    """
    with _without_advice(), tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            _Rows(input_name, calibration),
            # Half the nodes of QDQ: digits becomes 3.3 times smaller instead of 2.9, at the same speed.
            quant_format=QuantFormat.QOperator,
            op_types_to_quantize=list(OPERATORS),
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
        )


@contextmanager
def _without_advice() -> Iterator[None]:
    """Silence the quantizer's advice, which it logs through the root logger and which is followed here already."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(max(level, logging.ERROR))
    try:
        yield
    finally:
        root.setLevel(level)
