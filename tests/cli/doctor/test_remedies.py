import pytest

from onnxlet.errors import BucketNotFoundError, CredentialsError, InvalidNameError, OnnxletError, StoreError
from onnxlet_cli.doctor import remedies


def caused(error: OnnxletError, text: str) -> OnnxletError:
    error.__cause__ = OSError(text)
    return error


@pytest.mark.parametrize(
    ("problem", "right", "code"),
    [
        (caused(StoreError("refused"), "<Code>RequestTimeTooSkewed</Code>"), "list", "clock_skew"),
        (caused(CredentialsError("refused"), "<Code>InvalidAccessKeyId</Code>"), "read", "registry_credentials"),
        (CredentialsError("refused"), "read", "registry_read_denied"),
        (caused(StoreError("refused"), "status code: 403"), "list", "registry_list_denied"),
        (BucketNotFoundError("s3://b: no such bucket"), "list", "registry_missing"),
        (InvalidNameError("ftp://b: expected s3://"), "list", "registry_url"),
        (StoreError("no answer"), "write", "registry_unreachable"),
    ],
)
def test_each_refusal_has_its_code_and_a_remedy(problem: OnnxletError, right: str, code: str) -> None:
    finding = remedies.of_store(problem, "s3://b/registry", right)
    assert (finding.severity, finding.code) == ("error", code)
    assert finding.expected
    assert finding.remedy
