"""A typical handler for texts: boto3 downloads model and tokenizer to /tmp, numpy pools the vectors, JSON out."""

import json
import os
from typing import Any

import boto3
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

PATH = os.environ.get("MODEL_PATH", "/tmp/model.onnx")  # noqa: S108 - Lambda's only writable folder
BUCKET = os.environ["MODEL_BUCKET"]

s3 = boto3.client("s3")
s3.download_file(BUCKET, os.environ["MODEL_KEY"], PATH)
s3.download_file(BUCKET, os.environ["TOKENIZER_KEY"], f"{PATH}.json")
session = onnxruntime.InferenceSession(PATH)
tokenizer = Tokenizer.from_file(f"{PATH}.json")


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer a Function URL: `{"inputs": "a text"}` -> its vector."""
    encoding = tokenizer.encode(json.loads(event["body"])["inputs"])
    feed = {
        "input_ids": np.array([encoding.ids], dtype=np.int64),
        "attention_mask": np.array([encoding.attention_mask], dtype=np.int64),
        "token_type_ids": np.array([encoding.type_ids], dtype=np.int64),
    }
    (tokens,) = session.run(None, feed)
    mask = feed["attention_mask"][..., np.newaxis]
    mean = (tokens * mask).sum(axis=1) / mask.sum(axis=1)
    vectors = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(vectors[0].tolist())}
