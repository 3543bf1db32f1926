"""A typical handler for photos: boto3 downloads the model to /tmp, Pillow and numpy make the input, JSON out."""

import io
import json
import os
from base64 import b64decode
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import onnxruntime
from PIL import Image

PATH = os.environ.get("MODEL_PATH", "/tmp/model.onnx")  # noqa: S108 - Lambda's only writable folder
MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)

boto3.client("s3").download_file(os.environ["MODEL_BUCKET"], os.environ["MODEL_KEY"], PATH)
session = onnxruntime.InferenceSession(PATH)
labels = Path(os.environ["LABELS"]).read_text().splitlines()


def classify(photo: bytes) -> dict[str, Any]:
    """Return the label of a photo, and its probability."""
    image = Image.open(io.BytesIO(photo)).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
    pixels = (np.asarray(image, dtype=np.float32) / 255 - MEAN) / STD
    (scores,) = session.run(None, {"input": pixels.transpose(2, 0, 1)[np.newaxis]})
    powers = np.exp(scores[0] - scores[0].max())
    best = int(scores[0].argmax())
    return {"label": labels[best], "score": float(powers[best] / powers.sum())}


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer a Function URL: a photo -> its label."""
    answer = classify(b64decode(event["body"]))
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(answer)}
