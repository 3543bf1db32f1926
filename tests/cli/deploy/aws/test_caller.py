from pathlib import Path

import boto3
import pytest

from tests.helpers.aws_deployment import REGION, aws, deployed
from tests.helpers.http_recorder import Recorder


def test_a_request_is_signed_where_iam_is_asked(root: Path, package: Path, http: Recorder) -> None:
    cloud = aws(root, "signed")
    reply = cloud.send(deployed(cloud, package).outputs, "/v2/models/digits/infer", b"body", {"x-a": "b"})
    assert reply is not None
    assert reply.status == 200
    ((method, path, headers, body),) = http.requests
    assert (method, path, headers["x-a"], body) == ("POST", "/v2/models/digits/infer", "b", b"body")
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=test/")
    assert f"/{REGION}/lambda/aws4_request" in headers["authorization"]


def test_a_request_to_whom_anybody_may_call_has_no_signature(root: Path, package: Path, http: Recorder) -> None:
    cloud = aws(root, "open", auth="none")
    cloud.send(deployed(cloud, package).outputs, "/v2/health/live", None, {})
    assert "authorization" not in http.requests[0][2]


def test_a_request_has_the_key_where_one_is_asked(
    root: Path, package: Path, http: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = boto3.client("apigateway", region_name=REGION).create_api_key(name="k", value="a" * 20 + "secret")
    monkeypatch.setenv("API_KEY_ID", key["id"])
    cloud = aws(root, "key", auth="api-key")
    cloud.send(deployed(cloud, package).outputs, "/v2/health/live", None, {})
    assert http.requests[0][2]["x-api-key"] == "a" * 20 + "secret"
    assert "secret" not in str(cloud.describe(deployed(cloud, package).outputs, "digits"))


def test_a_cloud_of_ones_own_gets_the_request_that_is_meant_for_a_function_url(
    root: Path, package: Path, http: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_URL", "https://abc.lambda-url.eu-central-1.on.aws/")
    cloud = aws(root, "own", auth="none")
    outputs = deployed(cloud, package).outputs
    monkeypatch.setenv("AWS_ENDPOINT_URL", http.url)
    cloud.send(outputs, "/v2/health/live", None, {})
    assert http.requests[0][2]["host"] == "abc.lambda-url.eu-central-1.on.aws"
