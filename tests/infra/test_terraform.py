"""infra/gcp as far as it can be judged without Google: what its blocks mean, and the provider's published types."""

import ast
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from tests.infra.provider_types import GCP, read_types
from tests.infra.terraform import ENVIRONMENT, Block, read_module

ROOT = Path(__file__).parents[2]
CHECKOV_CONFIG = GCP / ".checkov.yaml"
VENVS = (ROOT / ".venv-deploy/bin", ROOT / ".venv-checkov/bin")
"""Where checkov may be, whose dependencies fight ours."""

MODULE = read_module(GCP)
TYPES = read_types()

META_ARGUMENTS = {"count", "for_each", "depends_on", "lifecycle", "provider"}
"""Terraform's own, of every resource."""

REFERENCE = re.compile(r"\b(data\.)?(google_\w+)\.(\w+)((?:\[[^\]]*\])?(?:\.\w+(?:\[\d+\])?)*)")

LISTS, READS = "roles/storage.legacyBucketReader", "roles/storage.objectViewer"
CREATES, WRITES = "roles/storage.objectCreator", "roles/storage.objectUser"

ON_DATA = {
    "http": {
        (LISTS, "registry", None),
        (READS, "registry", "registry/"),
        (CREATES, "results", "answers/"),
        (READS, "results", "answers/"),
        (LISTS, "results", None),  # with API keys
    },
    "messages": {
        (LISTS, "registry", None),
        (READS, "registry", "registry/"),
        (LISTS, "inputs", None),
        (READS, "inputs", "var.input_prefix"),
        (CREATES, "results", "results/"),
        (READS, "results", "results/"),
    },
    "batch": {(LISTS, "inputs", None)},
    "build": {(READS, "source", "functions-")},
    "training": {
        (LISTS, "registry", None),
        (READS, "registry", "${local.registry_prefix}models/"),
        (READS, "registry", "${local.registry_prefix}blobs/"),
        (CREATES, "registry", "${local.registry_prefix}models/"),
        (CREATES, "registry", "${local.registry_prefix}blobs/"),
        (WRITES, "registry", "${local.registry_prefix}models/{model}/aliases/"),
        (LISTS, "training", None),
        (READS, "training", "data/"),
        (WRITES, "training", "runs/"),
    },
}
ON_DATA["objects"] = ON_DATA["messages"]
"""All that each service account may do with objects; a right without a prefix is to list a bucket."""

ELSEWHERE = {
    # A project's rights: each says in its file why there is no narrower one.
    ("google_project_iam_member", "roles/eventarc.eventReceiver", "events"),
    ("google_project_iam_member", "roles/logging.logWriter", "build"),
    ("google_project_iam_member", READS, "build"),  # of copies of the source, by a condition
    ("google_project_iam_member", "roles/logging.logWriter", "training"),
    ("google_project_iam_member", "roles/pubsub.publisher", "local.storage_agent"),  # with Eventarc
    (
        "google_project_iam_member",
        "roles/${each.value.service}.serviceAgent",
        "each.value.account",
    ),  # of Google's agents
    # Those of single resources.
    ("google_artifact_registry_repository_iam_member", "roles/artifactregistry.writer", "build"),
    ("google_cloud_run_v2_service_iam_member", "roles/run.invoker", "each.value"),  # of var.invokers
    ("google_cloud_run_v2_service_iam_member", "roles/run.invoker", "allUsers"),
    ("google_cloud_run_v2_service_iam_member", "roles/run.invoker", "events"),
    ("google_kms_crypto_key_iam_member", "roles/cloudkms.cryptoKeyEncrypterDecrypter", "each.value"),
    ("google_pubsub_topic_iam_member", "roles/pubsub.publisher", "local.pubsub_agent"),
    ("google_pubsub_topic_iam_member", "roles/pubsub.publisher", "local.storage_agent"),
    ("google_pubsub_topic_iam_member", "roles/pubsub.publisher", "batch"),
    ("google_pubsub_subscription_iam_member", "roles/pubsub.subscriber", "local.pubsub_agent"),
    ("google_service_account_iam_member", "roles/iam.serviceAccountTokenCreator", "http"),
    ("google_service_account_iam_member", "roles/iam.serviceAccountTokenCreator", "local.pubsub_agent"),
    ("google_storage_bucket_iam_member", "each.value.role", "each.value.who"),  # the table above
}

LEFT_OUT = {
    "ONNXLET_CACHE": "an instance's disk is its memory",
    "ONNXLET_CACHE_MIB": "there is no cache",
    "ONNXLET_PREFETCH": "nothing is fetched ahead where a server forks its workers",
}
"""Settings that the functions read and Terraform does not set."""

