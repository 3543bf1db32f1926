"""A first deployment: TensorFlow, with the Keras file loaded again from S3 for every request."""

import json
import os
from typing import Any

import boto3
import keras
import numpy as np

PATH = os.environ.get("MODEL_PATH", "/tmp/model.keras")  # noqa: S108 - Lambda's only writable folder


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer a Function URL: `{"input": [[...]]}` -> `{"output": [[...]]}`."""
    boto3.client("s3").download_file(os.environ["MODEL_BUCKET"], os.environ["MODEL_KEY"], PATH)
    model = keras.models.load_model(PATH)
    outputs = model.predict(np.array(json.loads(event["body"])["input"], dtype=np.float32), verbose=0)
    answer = {"output": outputs.tolist()}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(answer)}
