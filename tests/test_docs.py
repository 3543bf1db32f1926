"""The commands in the documentation: each is one that its tool would take."""

import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import botocore.loaders
import pytest
from botocore import xform_name

from onnxlet_cli.cost.monthly import estimate
from onnxlet_cli.cost.offers import Extras
from tests.helpers import aws_model, gcloud_commands

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("infra/*.md")])
GCLOUD = gcloud_commands.load()

AWS_NAMES = {"s3api": "s3"}
"""The services that AWS's command calls otherwise than its library."""
AWS_OWN = {
    ("s3", "cp"): {"--region", "--recursive"},
    ("s3", "ls"): {"--region", "--recursive"},
    ("s3", "sync"): {"--region"},
    ("cloudformation", "deploy"): {"--stack-name", "--template-file", "--capabilities", "--parameter-overrides"},
    ("ecr", "get-login-password"): {"--region"},
}
"""The commands that AWS's command has of its own, and their options as far as we use them."""
AWS_EVERYWHERE = {"--region", "--query", "--output", "--profile"}
SAMPLES = {
    "ACCOUNT": "123456789012",
    "ACL": "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/onnxlet/1",
    "API": "abcdef1234",
    "BATCH": "arn:aws:states:us-east-1:123456789012:stateMachine:batch",
    "CERTIFICATE": "arn:aws:acm:us-east-1:123456789012:certificate/1",
    "INPUTS": "inputs",
    "NAME": "onnxlet-training",
    "REGION": "us-east-1",
    "RUN": "arn:aws:states:us-east-1:123456789012:execution:batch:run",
}
"""What a reader puts in the place of a word in capitals."""
PLACEHOLDER = re.compile(rf"\b({'|'.join(SAMPLES)})\b")

DOCKERFILE = ROOT / "training/Dockerfile"

BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[str]:
    """The blocks of code of a page, each command on one line, documents in quotes included."""
    joined = [re.sub(r" *\\\n *", " ", block) for block in BLOCK.findall(page.read_text())]
    return [re.sub(r"'\{[^']*\}'", lambda found: " ".join(found[0].split()), block) for block in joined]


def inline(page: Path, tool: str) -> list[str]:
    """The commands of a tool within a page's sentences; one without an option only names what it is about."""
    prose = BLOCK.sub("", page.read_text())
    found = [" ".join(text.split()) for text in re.findall(rf"`({tool} [^`]+)`", prose)]
    return [text for text in found if " --" in text]


def commands(text: str, tool: str) -> Iterator[list[str]]:
    """The words of each command of a tool, also after a pipe or in `$(...)`."""
    for line in text.splitlines():
        if not re.search(rf"\b{tool} ", line):
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;()")
        lexer.whitespace_split = True
        found: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("|&;()"):
                if found[:1] == [tool]:
                    yield found
                found = []
            else:
                found.append(word)


def all_commands(tool: str) -> list[tuple[str, list[str]]]:
    texts = [(page.name, text) for page in PAGES for text in (*blocks(page), *inline(page, tool))]
    return [(name, words) for name, text in texts for words in commands(text, tool)]


def test_images_are_built_for_the_machines_that_run_them() -> None:
    """Without it a Mac makes an arm64 image: SageMaker and Vertex AI end with `exec format error`."""
    written = [line.removeprefix("#").strip() for line in DOCKERFILE.read_text().splitlines() if "docker build" in line]
    written += [line for line in (ROOT / "Makefile").read_text().splitlines() if "docker build" in line]
    found = [words for _, words in all_commands("docker")] + [shlex.split(line) for line in written]
    built = [words for words in found if words[1] == "build"]
    assert len(built) >= 4
    for words in built:
        assert ("--platform", "linux/amd64") in pairwise(words), words
        assert (ROOT / words[words.index("-f") + 1]).is_file(), f"{words}: run from the checkout's root"