WITHOUT_VALIDATION = {"labels", "variant", "vpc_connector", "vpc_network", "vpc_subnetwork", "notification_channels"}
"""Variables that take what Google takes, or any text."""


def local(value: Any) -> Any:
    """The value of a local that another local names."""
    while isinstance(value, str) and value.startswith("local."):
        value = MODULE.locals[value.removeprefix("local.")]
    return value


def account(expression: str) -> str:
    """The service account that an expression speaks of."""
    match = re.search(r"google_service_account\.(\w+)", str(local(expression)))
    return match[1] if match else expression


def bucket(expression: str) -> str:
    match = re.search(r"google_storage_bucket\.(\w+)", local(expression))
    assert match, expression
    return match[1]


def _is_required(kind: Any) -> bool:
    return isinstance(kind, str) and kind.endswith("!")


def blocks_of(body: dict[str, Any], arguments: dict[str, Any], path: str) -> Iterator[str]:
    """What is wrong with a body, by the provider's types."""
    for name, value in body.items():
        if name not in arguments:
            yield f"{path}.{name} is unknown"
        elif isinstance(arguments[name], dict):
            for block in value:
                yield from blocks_of(block, arguments[name], f"{path}.{name}")
    yield from (
        f"{path}.{name} is missing" for name, kind in arguments.items() if _is_required(kind) and name not in body
    )


@pytest.mark.parametrize("block", MODULE.resources, ids=lambda block: block.address)
def test_the_provider_knows_every_argument(block: Block) -> None:
    body = {name: value for name, value in block.body.items() if name not in META_ARGUMENTS}
    assert list(blocks_of(body, TYPES[block.kind]["arguments"], block.address)) == []


def test_every_reference_is_to_something_that_the_provider_gives() -> None:
    known = {block.address for block in MODULE.resources} | {f"data.{block.address}" for block in MODULE.data}
    problems = []
    for match in REFERENCE.finditer(re.sub(r"#.*", "", MODULE.text)):
        kind, path = f"{match[1] or ''}{match[2]}", re.sub(r"\[[^\]]*\]", "", match[4]).strip(".")
        types = TYPES[kind]
        is_known = path.partition(".")[0] in types["arguments"] if "." not in path else path in types["attributes"]
        if f"{kind}.{match[3]}" not in known or not (not path or is_known or path in types["attributes"]):
            problems.append(match[0])
    assert problems == []


def test_nothing_waits_for_itself() -> None:
    nodes = {block.address: block.body for block in MODULE.resources}
    nodes |= {f"data.{block.address}": block.body for block in MODULE.data}
    nodes |= {f"local.{name}": {"value": value} for name, value in MODULE.locals.items()}
    waits = {
        name: {other for other in nodes if other != name and re.search(rf"(?<![\w.]){re.escape(other)}\b", str(body))}
        for name, body in nodes.items()
    }
    assert list(TopologicalSorter(waits).static_order())


def test_each_function_runs_as_an_account_of_its_own() -> None:
    functions = MODULE.of_kind("google_cloudfunctions2_function")
    found = {
        each.body["build_config"][0]["entry_point"]: account(each.body["service_config"][0]["service_account_email"])
        for each in functions
    }
    assert found == {"gcp_http": "http", "gcp_message": "messages", "gcp_objects": "objects"}


def test_each_image_is_built_for_what_its_entry_point_takes() -> None:
    """A trigger does not say it: without it the buildpack starts functions-framework for HTTP."""
    builds = [each.body["build_config"][0] for each in MODULE.of_kind("google_cloudfunctions2_function")]
    kinds = {each["entry_point"]: each["environment_variables"] for each in builds}
    assert kinds == {
        "gcp_http": {"GOOGLE_FUNCTION_SIGNATURE_TYPE": "http"},
        "gcp_message": {"GOOGLE_FUNCTION_SIGNATURE_TYPE": "cloudevent"},
        "gcp_objects": {"GOOGLE_FUNCTION_SIGNATURE_TYPE": "cloudevent"},
    }


def test_entry_points_are_functions_of_main() -> None:
    tree = ast.parse((ROOT / "functions/main.py").read_text())
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    functions = MODULE.of_kind("google_cloudfunctions2_function")
    assert {each.body["build_config"][0]["entry_point"] for each in functions} <= defined


def test_each_account_may_touch_only_its_own_objects() -> None:
    found: dict[str, set[tuple[str, str, str | None]]] = {}
    for name, grant in MODULE.locals["grants"].items():
        who = account(grant["who"])
        assert name.startswith(f"{who}_"), name
        found.setdefault(who, set()).add((local(grant["role"]), bucket(grant["bucket"]), local(grant["prefix"])))
    assert found == ON_DATA


