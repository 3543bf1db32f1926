"""The workflows of docs/github: what they run is there, they may do no more than they need, and hold no secret."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from onnxlet_cli.main import app

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/ci.md"
WORKFLOWS = sorted((ROOT / "docs/github").glob("*.yml"))
CLOUDS = {"deploy-aws.yml": "aws-actions/configure-aws-credentials", "deploy-gcp.yml": "google-github-actions/auth"}
"""For each workflow, the action that exchanges GitHub's token for credentials."""

Workflow = dict[Any, Any]


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def workflow(path: Path) -> Workflow:
    found: Workflow = yaml.safe_load(path.read_text())
    return found


def steps(workflow: Workflow) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a shell script, each as its words; what a variable holds is one of them."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield words


def parse(words: list[str]) -> dict[str, Any]:
    """The parameters that our command reads from these words, as it reads them itself.

    Raises:
        typer's UsageError: there is no such command or option, or one needs more.
    """
    group: Any = typer.main.get_command(app)
    context = group.make_context("onnxlet", [], resilient_parsing=True)
    name, command, rest = group.resolve_command(context, list(words))
    assert command is not None, f"No such command {words[0]}"
    found: dict[str, Any] = command.make_context(name, rest).params
    return found


def test_there_is_a_workflow_for_each_cloud() -> None:
    assert {path.name for path in WORKFLOWS} == set(CLOUDS)


