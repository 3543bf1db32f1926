"""Malformed events and documents of the registry: each is read, or is an error that its reader names."""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from onnxlet.clouds import aws_events, aws_http, gcp_events
from onnxlet.contract import expectation, layout
from onnxlet.contract.alias import Alias
from onnxlet.contract.golden import Golden
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import InvalidNameError, InvalidRequestError, ManifestError, OnnxletError
from onnxlet.events import summary
from onnxlet.media import npy
from onnxlet.registry.registry import Registry
from onnxlet.service import Service
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.storage.allowed_objects import AllowedObjects
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.hostile.mutation import TEXTS, mutate, mutate_document, mutate_text

EVENTS = Path(__file__).parents[1] / "events"
SHORT, LONG = 300, 10_000
COUNTS = [SHORT, pytest.param(LONG, marks=pytest.mark.soak)]


class CloudEvent(dict[str, Any]):
    """As functions-framework's: attributes as items, and the data beside them."""

    @property
    def data(self) -> Any:
        return self.get("data")


def to_cloud_object(event: Any) -> Any:
    return gcp_events.to_object(CloudEvent(event))


def to_cloud_message(event: Any) -> Any:
    return gcp_events.to_message(CloudEvent(event))


READERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("aws_alb", "aws_alb_multi_value", "aws_function_url", "aws_http_api_stage"), aws_http.to_request),
    **dict.fromkeys(("aws_http_api_v2", "aws_rest_api"), aws_http.to_request),
    **dict.fromkeys(("aws_http_api_base_path", "aws_rest_api_base_path"), aws_http.to_request),
    **dict.fromkeys(
        ("aws_s3_cloudtrail", "aws_s3_detail", "aws_s3_transformed", "aws_pipes_sqs"), aws_events.to_messages
    ),
    **dict.fromkeys(("aws_s3_batch_1", "aws_s3_batch_2", "aws_pipes_sqs"), aws_events.to_messages),
    **dict.fromkeys(("aws_s3_eventbridge", "aws_s3_put", "aws_s3_test_event", "aws_sns_s3"), aws_events.to_messages),
    **dict.fromkeys(("aws_sqs_eventbridge", "aws_sqs_mixed", "aws_sqs_s3", "aws_sqs_sns_s3"), aws_events.to_messages),
    "aws_map_items": aws_events.to_objects,
    "gcp_storage_finalized": to_cloud_object,
    "gcp_pubsub_storage": to_cloud_message,
    "gcp_pubsub_payload": to_cloud_message,
}


def attempt(read: Callable[[Any], Any], given: Any, *expected: type[OnnxletError]) -> bool:
    """Whether something is read; any other error than those expected fails the test."""
    try:
        read(given)
    except expected:
        return False
    return True


def test_every_sample_has_its_reader() -> None:
    assert set(READERS) == {path.stem for path in EVENTS.glob("*.json")}


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", READERS)
def test_a_malformed_event_is_read_or_an_invalid_request(name: str, count: int) -> None:
    event = json.loads((EVENTS / f"{name}.json").read_text())
    chance = random.Random(name)
    assert attempt(READERS[name], event), "the sample itself is read"
    changed = [found for _ in range(count) if isinstance(found := mutate_document(event, chance), type(event))]
    found = Counter(attempt(READERS[name], each, InvalidRequestError) for each in changed)
    assert found[False] > 0


@pytest.mark.parametrize("count", COUNTS)
def test_a_malformed_event_of_a_summary_is_an_error_of_ours(count: int, tmp_path: Path) -> None:
    service = Service(Settings(tmp_path.as_uri()))
    chance = random.Random(count)
    items = {"Total": 1, "Succeeded": 1}
    event = {"run": "a", "results": "s3://b/r", "manifest": {"Bucket": "..", "Key": "k"}, "items": items}
    for _ in range(count):
        with pytest.raises(OnnxletError):
            summary.write(service, {**event, "items": mutate_document(items, chance)})