def test_without_a_prefix_a_right_is_to_list_alone() -> None:
    for name, grant in MODULE.locals["grants"].items():
        assert (local(grant["prefix"]) in {None, "null"}) == (local(grant["role"]) == LISTS), name
    condition = MODULE.resource("google_storage_bucket_iam_member.grants").body["condition"][0]
    assert condition["expression"] == "condition.value"
    assert "resource.name.startsWith" in str(MODULE.locals["conditions"])


def test_nobody_has_any_other_right() -> None:
    members = [block for block in MODULE.resources if "_iam_" in block.kind]
    found = {(each.kind, local(each.body["role"]), account(each.body["member"])) for each in members}
    assert found == ELSEWHERE
    assert all(each.kind.endswith("_iam_member") for each in members), "a binding or a policy takes others' rights away"


def test_no_right_is_a_primitive_role() -> None:
    assert not re.search(r"roles/(owner|editor|viewer|browser)\b|roles/[\w.]*[aA]dmin\b", MODULE.text)


def test_everybody_may_call_only_where_the_deployer_says_so() -> None:
    everybody = MODULE.resource("google_cloud_run_v2_service_iam_member.everybody").body
    assert everybody["count"] == "var.allow_unauthenticated ? 1 : 0"
    assert everybody["name"] == "google_cloudfunctions2_function.http.name"
    assert MODULE.variables["allow_unauthenticated"]["default"] is False
    assert MODULE.text.count('"allUsers"') == 1
    assert "allAuthenticatedUsers" not in MODULE.text


def test_what_answers_events_cannot_be_reached_from_outside() -> None:
    for name in ("messages", "objects"):
        service = MODULE.resource(f"google_cloudfunctions2_function.{name}").body["service_config"][0]
        assert service["ingress_settings"] == "ALLOW_INTERNAL_ONLY"


@pytest.mark.parametrize("block", MODULE.of_kind("google_storage_bucket"), ids=lambda block: block.name)
def test_buckets_are_private_and_stay(block: Block) -> None:
    assert block.body["uniform_bucket_level_access"] is True
    assert block.body["public_access_prevention"] == "enforced"
    assert block.body["force_destroy"] == (True if block.name == "source" else "var.delete_data")
    assert block.body["encryption"][0]["default_kms_key_name"] == "encryption.value"
    assert block.body["versioning"][0]["enabled"] is (block.name in {"registry", "inputs"})


def test_data_are_deleted_only_where_the_deployer_says_so() -> None:
    assert MODULE.variables["delete_data"]["default"] is False


def test_every_message_is_answered_or_ends_as_a_dead_letter() -> None:
    subscriptions = {each.name: each.body for each in MODULE.of_kind("google_pubsub_subscription")}
    assert set(subscriptions) == {"messages", "dead_letters"}
    for body in subscriptions.values():
        assert body["expiration_policy"] == [{"ttl": ""}]
    messages, dead_letters = subscriptions["messages"], subscriptions["dead_letters"]
    assert messages["dead_letter_policy"][0]["dead_letter_topic"] == "google_pubsub_topic.dead_letters.id"
    assert dead_letters["topic"] == "google_pubsub_topic.dead_letters.id"
    assert dead_letters["message_retention_duration"] == "${local.dead_letter_days * 86400}s"
    assert MODULE.locals["dead_letter_days"] == 31, "Pub/Sub's own bound"


def test_a_push_is_signed_and_names_the_topic() -> None:
    push = MODULE.resource("google_pubsub_subscription.messages").body["push_config"][0]
    assert account(push["oidc_token"][0]["service_account_email"]) == "events"
    assert push["push_endpoint"].endswith("/${google_pubsub_topic.messages.id}")
    assert push["push_endpoint"].startswith(f"${{{push['oidc_token'][0]['audience']}}}/")


def test_a_notification_carries_data() -> None:
    # functions-framework: _is_raw_pubsub_payload
    assert MODULE.resource("google_storage_notification.inputs").body["payload_format"] == "JSON_API_V1"


def test_what_triggers_deliver_is_delivered_again_when_it_fails() -> None:
    for name in ("messages", "objects"):
        trigger = MODULE.resource(f"google_cloudfunctions2_function.{name}").body["event_trigger"][0]
        assert trigger["retry_policy"] == "RETRY_POLICY_RETRY"
        assert account(trigger["service_account_email"]) == "events"


