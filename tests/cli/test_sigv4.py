import pytest
from botocore.credentials import Credentials

from onnxlet_cli import sigv4

FUNCTION_URL = "https://abc.lambda-url.eu-central-1.on.aws/v2"
API = "https://abc.execute-api.us-west-2.amazonaws.com/live/v2"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (FUNCTION_URL, ("lambda", "eu-central-1")),
        (API, ("execute-api", "us-west-2")),
        ("http://127.0.0.1:8080/v2", ("lambda", "eu-north-1")),
        ("https://lambda-url.eu-central-1.on.aws.example.com/", None),
        ("https://example.com/", None),
    ],
)
def test_only_hosts_of_aws_get_a_signature(
    url: str, expected: tuple[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert sigv4.scope(url) == expected
    assert (sigv4.signed_by_user(url, None, {}) is not None) == (expected is not None)


def test_a_signature_covers_the_body_and_keeps_the_headers() -> None:
    credentials = Credentials("KEY", "SECRET", "TOKEN")
    signed = [
        sigv4.signed(credentials, "lambda", "eu-central-1", FUNCTION_URL, body, {"x-name": "a"})
        for body in (None, b"b")
    ]
    assert {headers["x-name"] for headers in signed} == {"a"}
    assert "KEY/" in signed[0]["Authorization"]
    assert "/eu-central-1/lambda/aws4_request" in signed[0]["Authorization"]
    assert signed[0]["Authorization"] != signed[1]["Authorization"]
    assert signed[0]["X-Amz-Security-Token"] == "TOKEN"


def test_the_command_for_curl_signs_for_the_service_and_the_region() -> None:
    assert sigv4.curl_command(API).startswith("curl --aws-sigv4 aws:amz:us-west-2:execute-api --user ")
    assert sigv4.curl_command("https://example.com/").startswith("curl --aws-sigv4 aws:amz:REGION:lambda ")
