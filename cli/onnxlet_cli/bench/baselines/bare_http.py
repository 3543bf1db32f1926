"""The least that a function on functions-framework does: bytes in, `session.run`, bytes out."""

import os
from typing import Any

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(os.environ["MODEL_PATH"])


def handle(request: Any) -> tuple[bytes, int, dict[str, str]]:
    """Answer 64 floats with ten."""
    (output,) = session.run(None, {"input": np.frombuffer(request.get_data(), np.float32).reshape(1, 64)})
    return output.tobytes(), 200, {"content-type": "application/octet-stream"}
