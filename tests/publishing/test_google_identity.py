"""Who we are for Google, by the real google-auth, token endpoints over HTTP, and a store that asks for tokens."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onnxlet.errors import CredentialsError
from onnxlet.settings import storage_from_environment
from onnxlet.storage import open_store
from onnxlet_cli import http_client
from onnxlet_cli.local.google_token import VARIABLE, token_file
from onnxlet_cli.local.serve import LocalSettings, serve
from onnxlet_cli.registry import open_place, open_registry
from onnxlet_publishing.errors import AccountError
from onnxlet_publishing.google_identity import find_identity, require_identity, storage_of
from tests.helpers import forked
from tests.helpers.fake_gcs import FakeGcs
from tests.helpers.google_tokens import ACCOUNT, FEDERATED, KEY, MACHINE, USER, Google, impersonated, serving_google

FILE = "GOOGLE_APPLICATION_CREDENTIALS"

Variables = Callable[[Google, Path], dict[str, str]]


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    with serving_google(tmp_path_factory.mktemp("google")) as found:
        yield found


def a_file(folder: Path, document: dict[str, Any], name: str = "credentials.json") -> str:
    path = folder / name
    path.write_text(json.dumps(document))
    return str(path)


def login(folder: Path, document: dict[str, Any]) -> str:
    """A folder of gcloud's in which somebody has logged in."""
    a_file(folder, document, "application_default_credentials.json")
    return str(folder)


KINDS: dict[str, tuple[str, Variables]] = {
    "a token": ("as-it-is", lambda _google, _folder: {"GOOGLE_OAUTH_ACCESS_TOKEN": "as-it-is"}),
    "a user": (USER, lambda google, folder: {FILE: a_file(folder, google.user())}),
    "a key": (KEY, lambda google, folder: {FILE: a_file(folder, google.service_account())}),
    "CI": (FEDERATED, lambda google, folder: {FILE: a_file(folder, google.external())}),
    "CI as an account": (
        impersonated(FEDERATED),
        lambda google, folder: {FILE: a_file(folder, google.external(is_impersonating=True))},
    ),
    "an account by a user": (
        impersonated(USER),
        lambda google, folder: {FILE: a_file(folder, google.impersonating())},
    ),
    "an account by a token": (
        impersonated("as-it-is"),
        lambda _google, _folder: {
            "GOOGLE_OAUTH_ACCESS_TOKEN": "as-it-is",
            "GOOGLE_IMPERSONATE_SERVICE_ACCOUNT": ACCOUNT,
        },
    ),
    "an account by CI": (
        impersonated(FEDERATED),
        lambda google, folder: {
            FILE: a_file(folder, google.external()),
            "GOOGLE_IMPERSONATE_SERVICE_ACCOUNT": ACCOUNT,
        },
    ),
    "gcloud's login elsewhere": (USER, lambda google, folder: {"CLOUDSDK_CONFIG": login(folder, google.user())}),
    "gcloud's login of an account": (
        impersonated(USER),
        lambda google, folder: {"CLOUDSDK_CONFIG": login(folder, google.impersonating())},
    ),
    "Terraform's text": (KEY, lambda google, _folder: {"GOOGLE_CREDENTIALS": json.dumps(google.service_account())}),
    "Terraform's file": (
        FEDERATED,
        lambda google, folder: {"GOOGLE_CLOUD_KEYFILE_JSON": a_file(folder, google.external())},
    ),
}
"""For each way in which somebody may be known: the token that must come of it, and the variables."""


