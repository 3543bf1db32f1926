import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from onnxlet.errors import (
    BucketNotFoundError,
    InvalidNameError,
    SettingsError,
    StoreError,
)
from onnxlet.storage import open_store, s3_url
from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.local.http import Handler
from tests.helpers.shaky_s3 import etag_of


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_missing_bucket_is_named(scheme: str, storage: StorageSettings) -> None:
    store = open_store(f"{scheme}://no-such-bucket/root", storage)
    for call in (lambda: store.read("key"), lambda: store.put_if_absent("key", b""), lambda: store.children("")):
        with pytest.raises(BucketNotFoundError, match="no-such-bucket"):
            call()


def test_a_folder_that_cannot_be_written_is_an_error_of_one_line(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    (tmp_path / ".lock").mkdir()  # root may write everything but this
    with pytest.raises(StoreError, match="directory") as caught:
        store.replace("key", b"", None)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BucketNotFoundError, match="nowhere: no such folder"):
        open_store((tmp_path / "nowhere").as_uri())


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://host/x", "https://host/x", "s3:/bucket", "tmp"])
def test_what_is_no_root_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidNameError, match="expected a URL that begins with one of s3://"):
        open_store(url)


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
    signed = open_store("s3://b/in", settings).sign("key", dt.timedelta(minutes=1))
    assert signed is not None
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


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"AWS_CA_BUNDLE: .*gone.pem: No such file"):
        open_store("s3://bucket", StorageSettings(ca_bundle=str(tmp_path / "gone.pem")))
    (tmp_path / "none.pem").write_text("no certificate")
    with pytest.raises(SettingsError, match=r"AWS_CA_BUNDLE: .*none.pem: expected certificates"):
        open_store("s3://bucket", StorageSettings(ca_bundle=str(tmp_path / "none.pem")))


# ---------------------------------------------------------------------- conditional writes
