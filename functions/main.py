"""The entry points of both clouds, one sentence each: translate, handle, translate back."""

import os
from typing import Any

from onnxlet import aws, events, gcp
from onnxlet.app import App
from onnxlet.config import Settings

app = App.start(Settings.from_environment(os.environ))


def aws_http(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer a Function URL or an HTTP API."""
    return aws.from_response(app.handle(event, aws.to_request))


def aws_objects(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer the objects of an S3 notification, each with a result object."""
    return {"results": [events.process(app, reference) for reference in aws.to_objects(event)]}


def gcp_http(request: Any) -> tuple[bytes, int, dict[str, str]]:
    """Answer an HTTP request of functions-framework."""
    return gcp.from_response(app.handle(request, gcp.to_request))


def gcp_objects(cloud_event: Any) -> None:
    """Answer an object of a Cloud Storage event with a result object."""
    events.process(app, gcp.to_object(cloud_event))
