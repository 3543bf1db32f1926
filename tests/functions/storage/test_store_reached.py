"""How stores are reached, and what is said of those that do not answer: over real HTTP and real TLS."""

import datetime as dt
import ipaddress
import ssl
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import botocore.exceptions
import obstore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from onnxlet.contract import layout
from onnxlet.errors import CredentialsError, OnnxletError, SettingsError, StoreError
from onnxlet.registry.registry import Registry
from onnxlet.storage import Store, open_store, s3_url
from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.local.http import Handler, serving
from onnxlet_publishing.publish import publish
from tests.conftest import BUCKET
from tests.functions.storage.test_store import ShakyS3, etag_of
from tests.helpers import graphs

ROLE = "arn:aws:sts::123456789012:assumed-role/functions/onnxlet"

REFUSALS = [
    (400, "ExpiredToken", "The provided token has expired.", CredentialsError, "aws sso login"),
    (
        400,
        "AuthorizationHeaderMalformed",
        "The region &apos;us-east-1&apos; is wrong; expecting 'eu-central-1'",
        CredentialsError,
        "The region 'us-east-1' is wrong; expecting 'eu-central-1'; set AWS_REGION",
    ),
    (403, "AccessDenied", f"User: {ROLE} is not authorized to perform: kms:Decrypt", CredentialsError, "kms:Decrypt"),
    (403, "RequestTimeTooSkewed", "The difference is too large.", CredentialsError, "set this machine's clock"),
    (403, "InvalidObjectState", "The operation is not valid", StoreError, "restore it first"),
    (400, "KMS.DisabledException", "The key is disabled", StoreError, "The key is disabled"),
    (501, "NotImplemented", "A header is not implemented", StoreError, "conditional writes"),
    (503, "SlowDown", "Please reduce your request rate.", StoreError, "Please reduce your request rate"),
]


@contextmanager
def refusing(status: int, code: str, message: str) -> Iterator[Store]:
    class Refusing(Handler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", "0")))
            body = f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
            self.reply(status, body.encode(), {"content-type": "application/xml"})

        do_PUT = do_GET

    with serving(Refusing) as url:
        yield open_store("s3://bucket/root", StorageSettings(s3_endpoint=url))


@pytest.mark.parametrize(("status", "code", "message", "error", "text"), REFUSALS, ids=[case[1] for case in REFUSALS])
@pytest.mark.parametrize("key", ["key", "/key"], ids=["by obstore", "by ourselves"])
def test_an_error_carries_the_stores_own_code_and_message(
    status: int, code: str, message: str, error: type[OnnxletError], text: str, key: str
) -> None:
    with refusing(status, code, message) as store, pytest.raises(error) as caught:
        store.read(key)
    assert type(caught.value) is error
    assert f"({code}): " in str(caught.value)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "message", "text"),
    [(*case[:3], case[4]) for case in REFUSALS],
    ids=[case[1] for case in REFUSALS],
)
def test_so_does_that_of_a_write_and_of_a_listing(status: int, code: str, message: str, text: str) -> None:
    with refusing(status, code, message) as store:
        for call in (lambda: store.put_if_absent("key", b""), lambda: store.children("models")):
            with pytest.raises(StoreError) as caught:
                call()
            assert f"({code}): " in str(caught.value)
            assert text in str(caught.value)


def test_a_client_is_shown_no_account_and_no_role() -> None:
    with refusing(403, "AccessDenied", f"User: {ROLE} is not authorized") as store, pytest.raises(StoreError) as caught:
        store.read("key")
    assert ROLE in str(caught.value)
    assert "(AccessDenied): User: (see the function's log) is not authorized" in caught.value.public
    assert "123456789012" not in caught.value.public
    assert StoreError("sa: x@project.iam.gserviceaccount.com").public == "sa: (see the function's log)"
    assert OnnxletError("a b").public == "a b"