@dataclass(frozen=True)
class Documents:
    """What a publication writes."""

    manifest: bytes
    alias: bytes
    golden: bytes


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Documents:
    registry = Registry(open_store(tmp_path_factory.mktemp("documents").as_uri()))
    for candidate in (graphs.digits_candidate(), graphs.char_candidate("index", "digits")):
        manifest = publish(registry, candidate)
    golden = registry.golden(manifest)
    assert golden is not None
    return Documents(manifest.to_json(), registry.alias("digits").to_json(), golden.to_json())


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", [Manifest, Alias, Golden])
def test_a_malformed_document_is_read_or_a_manifest_error(kind: Any, documents: Documents, count: int) -> None:
    data: bytes = getattr(documents, kind.__name__.lower())
    chance = random.Random(kind.__name__)

    def read(given: bytes) -> None:
        found = kind.from_json(given, "x")
        assert kind.from_json(found.to_json(), "x") == found or kind is Golden

    assert attempt(read, data)
    for _ in range(count):
        attempt(read, mutate(data, chance), ManifestError)
        attempt(read, json.dumps(mutate_document(json.loads(data), chance)).encode(), ManifestError)


@pytest.mark.parametrize("count", COUNTS)
def test_a_malformed_array_or_expectation_is_an_error_of_its_reader(count: int) -> None:
    from tests.hostile.requests import npy as seed

    chance = random.Random(count)
    line = f"x86_64-nchwc8={'a' * 64}:10,{'b' * 64}:20;*={'c' * 64}:30"
    for _ in range(count):
        attempt(npy.decode, mutate(seed().body, chance), OnnxletError)
        try:
            expectation.parse(mutate_text(line, chance), "x86_64-nchwc8")
        except ValueError:
            continue


@pytest.mark.parametrize("text", [*TEXTS, "digits/../two", "digits%2f..", "digits\\..", "DIGITS", "digits\u0000"])
def test_a_hostile_name_is_no_name_and_no_key_is_made_of_it(text: str, tmp_path: Path) -> None:
    service = Service(Settings(tmp_path.as_uri(), model=None))
    for reference, version in ((text, None), (f"digits@{text}", None), ("digits", text)):
        if layout.is_name(text) and version is None:
            continue
        with pytest.raises(InvalidNameError):
            service.find(reference, version)


@pytest.mark.parametrize(
    "url",
    [
        "s3://in/ok/../secret",
        "s3://in/ok/./x",
        "s3://in/ok//x",
        "s3://in/ok/",
        "s3://in/okay/x",
        "s3://in/ok\\..\\x",
        "s3://in/ok/..\u2215x\u202e",
        "s3://in/ok/a\u0000b",
        "s3://in/ok/a\nb",
        "s3://in@elsewhere/ok/x",
        "s3://in:80/ok/x",
        "S3://in/ok/x",
        "s3:/in/ok/x",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "s3://in/ok/x?versionId=1#\u2028",
        "s3://in/ok%2f..%2fsecret/x",
        *TEXTS,
    ],
)
def test_a_reference_outside_of_the_prefixes_is_forbidden(url: str) -> None:
    def open_bucket(opened: str) -> Any:
        pytest.fail(f"{opened} was opened")

    with pytest.raises(OnnxletError) as caught:
        AllowedObjects(["s3://in/ok"], open_bucket).read(url)
    assert caught.value.code == "forbidden"


@pytest.mark.parametrize(
    "key", ["%2e%2e/secret", "%2E%2E%2Fsecret", "..%2fsecret", "a%00b", "..\u2025/x", "x?y#z", "a\\b"]
)
def test_what_looks_encoded_is_a_key_like_any_other_and_stays_below_the_prefix(key: str) -> None:
    read: list[str] = []

    def read_object(key: str, **_bounds: int) -> Any:
        read.append(key)
        return SimpleNamespace(data=b"x", coding="")

    def open_bucket(url: str) -> Any:
        assert url == "s3://in"
        return SimpleNamespace(read=read_object)

    AllowedObjects(["s3://in/ok"], open_bucket).read(f"s3://in/ok/{key}")
    assert read == [f"ok/{key}"]