def test_who_pushes_an_image_has_logged_in_before_and_built_it() -> None:
    pushing = [block for page in PAGES for block in blocks(page) if "docker push" in block]
    assert len(pushing) == 2, "one for each cloud"
    for block in pushing:
        steps = block.splitlines()
        login = next(index for index, line in enumerate(steps) if "docker login" in line or "configure-docker" in line)
        build = next(index for index, line in enumerate(steps) if "docker build" in line)
        push = next(index for index, line in enumerate(steps) if "docker push" in line)
        assert login < push
        assert build < push
        built, pushed = shlex.split(steps[build]), shlex.split(steps[push])
        assert built[built.index("-t") + 1] == pushed[2]


@pytest.mark.parametrize("major", ["12", "13"])
def test_the_image_holds_one_cuda(major: str) -> None:
    """Both frameworks and the base of one major version, whatever the argument of the build is."""
    text = DOCKERFILE.read_text()
    assert re.search(rf"^FROM nvidia/cuda:{major}\.\d+\.\d+-base-ubuntu24\.04 AS cuda{major}$", text, re.MULTILINE)
    assert text.index("ARG CUDA=13\n") < text.index("FROM cuda${CUDA}\nARG CUDA\n"), "an argument ends with its stage"
    assert '"jax[cuda$CUDA]" torch' in text
    assert re.search(r'if \[ "\$CUDA" = 12 \].*whl/cu12\d torch', text, re.DOTALL), "PyPI's torch is for CUDA 13"


def options(words: list[str]) -> dict[str, str | None]:
    """The options of a command with their values, None where one is a switch."""
    words = words[: words.index(">")] if ">" in words else words
    found: dict[str, str | None] = {}
    for index, word in enumerate(words):
        if word.startswith("--"):
            name, joined, value = word.partition("=")
            following = [value] if joined else words[index + 1 : index + 2]
            found[name] = following[0] if following and not following[0].startswith("--") else None
    return found


def aws_operation(service: str, words: list[str]) -> Any:
    """The operation that a command calls; for `wait`, the one that it calls again and again."""
    model = aws_model.service_model(service)
    if words[2] == "wait":
        waiters = botocore.loaders.Loader().load_service_model(service, "waiters-2")["waiters"]
        (name,) = [waiter["operation"] for key, waiter in waiters.items() if xform_name(key, "-") == words[3]]
        return model.operation_model(name)
    (name,) = [name for name in model.operation_names if xform_name(name, "-") == words[2]]
    return model.operation_model(name)


def parsed(value: str | None, shape: Any, page: str) -> Any:
    """An option's value as AWS's command would send it."""
    if value is None:
        return True
    if value.startswith("file://"):
        document = written(page, value.removeprefix("file://"))
        return json.dumps(document) if shape.type_name == "string" else document
    value = PLACEHOLDER.sub(lambda match: SAMPLES[match[0]], value)
    if value.startswith("{"):
        return json.loads(value) if shape.type_name == "structure" else value
    if shape.type_name == "structure":
        pairs = (pair.partition("=") for pair in value.split(","))
        return {name: parsed(text, member(shape, name), page) for name, _, text in pairs}
    if shape.type_name == "list":
        return [parsed(each, shape.member, page) for each in value.split(",")]
    return value == "true" if shape.type_name == "boolean" else value


def member(shape: Any, name: str) -> Any:
    assert name in shape.members, f"{shape.name} has no {name}"
    return shape.members[name]


def written(page: str, name: str) -> Any:
    """The JSON document of a file of ours, or the one that a page shows next after it has told its name."""
    if (ROOT / name).is_file():
        return json.loads((ROOT / name).read_text())
    (path,) = [each for each in PAGES if each.name == page and f"`{name}`" in each.read_text()]
    text = path.read_text().partition(f"`{name}`")[2]
    return json.loads(text.partition("```json\n")[2].partition("```")[0])