def test_whatever_it_runs_is_there(workflow: Workflow) -> None:
    targets = set(re.findall(r"^([.a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    ran = [words for step in steps(workflow) if "run" in step for words in commands(step["run"])]
    assert {words[0] for words in ran} == {"make", ".venv/bin/onnxlet"}
    for program, *words in ran:
        if program == "make":
            assert set(words) <= targets
        else:
            parse(words)
    assert {words[1] for words in ran if words[0] != "make"} == {"deploy", "promote"}


def test_a_command_that_is_not_ours_is_found_by_the_same_check() -> None:
    for text in ("deploy --stack-name x", "promote --from a --too b", "publish-all", "deploy --cloud azure"):
        with pytest.raises(Exception, match=r"No such (option|command)|is not one of"):
            parse(text.split())


def test_each_stage_is_deployed_with_its_file_and_then_promoted_to(path: Path, workflow: Workflow) -> None:
    ran = [
        parse(words[1:]) for step in steps(workflow) for words in commands(step.get("run", "")) if words[0] != "make"
    ]
    staging, production, promotion = ran
    cloud = path.stem.removeprefix("deploy-")
    assert [each["cloud"] for each in ran] == [cloud] * 3
    assert (promotion["source"], promotion["target"]) == (staging["stack"], production["stack"])
    assert [str(each["stage_file"]) for each in ran[:2]] == ["stages/staging.txt", "stages/production.txt"]
    for each in ran[:2]:
        if cloud == "gcp":  # infra/gcp/variables.tf: a service account's id takes no more
            assert re.fullmatch(r"[a-z][a-z0-9-]{1,18}[a-z0-9]", each["stack"])


def test_nothing_is_allowed_but_to_read_the_code_and_to_ask_for_a_token(workflow: Workflow) -> None:
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"] == {"contents": "read", "id-token": "write"}


def test_no_pull_request_of_a_stranger_gets_credentials(workflow: Workflow) -> None:
    events = workflow[True]  # YAML 1.1 reads `on` so
    assert events == {"push": {"branches": ["main"]}, "workflow_dispatch": None}


def test_each_job_has_its_environment_which_the_cloud_s_trust_is_for(workflow: Workflow) -> None:
    assert {name: job["environment"] for name, job in workflow["jobs"].items()} == {
        "staging": "staging",
        "production": "production",
    }
    assert workflow["jobs"]["production"]["needs"] == "staging"
    assert workflow["concurrency"]["cancel-in-progress"] is False


def test_no_secret_is_in_it_and_no_text_of_github_s_becomes_part_of_a_script(path: Path, workflow: Workflow) -> None:
    text = path.read_text()
    assert "secrets." not in text
    assert not re.search(r"AKIA|BEGIN [A-Z ]*PRIVATE KEY|aws[_-]secret|credentials_json", text, re.IGNORECASE)
    for step in steps(workflow):
        assert "${{" not in step.get("run", "")
        assert not re.search(r"\b(echo|printenv|set -x)\b", step.get("run", ""))
    for expression in re.findall(r"\$\{\{(.*?)\}\}", text):
        assert re.fullmatch(r" vars\.[A-Z_]+ ", expression)


def test_each_variable_is_explained_and_set_before_a_script_reads_it(workflow: Workflow, path: Path) -> None:
    guide = GUIDE.read_text()
    for name in re.findall(r"vars\.([A-Z_]+)", path.read_text()):
        assert f"`{name}`" in guide
    for step in steps(workflow):
        for name in re.findall(r"\$(\w+)", step.get("run", "")):
            assert name in workflow["env"]


def test_the_code_is_there_before_credentials_are_and_they_come_by_a_token(path: Path, workflow: Workflow) -> None:
    for job in workflow["jobs"].values():
        uses = [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]
        assert uses[0] == "actions/checkout"
        (exchange,) = [step for step in job["steps"] if step.get("uses", "").startswith(CLOUDS[path.name])]
        keys = (
            {"role-to-assume", "aws-region"}
            if "aws" in path.name
            else {"workload_identity_provider", "service_account"}
        )
        assert exchange["with"].keys() == keys
        assert job["steps"][0]["with"]["persist-credentials"] is False
        names = [step.get("name") or step.get("uses", "") for step in job["steps"]]
        assert names.index("Install") < names.index(exchange["uses"]) < names.index("Deploy"), (
            "of a package: no credentials"
        )
        assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@v\d+", step["uses"]) for step in job["steps"] if "uses" in step)


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not on this machine")
def test_actionlint_finds_nothing(path: Path) -> None:
    done = subprocess.run(["actionlint", "-oneline", str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def blocks(language: str) -> list[str]:
    """The blocks of the guide that are said to be of a language; of none where it is empty."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def test_aws_trusts_one_environment_of_one_repository() -> None:
    (text,) = blocks("json")
    (statement,) = json.loads(text)["Statement"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    conditions = statement["Condition"]
    assert conditions.keys() == {"StringEquals"}, "a pattern would let other repositories in"
    issuer = "token.actions.githubusercontent.com"
    assert statement["Principal"] == {"Federated": f"arn:aws:iam::ACCOUNT:oidc-provider/{issuer}"}
    assert conditions["StringEquals"] == {
        f"{issuer}:aud": "sts.amazonaws.com",
        f"{issuer}:sub": "repo:ORG/REPO:environment:staging",
    }
    assert "*" not in text


def test_google_trusts_one_environment_of_one_repository() -> None:
    (script,) = [text for text in blocks("") if "create-oidc" in text]
    (words,) = [words for words in commands(script) if "create-oidc" in words]
    assert words[words.index("--attribute-condition") + 1] == "assertion.repository == 'ORG/REPO'"
    assert words[words.index("--attribute-mapping") + 1] == "google.subject=assertion.sub"
    (binding,) = [words for text in blocks("") for words in commands(text) if "add-iam-policy-binding" in words]
    assert binding[binding.index("--role") + 1] == "roles/iam.workloadIdentityUser"
    assert binding[binding.index("--member") + 1].endswith("/subject/repo:ORG/REPO:environment:staging")


def test_files_that_the_guide_names_are_there() -> None:
    text = GUIDE.read_text()
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (GUIDE.parent / link).exists(), link
    for name in re.findall(r"file://(infra/\S+)", text):
        assert (ROOT / name).exists(), name


def test_a_stage_s_example_is_what_the_command_reads(tmp_path: Path) -> None:
    from onnxlet_cli.commands.deploy import _parse_settings

    (text,) = [text for text in blocks("") if text.startswith("# stages/")]
    path = tmp_path / "stage.txt"
    path.write_text(text)
    parameters = set(re.findall(r"^  (\w+):$", (ROOT / "template.yaml").read_text(), re.MULTILINE))
    assert _parse_settings([], path).keys() <= parameters
