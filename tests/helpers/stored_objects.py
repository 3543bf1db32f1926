"""Objects in the buckets of both fake clouds, and the results that are written for them."""

import io
import json
import urllib.request
import uuid
from typing import Any
from urllib.parse import quote

import boto3
import obstore
from PIL import Image

from onnxlet.events.messages import ObjectReference
from onnxlet.storage import Store, open_store
from onnxlet.storage.connection import StorageSettings
from tests.conftest import BUCKET


def put(scheme: str, storage: StorageSettings, name: str, data: bytes) -> ObjectReference:
    key = f"in-{uuid.uuid4()}/{name}"
    open_store(f"{scheme}://{BUCKET}", storage).put_if_absent(key, data)
    return ObjectReference(scheme, BUCKET, key)


def put_described(storage: StorageSettings, name: str, data: bytes, **attributes: str) -> ObjectReference:
    """An object with what S3 keeps of how it was uploaded: `content_type` and `content_encoding`."""
    reference = ObjectReference("s3", BUCKET, f"in-{uuid.uuid4()}/{name}")
    described = {attribute.replace("_", "-").title(): value for attribute, value in attributes.items()}
    obstore.put(open_store(reference.bucket_url, storage).backend, reference.key, data, attributes=described)
    return reference


def png(shade: int = 90) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (28, 28), shade).save(buffer, "PNG")
    return buffer.getvalue()


def result(results: Store, url: str | None) -> dict[str, Any]:
    assert url is not None
    document: dict[str, Any] = json.loads(results.read(url.removeprefix(f"{results.url}/")).data)
    return document


def put_exactly(scheme: str, storage: StorageSettings, key: str, data: bytes) -> None:
    """Put an object whose key obstore would change or refuse."""
    if scheme == "s3":
        client = boto3.client("s3", endpoint_url=storage.s3_endpoint, region_name="us-east-1")
        client.put_object(Bucket=BUCKET, Key=key, Body=data)
        return
    url = f"{storage.gcs_endpoint}/{BUCKET}/{quote(key, safe='')}"
    urllib.request.urlopen(urllib.request.Request(url, data, method="PUT")).close()