def test_results_never_lie_among_the_inputs() -> None:
    """If both buckets exist already, the plan refuses one for both."""
    places = {"results_url": "results", "answers_url": "results", "input_url": "inputs"}
    for url, name in places.items():
        assert f"${{local.{name}}}/" in MODULE.locals[url]
        assert f"google_storage_bucket.{name}" in MODULE.locals[name]


def test_settings_are_those_that_the_functions_read() -> None:
    config = (ROOT / "functions/onnxlet/settings/__init__.py").read_text()
    calls = [node for node in ast.walk(ast.parse(config)) if isinstance(node, ast.Call)]
    strings = [argument.value for call in calls for argument in call.args if isinstance(argument, ast.Constant)]
    read = {text for text in strings if isinstance(text, str) and re.fullmatch(r"ONNXLET_\w+", text)}
    locals_ = MODULE.locals
    given = set(locals_["settings"]) | set(locals_["http_settings"]) | set(locals_["event_settings"])
    ours = {name for name in given if name.startswith("ONNXLET_")}
    assert ours <= read
    assert read - ours == set(LEFT_OUT)
    assert given - ours == {"GOOGLE_CLOUD_PROJECT", "THREADS"}
    assert "GOOGLE_CLOUD_PROJECT" in strings
    assert set(re.findall(r"^ +(ONNXLET_\w+) +=", MODULE.text, re.MULTILINE)) == ours, "set elsewhere, too"


def test_each_function_is_given_its_settings() -> None:
    for name, environment in (("http", "http"), ("messages", "event"), ("objects", "event")):
        service = MODULE.resource(f"google_cloudfunctions2_function.{name}").body["service_config"][0]
        assert service["environment_variables"] == f"local.{environment}_environment"


@pytest.mark.parametrize("name", MODULE.variables)
def test_a_variable_is_described_and_used(name: str) -> None:
    variable = MODULE.variables[name]
    assert variable["description"].endswith("."), "a sentence"
    assert variable["type"]
    others = "\n".join(path.read_text() for path in GCP.glob("*.tf") if path.name != "variables.tf")
    assert re.search(rf"\bvar\.{name}\b", others)
    assert (variable["type"] == "bool") or (name in WITHOUT_VALIDATION) != ("validation" in variable)


def test_only_where_and_what_must_be_said() -> None:
    assert [name for name, each in MODULE.variables.items() if "default" not in each] == [
        "project",
        "region",
        "source_zip",
    ]


def test_outputs_say_what_they_are() -> None:
    assert all(each["description"].endswith(".") for each in MODULE.outputs.values())
    assert {"http_url", "registry_url", "input_url", "results_url", "dead_letter_subscription"} <= set(MODULE.outputs)


def test_alerts_tell_somebody_what_to_do() -> None:
    policies = MODULE.of_kind("google_monitoring_alert_policy")
    assert {each.name for each in policies} == {"errors", "latency", "dead_letters", "waiting"}
    for each in policies:
        assert each.body["notification_channels"] == "local.channels"
        assert each.body["documentation"][0]["content"]


def test_no_number_of_a_project_or_an_account_is_in_a_file() -> None:
    for path in [*GCP.parent.rglob("*.*")]:
        if path.is_file() and ".terraform" not in path.parts:
            assert not re.search(r"\b\d{12}\b", path.read_text()), path


def test_files_are_formatted() -> None:
    terraform = shutil.which("terraform")
    if terraform is None:
        pytest.skip("terraform is not on this machine")
    command = [terraform, "fmt", "-check", "-diff", "-recursive", str(GCP)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_check_that_is_left_out_has_its_reason() -> None:
    lines = CHECKOV_CONFIG.read_text().splitlines()
    left_out = [number for number, line in enumerate(lines) if line.strip().startswith("- CKV")]
    assert left_out
    assert all(lines[number - 1].strip().startswith("#") for number in left_out)


@pytest.mark.parametrize("is_full", [False, True], ids=["defaults", "everything"])
def test_checkov_finds_nothing(is_full: bool, tmp_path: Path) -> None:
    checkov = shutil.which("checkov", path=os.pathsep.join([os.environ["PATH"], *map(str, VENVS)]))
    if checkov is None:
        pytest.skip("checkov is not on this machine")
    command = [checkov, "--directory", str(GCP), "--config-file", str(CHECKOV_CONFIG)]
    if is_full:
        values = tmp_path / "everything.tfvars"
        key = "projects/p/locations/r/keyRings/k/cryptoKeys/c"
        values.write_text(f'training = true\nobject_events = "eventarc"\nkms_key = "{key}"\nalert_email = "a@b.c"\n')
        command += ["--var-file", str(values)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "Failed checks: 0" in done.stdout
