"""The registry that a command opens: by the environment, a profile, or a folder."""

from collections.abc import Callable
from pathlib import Path

import botocore.session
import pytest

from onnxlet.errors import CredentialsError, InvalidNameError, StoreError
from onnxlet_cli.doctor import registry as registries
from onnxlet_cli.doctor.versions import Examination
from onnxlet_cli.local.http import Handler, serving
from onnxlet_cli.registry import open_place, open_registry, storage_of_profile
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.shaky_s3 import etag_of

Configure = Callable[[str], None]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Write the AWS command line's file of profiles, of which `work` is chosen."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)

    def write(text: str) -> None:
        (tmp_path / "config").write_text(text)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_PROFILE", "work")

    return write


class Objects(Handler):
    def do_GET(self) -> None:
        body = self.path.encode()
        self.reply(200, body, {"etag": etag_of(body), "last-modified": "Mon, 12 Jan 2026 10:20:30 GMT"})


@pytest.mark.parametrize(
    "profile",
    [
        "[profile work]\nendpoint_url = URL\n",
        "[profile work]\nservices = local\n[services local]\ns3 =\n  endpoint_url = URL\n",
        "[profile work]\nendpoint_url = http://h\nservices = local\n[services local]\ns3 =\n  endpoint_url = URL\n",
    ],
    ids=["endpoint_url", "services", "both"],
)
def test_a_profiles_endpoint_is_asked(configure: Configure, profile: str) -> None:
    with serving(Objects) as url:
        configure(profile.replace("URL", url))
        assert open_place("s3://bucket/root").read("key").data == b"/bucket/root/key"


def test_the_environments_endpoint_comes_first(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    configure("[profile work]\nendpoint_url = http://127.0.0.1:9\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://h")
    found = storage_of_profile(botocore.session.get_session())
    assert (found.s3_endpoint, found.s3_region) == ("http://h", "eu-west-1")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert storage_of_profile(botocore.session.get_session()).s3_region == "us-west-2"


def test_a_profile_says_how_s3_is_reached(configure: Configure) -> None:
    configure(
        "[profile work]\nregion = cn-north-1\nuse_fips_endpoint = true\nuse_dualstack_endpoint = true\n"
        "ca_bundle = /ca.pem\nignore_configured_endpoint_urls = true\nendpoint_url = http://h\n"
    )
    found = storage_of_profile(botocore.session.get_session())
    assert (found.s3_endpoint, found.s3_region) == (None, "cn-north-1")
    assert (found.has_fips, found.has_dual_stack, found.ca_bundle) == (True, True, "/ca.pem")


def test_a_profile_that_is_not_there_is_named(configure: Configure) -> None:
    configure("[profile other]\n")
    with pytest.raises(CredentialsError, match=r"s3://bucket: no AWS credentials; .*\(work\)"):
        open_place("s3://bucket")


def test_a_spelling_that_hides_a_place_is_refused() -> None:
    with pytest.raises(InvalidNameError, match="not URL-encoded"):
        open_registry("s3://bucket/./root")


class Unconditional(Handler):
    """An S3 that overwrites whatever is asked, and lists one model."""

    objects: dict[str, bytes]

    def do_PUT(self) -> None:
        self.objects[self.path] = data = self.rfile.read(int(self.headers["content-length"]))
        self.reply(200, b"", {"etag": etag_of(data)})

    def do_GET(self) -> None:
        data = self.objects.get(self.path)
        if "list-type" in self.path:
            body = (
                b"<ListBucketResult><CommonPrefixes><Prefix>root/models/m/</Prefix></CommonPrefixes></ListBucketResult>"
            )
            self.reply(
                200,
                body
                if "models%2F&" in self.path or "models/&" in self.path
                else b"<ListBucketResult></ListBucketResult>",
                {},
            )
        elif data is None:
            self.reply(404, b"<Error><Code>NoSuchKey</Code></Error>", {})
        else:
            self.reply(200, data, {"etag": etag_of(data), "last-modified": "Mon, 12 Jan 2026 10:20:30 GMT"})

    do_HEAD = do_GET


def test_doctor_and_the_first_publication_find_a_store_that_ignores_conditions(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(type("BoundUnconditional", (Unconditional,), {"objects": {}})) as url:
        configure(f"[profile work]\nendpoint_url = {url}\n")
        found = list(registries.examine(open_registry("s3://bucket/root"), Examination("1.0", can_load=False)))
        (finding,) = (finding for finding in found if finding.code == "registry_unconditional")
        assert finding.severity == "error"
        assert "If-None-Match" in finding.found
        with pytest.raises(StoreError, match="ignores If-None-Match"):
            publish(open_registry("s3://bucket/root"), graphs.digits_candidate())
        monkeypatch.setenv("ONNXLET_ALLOW_UNCONDITIONAL_WRITES", "1")
        assert publish(open_registry("s3://bucket/root"), graphs.digits_candidate()).version == 1
