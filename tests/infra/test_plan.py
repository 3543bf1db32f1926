"""infra/gcp planned and applied by Terraform itself, with the providers' published types and no cloud behind them."""

import json
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from onnxlet_cli.cost.offers import CLOUD_RUN_VCPUS
from onnxlet_cli.deploy.gcp.state import STAYS
from tests.helpers.terraform_variables import APART, BUCKET, EVERYTHING, KEY, OURS
from tests.infra.provider import NOT_EMPTY, TERRAFORM, Deployment, prepare, serving
from tests.infra.terraform import Module, read_module

GCP = Path(__file__).parents[2] / "infra/gcp"


MODULE = read_module(GCP)


pytestmark = pytest.mark.skipif(TERRAFORM is None, reason="terraform is not on this machine")


FUNCTIONS = {"google_cloudfunctions2_function.http", "google_cloudfunctions2_function.messages"}


@pytest.fixture(scope="module")
def providers() -> Iterator[dict[str, str]]:
    with serving(BUCKET) as environment:
        yield environment


@pytest.fixture(scope="module")
def deployment(providers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The defaults, deployed; tests only plan with it."""
    found = prepare(tmp_path_factory.mktemp("gcp"), providers)
    found.apply()
    return found


@pytest.fixture
def new(providers: dict[str, str], tmp_path: Path) -> Deployment:
    """A project in which there is nothing yet."""
    return prepare(tmp_path, providers)


def test_the_configuration_is_valid_by_the_providers_types(deployment: Deployment) -> None:
    done = deployment.run("validate")
    assert (done.returncode, "Warning" in done.stdout) == (0, False), done.stdout + done.stderr


def test_every_variable_is_tried() -> None:
    apart = {name for variables in APART.values() for name in variables}
    assert set(EVERYTHING) | apart | {"project", "region", "source_zip"} == set(MODULE.variables)


def test_a_second_deploy_changes_nothing(deployment: Deployment) -> None:
    assert deployment.plan() == {}


@pytest.mark.parametrize("name", [None, *APART])
def test_a_second_deploy_with_everything_changes_nothing(new: Deployment, name: str | None) -> None:
    variables = EVERYTHING | APART.get(name or "", {})
    new.apply(**variables)
    assert new.plan(**variables) == {}


@pytest.mark.parametrize("variables", [{"training": True}, {"alert_email": "ada@example.com"}, {"http_inputs": ["a/"]}])
def test_what_is_added_later_takes_nothing_away_meanwhile(deployment: Deployment, variables: dict[str, Any]) -> None:
    """A right that is replaced is missing for minutes."""
    found = deployment.plan(**variables)
    assert found
    assert {address: actions for address, actions in found.items() if actions not in (["create"], ["update"])} == {}


def test_a_key_that_comes_later_replaces_only_the_images_and_the_waiting(deployment: Deployment) -> None:
    found = deployment.plan(kms_key=KEY)
    gone = {address for address, actions in found.items() if "delete" in actions}
    assert {address for address in gone if not address.startswith("time_sleep.")} == {
        "google_artifact_registry_repository.functions",
        "google_artifact_registry_repository_iam_member.build_pushes",
    }


def waits(module: Module) -> dict[str, set[str]]:
    """For each resource, local and data source, all that must be there before it."""
    nodes: dict[str, Any] = {block.address: block.body for block in module.resources}
    nodes |= {f"data.{block.address}": block.body for block in module.data}
    nodes |= {f"local.{name}": value for name, value in module.locals.items()}
    direct = {
        name: {other for other in nodes if other != name and re.search(rf"(?<![\w.]){re.escape(other)}\b", str(body))}
        for name, body in nodes.items()
    }
    found: dict[str, set[str]] = {}
    for name in TopologicalSorter(direct).static_order():
        found[name] = direct[name].union(*(found[other] for other in direct[name]))
    return found


WAITS = waits(MODULE)


def test_every_function_waits_for_every_right_that_it_is_built_and_triggered_with() -> None:
    rights = {name for name in WAITS if "_iam_member." in name}
    functions = {name for name in WAITS if name.startswith("google_cloudfunctions2_function.")}
    for function in functions:
        assert "time_sleep.rights" in WAITS[function]
    of_others = {name for name in rights - WAITS["time_sleep.rights"] if not WAITS[name] & functions}
    assert of_others == {
        # None of these is needed before there is a first request, object or message.
        "google_project_iam_member.training_logs",
        "google_pubsub_topic_iam_member.batch_publishes",
        "google_pubsub_topic_iam_member.pubsub_writes_dead_letters",
        "google_pubsub_topic_iam_member.storage_tells",
        "google_service_account_iam_member.http_signs_as_itself",
    }


def test_no_agent_is_granted_anything_before_it_exists() -> None:
    agents = ("local.pubsub_agent", "local.key_users", "local.agents")
    granted = {
        block.address
        for block in MODULE.resources
        if "_iam_member" in block.kind and any(agent in str(block.body) for agent in agents)
    }
    assert len(granted) >= 5
    for name in granted:
        assert {"google_project_service_identity.agents", "time_sleep.agents"} <= WAITS[name], name


def test_everything_waits_until_its_apis_answer() -> None:
    first = {"google_project_service.first", "google_project_service.apis", "time_sleep.apis"}
    late = {name for name in WAITS if name.startswith(("google_", "time_")) and name not in first}
    assert {name for name in late if "time_sleep.apis" not in WAITS[name]} == set()


def test_what_is_encrypted_waits_for_the_agents_that_encrypt(new: Deployment) -> None:
    keyed = re.compile(r"'(default_kms_key_name|kms_key_name|crypto_key_name)'")
    encrypted = {block.address for block in MODULE.resources if keyed.search(str(block.body))}
    assert len(encrypted) == 14
    for name in encrypted:
        assert "time_sleep.key" in WAITS[name], name
    found = new.changes(kms_key=KEY)
    identities = {address.split('"')[1] for address in found if "google_project_service_identity" in address}
    users = {address.split('"')[1] for address in found if "google_kms_crypto_key_iam_member" in address}
    assert users == identities | {"storage"}
    assert found["time_sleep.key"]["after"]["create_duration"] == "60s"


def test_without_a_key_nothing_waits_for_one(deployment: Deployment) -> None:
    assert deployment.changes()["time_sleep.key"]["after"]["create_duration"] == "0s"


def test_a_workflow_waits_for_its_agent() -> None:
    """In a new project: "Workflows service agent does not exist"."""
    assert {"time_sleep.rights", "google_project_iam_member.agents"} <= WAITS["google_workflows_workflow.batch"]


def test_an_agent_that_was_asked_for_has_its_usual_role(new: Deployment) -> None:
    """IAM: "service agents that are created at a user's request aren't automatically granted roles"."""
    found = new.changes()
    roles = {change["after"]["role"] for name, change in found.items() if "project_iam_member.agents" in name}
    services = {
        change["after"]["service"].removesuffix(".googleapis.com")
        for name, change in found.items()
        if "google_project_service_identity" in name
    }
    assert roles == {f"roles/{service}.serviceAgent" for service in services}


def test_destroying_one_deployment_takes_no_right_from_another(new: Deployment) -> None:
    """An agent is the project's: a right of its that two deployments share would go with the first of them."""
    variables = {"kms_key": KEY, "object_events": "eventarc"}
    shared = [
        {name: change["after"] for name, change in new.changes(name=name_, **variables).items() if is_shared(name)}
        for name_ in ("cats", "dogs")
    ]
    assert len(shared[0]) == 6 + 7 + 1
    for name, right in shared[0].items():
        (condition,) = right["condition"]
        assert condition["expression"] == 'request.time > timestamp("2020-01-01T00:00:00Z")'
        assert condition != shared[1][name]["condition"][0]


def is_shared(name: str) -> bool:
    """Whether a right is of one of Google's agents, on what is not this deployment's own."""
    return name.startswith(
        (
            "google_project_iam_member.agents",
            "google_kms_crypto_key_iam_member.agents",
            "google_project_iam_member.storage_tells_eventarc",
        )
    )


@pytest.mark.parametrize(
    ("bucket", "is_ours"),
    [
        ("gcf-v2-sources-NUMBER-europe-west1", True),
        ("gcf-v2-sources-NUMBER-europe-west1-a1b2c3", True),  # with a key: its hash
        ("gcf-v2-sources-NUMBER-europe-west10", False),
        ("gcf-v2-sources-NUMBER-europe-west10-a1b2c3", False),
        ("gcf-v2-uploads-NUMBER-europe-west1", False),
    ],
)
def test_a_build_reads_the_copy_of_its_source_with_a_key_too(
    deployment: Deployment, bucket: str, is_ours: bool
) -> None:
    """Source: Cloud Run functions, "Build process overview": how the bucket is called with and without CMEK."""
    found = deployment.changes()
    number = found["data.google_project.this"]["after"]["number"] if "data.google_project.this" in found else None
    (condition,) = found["google_project_iam_member.build_reads_copy"]["after"]["condition"]
    prefixes = re.findall(r'resource\.name\.startsWith\("([^"]+)"\)', condition["expression"])
    assert " || ".join(f'resource.name.startsWith("{each}")' for each in prefixes) == condition["expression"]
    number = number or "number of data.google_project"
    name = f"projects/_/buckets/{bucket.replace('NUMBER', number)}/objects/http/function-source.zip"
    assert any(name.startswith(prefix) for prefix in prefixes) == is_ours


def test_a_destroy_that_leaves_data_leaves_only_what_the_command_takes_for_that(new: Deployment) -> None:
    """`onnxlet destroy` is content with buckets that are not empty, and with what they were made with."""
    new.apply(kms_key=KEY, training=True)
    done = new.run("destroy", "-auto-approve", "-input=false", kms_key=KEY, training=True)
    assert done.returncode == 1
    assert NOT_EMPTY in re.sub(r"[\s│]+", " ", done.stderr)
    shown = new.run("show", "-json")
    left = {
        item["type"]
        for item in json.loads(shown.stdout)["values"]["root_module"]["resources"]
        if item["mode"] == "managed"
    }
    assert left == set(STAYS)


def test_existing_buckets_are_used_and_left_as_they_are(new: Deployment) -> None:
    found = new.changes(**OURS, object_events="eventarc", training=True, http_inputs=["photos/"])
    made = {name for name in found if name.startswith("google_storage_bucket.")}
    assert made == {"google_storage_bucket.source", "google_storage_bucket.training[0]"}
    touched = {
        name.partition(".")[0]
        for name, change in found.items()
        if str((change["after"] or {}).get("bucket")) in OURS.values()
    }
    assert touched == {"google_storage_bucket_iam_member"}
    (trigger,) = found["google_cloudfunctions2_function.objects[0]"]["after"]["event_trigger"]
    assert trigger["event_filters"] == [{"attribute": "bucket", "operator": None, "value": "our-photos"}]
    (service,) = found["google_cloudfunctions2_function.http"]["after"]["service_config"]
    environment = service["environment_variables"]
    assert environment["ONNXLET_REGISTRY"] == "gs://our-models/registry"
    assert environment["ONNXLET_RESULTS"] == "gs://our-answers/answers"
    assert environment["ONNXLET_INPUTS"] == "gs://our-photos/photos/"
    assert found["google_workflows_workflow.batch"]["after"]["user_env_vars"]["INPUT_BUCKET"] == "our-photos"


def test_an_existing_input_bucket_tells_of_its_objects_under_the_prefix(new: Deployment) -> None:
    found = new.changes(**OURS, input_prefix="inbox/")
    after = found["google_storage_notification.inputs[0]"]["after"]
    assert (after["bucket"], after["object_name_prefix"]) == ("our-photos", "inbox/")


def test_every_right_on_an_existing_bucket_is_bounded_by_a_prefix_or_is_to_list(new: Deployment) -> None:
    found = new.changes(**OURS, training=True, access="keys", http_inputs=["photos/"], input_prefix="inbox/")
    rights = [
        change["after"]
        for name, change in found.items()
        if name.startswith("google_storage_bucket_iam_member.") and change["after"]["bucket"] in OURS.values()
    ]
    assert {right["bucket"] for right in rights} == set(OURS.values())
    for right in rights:
        if right["role"] == "roles/storage.legacyBucketReader":
            continue
        (condition,) = right["condition"]
        assert f"projects/_/buckets/{right['bucket']}/objects/" in condition["expression"]
        assert not condition["expression"].endswith('/objects/")')


@pytest.mark.parametrize("name", OURS)
def test_one_bucket_may_exist_and_the_others_be_made(new: Deployment, name: str) -> None:
    found = new.changes(**{name: OURS[name]})
    kind = {"registry_bucket": "registry", "input_bucket": "inputs", "results_bucket": "results"}
    made = {each for each in kind.values() if f"google_storage_bucket.{each}[0]" in found}
    assert made == set(kind.values()) - {kind[name]}


@pytest.mark.parametrize(
    ("variables", "facts", "problem"),
    [
        ({"input_bucket": "ours", "results_bucket": "ours"}, {}, "expected a bucket of its own"),
        ({"input_bucket": "ours", "input_days": 3}, {}, "expected no input_days"),
        ({"results_bucket": "ours", "result_days": 3}, {}, "expected no input_days or result_days"),
        ({"registry_bucket": "ours"}, {"uniform_bucket_level_access": False}, "uniform bucket-level access"),
        (
            {"input_bucket": "ours", "object_events": "eventarc"},
            {"location": "US"},
            "expected a bucket in europe-west1",
        ),
        ({"vpc_connector": "c", "vpc_network": "net"}, {}, "expected no connector"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_made(
    tmp_path: Path, variables: dict[str, Any], facts: dict[str, Any], problem: str
) -> None:
    kind = "data.google_storage_bucket"
    with serving({kind: BUCKET[kind] | facts}) as environment:
        done = prepare(tmp_path, environment).run("plan", "-input=false", **variables)
    assert done.returncode == 1
    assert problem in re.sub(r"[\s│]+", " ", done.stderr)


def test_an_input_bucket_elsewhere_can_be_listened_to_by_pub_sub(tmp_path: Path) -> None:
    kind = "data.google_storage_bucket"
    with serving({kind: BUCKET[kind] | {"location": "US"}}) as environment:
        assert prepare(tmp_path, environment).plan(input_bucket="ours")


def test_functions_send_through_a_vpc_without_a_connector(new: Deployment) -> None:
    found = new.changes(vpc_subnetwork="sub", vpc_egress="ALL_TRAFFIC", object_events="eventarc")
    for name in (*FUNCTIONS, "google_cloudfunctions2_function.objects[0]"):
        (service,) = found[name]["after"]["service_config"]
        (interface,) = service["direct_vpc_network_interface"]
        assert (interface["network"], interface["subnetwork"]) == (None, "sub")
        assert service["direct_vpc_egress"] == "VPC_EGRESS_ALL_TRAFFIC"
        assert service["vpc_connector_egress_settings"] is None


@pytest.mark.parametrize("memory", [512, 4096, 4097, 8192, 8193, 16384, 16385, 24576, 24577, 32768])
def test_the_cpus_follow_from_the_memory_as_the_costs_have_it(deployment: Deployment, memory: int) -> None:
    cpus = next(cpus for most, cpus in CLOUD_RUN_VCPUS if memory <= most)
    found = deployment.changes(memory_mib=memory)
    for name in FUNCTIONS:
        (service,) = found[name]["after"]["service_config"]
        assert (service["available_cpu"], service["available_memory"]) == (str(cpus), f"{memory}Mi")
        assert service["max_instance_request_concurrency"] == 4 * cpus


@pytest.mark.parametrize(
    ("memory", "cpu"), [(4097, 1), (8193, 2), (2047, 4), (16385, 4), (4095, 6), (24577, 6), (4095, 8)]
)
def test_cpus_that_the_memory_forbids_are_refused_before_anything_is_made(
    deployment: Deployment, memory: int, cpu: int
) -> None:
    done = deployment.run("plan", "-input=false", memory_mib=memory, cpu=cpu)
    assert done.returncode == 1
    assert f"cpu: with {cpu}, Cloud Run takes" in re.sub(r"[\s│]+", " ", done.stderr)


@pytest.mark.parametrize("variables", [{}, {"concurrency": 1}, {"concurrency": 80}, {"cpu": 2}])
def test_there_are_as_many_threads_as_requests_at_a_time(deployment: Deployment, variables: dict[str, Any]) -> None:
    """Source: Cloud Run functions, "Configure concurrency": set THREADS to the concurrency."""
    found = deployment.changes(**variables)
    for name in FUNCTIONS:
        (service,) = found[name]["after"]["service_config"]
        assert service["environment_variables"]["THREADS"] == str(service["max_instance_request_concurrency"])
