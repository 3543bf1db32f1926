"""A typical handler of photos that arrive in a bucket: each record is fetched, classified and written separately."""

import json
import os
from typing import Any
from urllib.parse import unquote_plus

import boto3
from typical_photo import classify  # type: ignore[import-not-found] # next to this file in the function's folder

s3 = boto3.client("s3")


def handler(event: dict[str, Any], _context: object) -> None:
    """Process S3's notifications in SQS messages."""
    for message in event["Records"]:
        for record in json.loads(message["body"])["Records"]:
            bucket, key = record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"])
            photo = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            answer = {"source": f"s3://{bucket}/{key}", **classify(photo)}
            s3.put_object(Bucket=bucket, Key=f"{os.environ['RESULTS']}/{key}.json", Body=json.dumps(answer))
