import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from onnxlet_cli.deploy.aws import credentials
from onnxlet_publishing.errors import AccountError

Configure = Callable[..., Path]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Make a profile whose credentials a process gives, which counts how often it is asked."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    def write(minutes: float | None = 60, fails: str = "") -> Path:
        calls, tool, config = tmp_path / "calls", tmp_path / "tool.py", tmp_path / "config"
        answer = {"Version": 1, "AccessKeyId": "ASIA", "SecretAccessKey": "secret", "SessionToken": "token"}
        if minutes is not None:
            when = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)
            answer["Expiration"] = when.isoformat()
        tool.write_text(f"open({str(calls)!r}, 'a').write('x')\n{fails}\nprint({json.dumps(answer)!r})")
        config.write_text(
            f"[profile work]\nregion = eu-central-1\nca_bundle = /etc/corporation.pem\nuse_fips_endpoint = true\n"
            f"credential_process = {sys.executable} {tool}\n"
        )
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        monkeypatch.setenv("AWS_PROFILE", "work")
        return calls

    return write


def test_credentials_are_asked_for_once_and_stay_the_same(configure: Configure) -> None:
    calls = configure()
    session = credentials.freeze()
    for _ in range(3):
        found = session.get_credentials().get_frozen_credentials()
        assert (found.access_key, found.secret_key, found.token) == ("ASIA", "secret", "token")
    assert calls.read_text() == "x"


def test_a_child_is_the_same_caller_and_reads_no_profile(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    configure()
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2020-01-01T00:00:00Z")
    told = credentials.to_environment(credentials.freeze())
    assert {name: told[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")} == {
        "AWS_ACCESS_KEY_ID": "ASIA",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
    }
    assert all(told[name] is None for name in credentials.OTHERS)
    assert told["AWS_CA_BUNDLE"] == "/etc/corporation.pem", "which the profile had said"
    assert told["AWS_USE_FIPS_ENDPOINT"] == "true", "likewise"
    assert "AWS_USE_DUALSTACK_ENDPOINT" not in told


def test_a_token_of_an_earlier_session_is_taken_from_the_child() -> None:
    """With the keys of a user, a token that is left in the environment would make every request fail."""
    assert credentials.to_environment(credentials.freeze())["AWS_SESSION_TOKEN"] is None


def test_what_expires_before_a_deployment_could_end_is_refused(configure: Configure) -> None:
    configure(minutes=10)
    with pytest.raises(AccountError, match=r"expire within 15 minutes.*renew them"):
        credentials.freeze()


def test_what_never_expires_is_taken(configure: Configure) -> None:
    configure(minutes=None)
    credentials.freeze()


@pytest.mark.parametrize("minutes", [-60, 10])
def test_keys_in_the_environment_that_expire_are_refused(minutes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `aws configure export-credentials --format env` writes them."""
    when = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", when.isoformat())
    with pytest.raises(AccountError, match="expire"):
        credentials.freeze()


def test_a_process_that_fails_is_named(configure: Configure) -> None:
    configure(fails="raise SystemExit('no such role')")
    with pytest.raises(AccountError, match="no such role"):
        credentials.freeze()


def test_a_prompt_for_mfa_that_nobody_can_answer_says_what_to_do(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "[profile base]\naws_access_key_id = a\naws_secret_access_key = b\n"
        "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\nmfa_serial = device\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, "-c", "from onnxlet_cli.deploy.aws import credentials; credentials.freeze()"],
        cwd=Path(__file__).parents[4],
        env={**environment, "AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "work", "PYTHONPATH": "functions:."},
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # without a terminal, as in CI
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "AccountError: the AWS profile asks for an MFA code, and there is no terminal" in done.stderr


def test_without_any_it_is_said_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AccountError, match="no AWS credentials: run `aws configure`"):
        credentials.freeze()