@pytest.mark.parametrize(
    "error",
    [
        botocore.exceptions.UnauthorizedSSOTokenError(),
        botocore.exceptions.SSOTokenLoadError(error_msg="Token does not exist"),
        botocore.exceptions.TokenRetrievalError(provider="sso", error_msg="Token has expired and refresh failed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_single_sign_on_that_is_over_is_named(error: Exception) -> None:
    def provide() -> None:
        raise error

    store = open_store("s3://bucket", StorageSettings(s3_endpoint="http://127.0.0.1:9"), credential_provider=provide)
    with pytest.raises(CredentialsError, match=r"no credentials for the store: .*run `aws sso login`") as caught:
        store.read("key")
    assert type(error).__name__ in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        (StorageSettings(), "https://s3.us-east-1.amazonaws.com/b"),
        (StorageSettings(s3_region="eu-west-1"), "https://s3.eu-west-1.amazonaws.com/b"),
        (StorageSettings(s3_endpoint="http://h:9/", s3_region="eu-west-1", has_fips=True), "http://h:9/b"),
        (StorageSettings(s3_region="us-west-2", has_fips=True), "https://b.s3-fips.us-west-2.amazonaws.com"),
        (StorageSettings(s3_region="us-west-2", has_dual_stack=True), "https://s3.dualstack.us-west-2.amazonaws.com/b"),
        (
            StorageSettings(s3_region="us-gov-west-1", has_dual_stack=True, has_fips=True),
            "https://b.s3-fips.dualstack.us-gov-west-1.amazonaws.com",
        ),
        (StorageSettings(s3_region="cn-north-1"), "https://s3.cn-north-1.amazonaws.com.cn/b"),
        (StorageSettings(s3_region="us-isob-east-1"), "https://s3.us-isob-east-1.sc2s.sgov.gov/b"),
        (StorageSettings(s3_region="eusc-de-east-1"), "https://s3.eusc-de-east-1.amazonaws.eu/b"),
    ],
)
def test_requests_go_where_the_clouds_own_tools_send_them(settings: StorageSettings, url: str) -> None:
    assert s3_url(settings, "b") == url
    signed = obstore.sign(open_store("s3://b/in", settings).backend, "GET", "key", dt.timedelta(minutes=1))
    assert signed.startswith(f"{url}/in/key?")
    region = settings.s3_region or "us-east-1"
    assert f"%2F{region}%2Fs3%2Faws4_request" in signed


# ---------------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ca.pem`, a certificate authority of our own, and `server.pem`, which it signed for localhost."""
    folder = tmp_path_factory.mktemp("authority")
    now = dt.datetime.now(dt.UTC)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name, name = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("CA", "localhost"))

    def certificate(subject: x509.Name, public_key: ec.EllipticCurvePublicKey, *, is_ca: bool) -> x509.Certificate:
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        return (
            x509.CertificateBuilder(ca_name, subject, public_key, x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
            .add_extension(names, critical=False)
            .sign(ca_key, hashes.SHA256())
        )

    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(certificate(ca_name, ca_key.public_key(), is_ca=True).public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(private + certificate(name, key.public_key(), is_ca=False).public_bytes(pem))
    return folder


@pytest.fixture
def tls_endpoint(authority: Path) -> Iterator[str]:
    class Objects(Handler):
        def do_GET(self) -> None:
            headers = {"etag": etag_of(b"content"), "last-modified": "Mon, 12 Jan 2026 10:20:30 GMT"}
            self.reply(200, b"content", headers)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Objects)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a handshake that fails is the test
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("key", ["key", "/key"], ids=["by obstore", "by ourselves"])
def test_an_authority_of_the_operators_own_is_trusted(authority: Path, tls_endpoint: str, key: str) -> None:
    trusting = StorageSettings(s3_endpoint=tls_endpoint, ca_bundle=str(authority / "ca.pem"))
    assert open_store("s3://bucket", trusting).read(key).data == b"content"
    with pytest.raises(StoreError, match="the TLS connection to the store failed"):
        open_store("s3://bucket", StorageSettings(s3_endpoint=tls_endpoint)).read(key)


def test_a_certificate_that_nobody_trusts_is_said_with_the_remedy(tls_endpoint: str) -> None:
    with pytest.raises(StoreError, match=r"TLS .*\(UnknownIssuer\).* AWS_CA_BUNDLE or SSL_CERT_FILE") as caught:
        open_store("s3://bucket", StorageSettings(s3_endpoint=tls_endpoint)).read("key")
    assert "\n" not in str(caught.value)


def test_a_connection_that_is_refused_is_no_matter_of_tls() -> None:
    with pytest.raises(StoreError, match=r"\(Connection refused\)"):
        open_store("s3://bucket", StorageSettings(s3_endpoint="https://127.0.0.1:9")).read("key")


def test_a_file_of_certificates_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"AWS_CA_BUNDLE: .*gone.pem: No such file"):
        open_store("s3://bucket", StorageSettings(ca_bundle=str(tmp_path / "gone.pem")))
    (tmp_path / "none.pem").write_text("no certificate")
    with pytest.raises(SettingsError, match=r"AWS_CA_BUNDLE: .*none.pem: .*No certificates"):
        open_store("s3://bucket", StorageSettings(ca_bundle=str(tmp_path / "none.pem")))