@pytest.fixture(params=KINDS)
def known(request: pytest.FixtureRequest, google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The token of one of all the ways, which this process has in its environment."""
    token, variables = KINDS[request.param]
    for name, value in (google.variables() | variables(google, tmp_path)).items():
        monkeypatch.setenv(name, value)
    return token


def test_each_way_gives_its_token(known: str) -> None:
    assert require_identity().token() == known


def test_a_registry_is_read_and_written_by_it(known: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeGcs("models")
    fake.token = known
    with fake.serving() as url:
        monkeypatch.setenv("GOOGLE_BASE_URL", url)
        store = open_registry("gs://models/registry").store
        store.put_if_absent("a", b"1")
        assert store.read("a").data == b"1"
        fake.buckets["models"]["/odd//key"] = fake.buckets["models"]["registry/a"]  # a request of our own reads that
        assert open_place("gs://models").read("/odd//key").data == b"1"
    assert set(fake.tokens) == {known}


def test_the_command_has_it_too(google: Google, tmp_path: Path) -> None:
    fake = FakeGcs("models")
    fake.token = impersonated(FEDERATED)
    variables = {FILE: a_file(tmp_path, google.external(is_impersonating=True)), "PATH": ""}
    with fake.serving() as url:
        arguments = ["models", "--registry", "gs://models/registry", "--json"]
        done = forked.run(arguments, tmp_path, variables | {"GOOGLE_BASE_URL": url})
    assert (done.returncode, json.loads(done.stdout)) == (0, []), done.stderr
    assert set(fake.tokens) == {fake.token}


def test_functions_on_this_machine_have_it_too_and_go_on_having_it(google: Google, tmp_path: Path) -> None:
    """A file of CI's credentials stands in the environment, which obstore alone would stumble over."""
    variables = {FILE: a_file(tmp_path, google.external())}
    identity = require_identity(variables)
    fake = FakeGcs("models")
    fake.token = FEDERATED
    with fake.serving() as url, token_file(identity, renew_s=0.01) as found:
        path = Path(found[VARIABLE])
        assert path.parent.stat().st_mode & 0o077 == 0  # nobody else looks into its folder
        storage = storage_from_environment({**variables, **found, "GOOGLE_BASE_URL": url})
        store = open_store("gs://models/registry", storage)
        store.put_if_absent("a", b"1")
        assert store.read("a").data == b"1"
        path.write_text("stale")
        wait_until(lambda: path.read_text() == FEDERATED)
    assert not path.exists()
    assert set(fake.tokens) == {FEDERATED}


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(1000):
        if is_so():
            return
        time.sleep(0.01)
    pytest.fail("it never came true")


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    storage = storage_from_environment({"CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(tmp_path / "none")})
    with pytest.raises(CredentialsError, match="none: expected an access token"):
        open_store("gs://models", storage).read("a")


def test_serve_hands_it_to_the_functions(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeGcs("models")
    fake.token = impersonated(FEDERATED)
    monkeypatch.setenv(FILE, a_file(tmp_path, google.external(is_impersonating=True)))
    with fake.serving() as url:
        monkeypatch.setenv("GOOGLE_BASE_URL", url)
        with serve("gcp", LocalSettings("gs://models/registry", None, 0)) as served_at:
            reply = http_client.send(f"{served_at}/v1/models/none")
    assert (reply.status, json.loads(reply.body)["code"]) == (404, "model_not_found")
    assert set(fake.tokens) == {fake.token}


def test_a_machine_of_google_s_has_its_own_account(google: Google, tmp_path: Path) -> None:
    place = google.url.removeprefix("http://")
    code = (
        "from onnxlet_publishing.google_identity import require_identity as find; print(find().token(), find().source)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            "GCE_METADATA_HOST": place,
            "GCE_METADATA_IP": place,
            "CLOUDSDK_CONFIG": str(tmp_path),
            "PYTHONPATH": f"{Path.cwd()}:{Path.cwd() / 'functions'}",
        },
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{MACHINE} the metadata server\n", done.stderr


def test_the_first_of_several_is_taken(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in google.variables().items():
        monkeypatch.setenv(name, value)
    variables = {
        "CLOUDSDK_CONFIG": login(tmp_path, google.user()),
        FILE: a_file(tmp_path, google.external()),
        "GOOGLE_CREDENTIALS": json.dumps(google.service_account()),
        "GOOGLE_OAUTH_ACCESS_TOKEN": "as-it-is",
    }
    for name, token in (
        ("GOOGLE_OAUTH_ACCESS_TOKEN", "as-it-is"),
        ("GOOGLE_CREDENTIALS", KEY),
        (FILE, FEDERATED),
        ("CLOUDSDK_CONFIG", USER),
    ):
        assert require_identity(variables).token() == token
        del variables[name]


def test_terraform_is_told_the_same_by_whole_paths(
    google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs in another folder, and does not know CLOUDSDK_CONFIG."""
    monkeypatch.chdir(tmp_path)
    file, folder = a_file(tmp_path, google.user()), login(tmp_path, google.user())
    adc = str(Path(folder) / "application_default_credentials.json")
    for variables, expected in (
        ({FILE: "credentials.json"}, {FILE: file}),
        ({"CLOUDSDK_CONFIG": "."}, {FILE: adc}),
        ({"GOOGLE_CREDENTIALS": "credentials.json"}, {"GOOGLE_CREDENTIALS": file}),
        ({"GOOGLE_OAUTH_ACCESS_TOKEN": "t"}, {"GOOGLE_OAUTH_ACCESS_TOKEN": "t"}),
    ):
        assert require_identity(variables).variables == expected


def test_an_emulator_is_sent_no_credentials(google: Google, tmp_path: Path) -> None:
    variables = {"STORAGE_EMULATOR_HOST": "127.0.0.1:1", FILE: a_file(tmp_path, google.user())}
    assert storage_of("gs://models", variables).gcs_credentials is None
    assert storage_of("s3://models", {FILE: "/nowhere"}).gcs_credentials is None


def test_where_nobody_is_known_it_is_said_how_to_log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    variables = {"CLOUDSDK_CONFIG": str(tmp_path)}
    assert find_identity(variables) is None
    with pytest.raises(AccountError, match="no Google credentials: run `gcloud auth application-default login`"):
        require_identity(variables)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"type": "person"}', '{"type": "external_account"}', '{"type": "authorized_user"}']
)
def test_a_file_that_describes_nobody_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "credentials.json"
    path.write_text(text)
    with pytest.raises(AccountError, match=r"credentials.json: expected a credential file of Google, got"):
        find_identity({FILE: str(path)})


@pytest.mark.parametrize("name", [FILE, "GOOGLE_CREDENTIALS"])
def test_a_file_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(AccountError, match=r"/nowhere\.json"):
        find_identity({name: "/nowhere.json"})


@pytest.mark.parametrize("name", [FILE, "GOOGLE_CREDENTIALS"])
@pytest.mark.parametrize("length", [60, 5000])
def test_a_key_in_place_of_a_path_is_never_shown(name: str, length: int) -> None:
    words = f"^{name}: no such file; expected the path of a credential file$"
    for key in ("c2VjcmV0" * (length // 8), '\ufeff{"private_key": "c2VjcmV0' + "a" * length):
        with pytest.raises(AccountError, match=words):
            find_identity({name: key})


def test_what_google_refuses_is_told_in_a_line(google: Google, tmp_path: Path) -> None:
    document = google.external()
    document["credential_source"]["headers"] = {}
    with pytest.raises(AccountError) as error:
        require_identity({FILE: a_file(tmp_path, document)}).token()
    assert "Google refuses the credentials" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_store_says_that_google_refuses(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = google.external()
    document["credential_source"]["headers"] = {}
    monkeypatch.setenv(FILE, a_file(tmp_path, document))
    with FakeGcs("models").serving() as url:
        monkeypatch.setenv("GOOGLE_BASE_URL", url)
        with pytest.raises(CredentialsError, match="Google refuses the credentials"):
            open_registry("gs://models/registry").models()
