"""The entry points of both clouds, one sentence each: translate, handle, translate back."""

import os
from typing import Any

from onnxlet.contract.light_orjson import import_orjson

import_orjson()

from onnxlet.registry import prefetch  # noqa: E402
from onnxlet.settings import Settings  # noqa: E402

settings = Settings.from_environment(os.environ)
prefetched = prefetch.begin(settings)  # fetches the default model while the rest is imported

from onnxlet.clouds import aws_http as aws  # noqa: E402
from onnxlet.clouds import gcp_http as gcp  # noqa: E402
from onnxlet.service import Service  # noqa: E402
from onnxlet.web.app import App  # noqa: E402

app = App.start(Service(settings, prefetched))
if settings.is_snapshotted:
    from onnxlet.clouds import snapshot

    snapshot.register(app.service.reopen)

# Functions for HTTP import nothing of `onnxlet.events`.


def aws_http(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer a request through a Function URL, an HTTP API, a REST API or a load balancer, or a direct invocation."""
    return aws.from_response(app.handle(event, aws.to_request, aws.remaining_s(context)), event)


def aws_objects(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Write a result for each object of S3's events, and report failures to the queue or job that sent them."""
    from onnxlet.clouds import aws_events
    from onnxlet.events import objects

    messages, remaining_s = aws_events.to_messages(event), aws.remaining_s(context)
    if aws_events.is_job(event):
        return aws_events.from_outcomes(event, objects.outcomes(app.service, messages, remaining_s=remaining_s))
    return aws_events.from_failures(objects.answer(app.service, messages, remaining_s=remaining_s))


def aws_map(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Write a result for each object of a Distributed Map's item batch, and return how many there are of each kind."""
    from onnxlet.clouds import aws_events
    from onnxlet.events import objects

    return objects.tally(app.service, aws_events.to_objects(event), remaining_s=aws.remaining_s(context))


def aws_summary(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Add up the counts of all item batches of a Distributed Map."""
    from onnxlet.events import summary

    return summary.write(app.service, event)


def gcp_http(request: Any) -> tuple[Any, int, dict[str, str]]:
    """Answer an HTTP request of functions-framework."""
    return gcp.from_response(app.handle(request, gcp.to_request), request)


def gcp_objects(cloud_event: Any) -> None:
    """Write a result for the object of a Cloud Storage event."""
    from onnxlet.clouds import gcp_events
    from onnxlet.events import objects

    objects.answer(app.service, [gcp_events.to_object(cloud_event)])


def gcp_message(cloud_event: Any) -> None:
    """Write a result for a message of Pub/Sub: for the object that it names, or for the payload inside it."""
    from onnxlet.clouds import gcp_events
    from onnxlet.events import objects

    objects.answer(app.service, [gcp_events.to_message(cloud_event)])


gcp.register(gcp_http, gcp_objects, gcp_message)
