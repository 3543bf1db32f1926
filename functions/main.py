"""The entry points of both clouds, one sentence each: translate, handle, translate back."""

import os
from typing import Any

from onnxlet.registry import prefetch
from onnxlet.settings import Settings

settings = Settings.from_environment(os.environ)
prefetched = prefetch.begin(settings)  # the default model comes while the rest is imported

from onnxlet.clouds import aws, gcp, snapshot  # noqa: E402
from onnxlet.web.app import App  # noqa: E402

app = App.start(settings, prefetched)
snapshot.register(app)


def aws_http(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer a Function URL, an HTTP API, a REST API, a load balancer or a direct invocation."""
    return aws.from_response(app.handle(event, aws.to_request, aws.remaining_s(context)), event)


def aws_objects(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer the objects of S3's events, each with a result object, and tell a queue or a job which of them failed."""
    from onnxlet.events import objects  # of the entry points for objects alone, here and below

    messages, remaining_s = aws.to_messages(event), aws.remaining_s(context)
    if aws.is_job(event):
        return aws.from_outcomes(event, objects.outcomes(app.service, messages, remaining_s=remaining_s))
    return aws.from_failures(objects.answer(app.service, messages, remaining_s=remaining_s))


def aws_map(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Answer an item batch of a Distributed Map, each object with a result object, and count the answers."""
    from onnxlet.events import objects

    return objects.tally(app.service, aws.to_objects(event), remaining_s=aws.remaining_s(context))


def aws_summary(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Add up what all item batches of a Distributed Map have answered."""
    from onnxlet.events import summary  # of this entry point alone

    return summary.write(app.service, event)


def gcp_http(request: Any) -> tuple[Any, int, dict[str, str]]:
    """Answer an HTTP request of functions-framework."""
    return gcp.from_response(app.handle(request, gcp.to_request), request)


def gcp_objects(cloud_event: Any) -> None:
    """Answer an object of a Cloud Storage event with a result object."""
    from onnxlet.events import objects

    objects.answer(app.service, [gcp.to_object(cloud_event)])


def gcp_message(cloud_event: Any) -> None:
    """Answer a message of Pub/Sub: the object of a Cloud Storage notification, or the payload inside."""
    from onnxlet.events import objects

    objects.answer(app.service, [gcp.to_message(cloud_event)])


gcp.register(gcp_http, gcp_objects, gcp_message)