# ---------------------------------------------------------------------- conditional writes


class Unconditional(ShakyS3):
    """An S3 that ignores headers, or gives weak ETags."""

    ignores: frozenset[str]
    prefix = ""

    def do_PUT(self) -> None:
        for name in self.ignores:
            del self.headers[name]
        super().do_PUT()

    def send_header(self, keyword: str, value: str) -> None:
        super().send_header(keyword, f"{self.prefix}{value}" if keyword == "etag" else value)


@contextmanager
def unconditional(*ignores: str, prefix: str = "") -> Iterator[Store]:
    members = {"script": [], "objects": {}, "ignores": frozenset(ignores), "prefix": prefix}
    with serving(type("BoundUnconditional", (Unconditional,), members)) as url:
        yield open_store("s3://bucket/root", StorageSettings(s3_endpoint=url))


@pytest.mark.parametrize("header", ["If-None-Match", "If-Match"])
def test_a_store_that_ignores_a_condition_is_found_out(header: str) -> None:
    with unconditional(header.lower()) as store:
        assert store.missing_condition(layout.PROBE_KEY, layout.PROBE) == header
        assert store.missing_condition(layout.PROBE_KEY, layout.PROBE) == header, "nor does it when the object is there"


def test_a_bucket_of_another_region_is_told_with_what_to_do() -> None:
    with refusing(301, "PermanentRedirect", "The bucket must be addressed using the specified endpoint.") as store:
        for ask in (
            lambda: store.read("key"),
            lambda: store.children("models"),
            lambda: store.put_if_absent("key", b""),
        ):
            with pytest.raises(StoreError, match="is in another region; set AWS_REGION to the bucket's region"):
                ask()


def test_a_store_that_keeps_all_conditions_is_found_to(s3_endpoint: str, gcs_endpoint: str) -> None:
    storage = StorageSettings(s3_endpoint, gcs_endpoint)
    for root in (f"s3://{BUCKET}/{uuid.uuid4()}", f"gs://{BUCKET}/{uuid.uuid4()}", f"memory://{uuid.uuid4()}"):
        store = open_store(root, storage)
        assert store.missing_condition(layout.PROBE_KEY, layout.PROBE) is None
        assert store.missing_condition(layout.PROBE_KEY, layout.PROBE) is None
    with unconditional() as store:
        assert store.missing_condition(layout.PROBE_KEY, layout.PROBE) is None


def test_who_may_not_write_the_object_learns_nothing() -> None:
    with refusing(403, "AccessDenied", "no") as store:
        assert store.missing_condition(layout.PROBE_KEY, layout.PROBE) is None


def test_a_store_without_conditions_is_not_published_to_unless_the_operator_insists() -> None:
    class Listing(Unconditional):
        def do_GET(self) -> None:
            if "list-type" in self.path:
                self.reply(200, b"<ListBucketResult></ListBucketResult>", {"content-type": "application/xml"})
            else:
                super().do_GET()

    members = {"script": [], "objects": {}, "ignores": frozenset({"if-none-match"})}
    with serving(type("BoundListing", (Listing,), members)) as url:
        store = open_store("s3://bucket/root", StorageSettings(s3_endpoint=url))
        with pytest.raises(StoreError, match=r"ignores If-None-Match: .*ONNXLET_ALLOW_UNCONDITIONAL_WRITES=1"):
            publish(Registry(store), graphs.digits_candidate())
        insisting = Registry(store, allows_unconditional_writes=True)
        assert publish(insisting, graphs.digits_candidate()).version == 1


def test_weak_etags_are_told_apart_from_others_who_wrote() -> None:
    with unconditional(prefix="W/") as store:
        store.put_if_absent("key", b"1")
        with pytest.raises(StoreError, match=r"gives weak ETags \(W/.*expected strong ones"):
            store.replace("key", b"2", store.read("key").revision)
        assert store.missing_condition(layout.PROBE_KEY, layout.PROBE) == "If-Match, as it gives weak ETags"
