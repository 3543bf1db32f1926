"""A typical handler: boto3 downloads the model to /tmp; a default session; JSON in and out."""

import json
import os
from typing import Any

import boto3
import numpy as np
import onnxruntime

PATH = os.environ.get("MODEL_PATH", "/tmp/model.onnx")  # noqa: S108 - Lambda's only writable folder
TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}

boto3.client("s3").download_file(os.environ["MODEL_BUCKET"], os.environ["MODEL_KEY"], PATH)
session = onnxruntime.InferenceSession(PATH)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer a Function URL: `{"input": [[...]]}` -> `{"output": [[...]]}`."""
    body = json.loads(event["body"])
    feed = {spec.name: np.array(body[spec.name], dtype=TYPES[spec.type]) for spec in session.get_inputs()}
    names = [spec.name for spec in session.get_outputs()]
    outputs = session.run(names, feed)
    answer = {name: output.tolist() for name, output in zip(names, outputs, strict=True)}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(answer)}