@pytest.mark.parametrize(
    ("page", "words"), [pytest.param(*each, id=" ".join(each[1][:3])) for each in all_commands("aws")]
)
def test_awss_command_takes_what_is_written(page: str, words: list[str]) -> None:
    given = options(words)
    if (words[1], words[2]) in AWS_OWN:
        assert given.keys() <= AWS_OWN[words[1], words[2]]
        return
    service = AWS_NAMES.get(words[1], words[1])
    found = aws_operation(service, words)
    names = {f"--{xform_name(name, '-')}": name for name in found.input_shape.members}
    assert given.keys() <= names.keys() | AWS_EVERYWHERE
    request = {
        names[name]: parsed(value, found.input_shape.members[names[name]], page)
        for name, value in given.items()
        if name in names
    }
    assert aws_model.faults(service, found.name, request) == []


@pytest.mark.parametrize(
    ("page", "words"), [pytest.param(*each, id=" ".join(each[1][1:5])) for each in all_commands("gcloud")]
)
def test_googles_command_takes_what_is_written(page: str, words: list[str]) -> None:
    known = [name for name in GCLOUD["commands"] if words[1 : 1 + len(name.split())] == name.split()]
    assert known, f"{page}: no command of gcloud, or a new one: see {gcloud_commands.__name__}"
    assert options(words).keys() <= {*GCLOUD["commands"][known[-1]], *GCLOUD["everywhere"]}, page


@pytest.mark.parametrize("line", ["gcloud compute addresses create a --globl", "gcloud compute adresses create a"])
def test_a_wrong_command_of_googles_is_found(line: str) -> None:
    with pytest.raises(AssertionError, match="page"):
        test_googles_command_takes_what_is_written("page", shlex.split(line))


def test_the_commands_that_are_checked_are_all_that_are_meant() -> None:
    """As a page whose blocks were not found would pass."""
    assert {"aws.md", "README.md"} <= {page for page, _ in all_commands("aws")}
    assert {"gcp.md", "README.md"} <= {page for page, _ in all_commands("gcloud")}
    services = {words[1] for _, words in all_commands("aws")}
    assert services >= {"acm", "apigateway", "wafv2", "cloudfront", "lambda"}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("aws wafv2 create-web-acl --name a --scope GLOBAL --default-action Allow={}", "VisibilityConfig"),
        ("aws apigateway create-domain-name --domain example.com", "--domain"),
        ("aws lambda add-permission --function-name f --statement-id s --principal p", '"Action"'),
        ("aws apigateway create-domain-name --domain-name e.com --security-policy TLS_9", "securityPolicy: expected"),
    ],
)
def test_a_wrong_command_is_found(line: str, fault: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(fault)):
        test_awss_command_takes_what_is_written("aws.md", shlex.split(line))


def test_what_costs_while_idle_is_what_the_prices_say() -> None:
    text = (ROOT / "docs/aws.md").read_text() + (ROOT / "template.yaml").read_text()
    extras = Extras(provisioned=1, queues=1, alarms=10, dashboards=1)
    idle = estimate(0, milliseconds=20, extras=extras).parts_usd
    snapshot = estimate(100_000, milliseconds=20, extras=Extras(has_snapshots=True)).parts_usd
    for amount in (idle["queue polling"], idle["alarms"] + idle["dashboards"], idle["provisioned"]):
        assert f"${amount:.2f}" in text
    for amount in (snapshot["snapshot"], snapshot["restores"]):
        assert f"${amount:.2f}" in text
        assert f"{amount:.2f} USD" in text
    google = estimate(0, milliseconds=20, memory_mib=1024, platform="cloud-run", extras=Extras(min_instances=1))
    assert f"about ${google.idle_usd:.0f} for 1 vCPU" in (ROOT / "docs/gcp.md").read_text()


def test_the_tests_that_security_names_are_there() -> None:
    named = re.findall(r"`([\w/]*(?:test_\w+\.py|/))`", (ROOT / "SECURITY.md").read_text())
    paths = [
        path
        for path in named
        if path.endswith(".py") or path in {"hostile/", "faults/", "crashes/", "soak/", "browser/"}
    ]
    assert len(paths) > 30
    assert [path for path in paths if not (ROOT / "tests" / path).exists()] == []
