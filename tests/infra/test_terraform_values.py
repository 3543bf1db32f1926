"""What infra/gcp's expressions come to by Terraform itself: the variables' limits, and the locals.

Resources are those of a deployment with everything in it, which a provider without a cloud has made (provider.py).
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import keys
from tests.infra.provider import TERRAFORM, Deployment, prepare, serving
from tests.infra.terraform import read_module

GCP = Path(__file__).parents[2] / "infra/gcp"

pytestmark = pytest.mark.skipif(TERRAFORM is None, reason="terraform is not on this machine")

Evaluate = Callable[..., Any]

REGISTRY, INPUTS = "my-project-onnxlet-registry", "my-project-onnxlet-inputs"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with serving() as environment:
        found = prepare(tmp_path_factory.mktemp("module"), environment)
        found.apply(object_events="eventarc", training=True)
        yield found


@pytest.fixture(scope="module")
def evaluate(deployment: Deployment) -> Evaluate:
    """Gives what an expression comes to, for a deployer's variables."""
    return deployment.console


WRONG: list[tuple[str, Any]] = [
    ("project", "My project"),
    ("region", "EU"),  # events come from buckets of one region
    ("name", "a-name-that-is-too-long-for-an-account"),
    ("name", "Onnxlet"),
    ("source_zip", "functions"),
    ("runtime", "python310"),
    ("model", "Cats & Dogs"),
    ("refresh_s", -1),
    ("http_inputs", ["photos"]),
    ("http_inputs", ["a,b/"]),
    ("public_keys", ["a,b"]),
    ("input_prefix", "inbox"),
    ("input_prefix", 'in"box/'),
    ("memory_mib", 256),
    ("cpu", 0.5),
    ("cpu", 3),
    ("registry_bucket", "gs://models"),
    ("input_bucket", "Photos"),
    ("results_bucket", "answers/"),
    ("concurrency", 0),
    ("max_instances", 0),
    ("timeout_s", 541),
    ("invokers", ["allUsers"]),
    ("invokers", ["allAuthenticatedUsers"]),
    ("invokers", ["ada@example.com"]),
    ("access", "key"),
    ("cors_origins", ["app.example.com"]),
    ("cors_origins", ["https://app.example.com/"]),
    ("cors_origins", ["https://*.example.com"]),
    ("cors_origins", ["*", "https://app.example.com"]),
    ("ingress", "NONE"),
    ("object_events", "both"),
    ("max_delivery_attempts", 4),
    ("kms_key", "my-key"),
    ("input_days", 0),
    ("explain_runs", 2),
    ("explain_runs", 10001),
    ("generate_length", 4097),
    ("generate_length", 0.5),
    ("alert_email", "nobody"),
    ("alert_error_ratio", 5),
]


@pytest.fixture(scope="module")
def problems(deployment: Deployment) -> Callable[[int], str]:
    """Gives what Terraform says about the variables' first wrong values in one plan, about their second, and so on."""

    @cache
    def refuse(place: int) -> str:
        named = {name: [value for other, value in WRONG if other == name] for name, _ in WRONG}
        done = deployment.run(
            "plan", "-input=false", **{name: values[place] for name, values in named.items() if place < len(values)}
        )
        assert done.returncode == 1
        return re.sub(r"[\s│]+", " ", done.stderr)

    return refuse


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_refused_by_name(problems: Callable[[int], str], name: str, value: Any) -> None:
    problem = problems([other for named, other in WRONG if named == name].index(value))
    assert re.search(rf"Invalid value for variable.* {name}: expected", problem), problem


def test_values_that_make_sense_are_taken(deployment: Deployment) -> None:
    said = {"model": "cats.v2", "concurrency": 1, "input_days": 30, "alert_email": "ada@example.com"}
    said |= {"invokers": ["group:all@example.com"], "kms_key": "projects/p/locations/r/keyRings/k/cryptoKeys/c"}
    assert deployment.plan(**said, cpu=8, memory_mib=4096)


def test_what_is_not_said_is_not_set(evaluate: Evaluate) -> None:
    assert evaluate("local.http_environment") == {
        "GOOGLE_CLOUD_PROJECT": "my-project",
        "ONNXLET_CAPTURE": "0",
        "ONNXLET_EXPLAIN_RUNS": "2000",
        "ONNXLET_GENERATE_LENGTH": "1024",
        "ONNXLET_MEMORY_MIB": "512",
        "ONNXLET_REFRESH_S": "60",
        "ONNXLET_REGISTRY": f"gs://{REGISTRY}/registry",
        "ONNXLET_RESULTS": "gs://my-project-onnxlet-results/answers",
        "ONNXLET_TIMEOUT_S": "60",
        "THREADS": "4",
    }


def test_what_is_said_is_set_as_the_functions_take_it(evaluate: Evaluate) -> None:
    from onnxlet.settings import Settings

    said = {
        "model": "digits",
        "variant": "int8",
        "refresh_s": 0,
        "public_keys": [keys.text(1), keys.text(2)],
        "memory_mib": 2048,
        "timeout_s": 90,
        "http_inputs": ["photos/", "scans/2026/"],
        "access": "keys",
        "base_path": "/ml",
        "cors_origins": ["https://app.example.com", "http://[::1]:3000"],
        "edge": True,
        "explain_runs": 0,
        "generate_length": 4096,
    }
    settings = Settings.from_environment(evaluate("local.http_environment", **said))
    assert (settings.model, settings.variant, settings.refresh_s) == ("digits", "int8", 0)
    assert settings.memory_bytes == 2**30
    assert settings.public_keys == (keys.public_key(1), keys.public_key(2))
    assert settings.requires_keys
    assert settings.base_path == "/ml"
    assert settings.cors_origins == ("https://app.example.com", "http://[::1]:3000")
    assert settings.edge
    assert (settings.explain_runs, settings.generate_length) == (0, 4096)
    assert settings.timeout_s == 90
    assert settings.inputs == (
        f"gs://{INPUTS}/photos",
        f"gs://{INPUTS}/scans/2026",
    )
    assert settings.project == "my-project"


def test_events_get_settings_of_their_own(evaluate: Evaluate) -> None:
    found = evaluate("local.event_environment", http_inputs=["photos/"])
    assert found["ONNXLET_RESULTS"] == "gs://my-project-onnxlet-results/results"
    assert "ONNXLET_INPUTS" not in found


def test_the_input_s_url_has_no_slash_at_its_end(evaluate: Evaluate) -> None:
    assert evaluate("local.input_url") == f"gs://{INPUTS}"
    assert evaluate("local.input_url", input_prefix="in/box/") == f"gs://{INPUTS}/in/box"


def grants(evaluate: Evaluate, **variables: Any) -> dict[str, dict[str, Any]]:
    """The table of rights as google_storage_bucket_iam_member.grants takes it."""
    found: dict[str, dict[str, Any]] = evaluate(
        read_module(GCP).resource("google_storage_bucket_iam_member.grants").body["for_each"], **variables
    )
    return found


def test_by_default_nobody_is_there_for_eventarc_or_training(evaluate: Evaluate) -> None:
    assert {name.partition("_")[0] for name in grants(evaluate)} == {"http", "messages", "batch", "build"}


def test_more_is_granted_only_with_what_needs_it(evaluate: Evaluate) -> None:
    found = grants(evaluate, object_events="eventarc", training=True, http_inputs=["photos/"])
    assert {name.partition("_")[0] for name in found} == {"http", "messages", "objects", "batch", "build", "training"}
    more = {name: (each["role"], each["bucket"], each["prefix"]) for name, each in found.items() if "http" in name}
    assert more["http_reads_inputs_photos/"] == ("roles/storage.objectViewer", INPUTS, "photos/")
    assert more["http_lists_inputs"] == ("roles/storage.legacyBucketReader", INPUTS, None)
    assert all(each["who"] and each["bucket"] for each in found.values())


def test_results_are_listed_only_where_quotas_are_counted(evaluate: Evaluate) -> None:
    assert "http_lists_answers" not in grants(evaluate)
    found = grants(evaluate, access="keys")["http_lists_answers"]
    assert (found["role"], found["prefix"]) == ("roles/storage.legacyBucketReader", None)


def test_the_prefix_of_inputs_bounds_who_reads_them(evaluate: Evaluate) -> None:
    found = grants(evaluate, input_prefix="inbox/", object_events="eventarc")
    assert {name: each["prefix"] for name, each in found.items() if name.endswith("reads_inputs")} == {
        "messages_reads_inputs": "inbox/",
        "objects_reads_inputs": "inbox/",
    }


def may(
    found: dict[str, dict[str, Any]], conditions: dict[str, str], permission: str, key: str, bucket: str = REGISTRY
) -> bool:
    """Whether the training job's account has a permission on an object, by the grants and their conditions."""
    return any(
        permission in PERMISSIONS[grant["role"]]
        and grant["bucket"] == bucket
        and _meets(conditions.get(name), bucket, key)
        for name, grant in found.items()
        if name.startswith("training_")
    )


def _meets(expression: str | None, bucket: str, key: str) -> bool:
    """Whether an object meets a condition in CEL, of which this knows `startsWith` and `extract` on its name.

    Source: IAM, "Configure resource-based access": `extract` gives what stands in the place of a name in braces, or
    nothing where the template does not occur.
    """
    if expression is None:
        return False  # a right on the bucket itself
    name = f"projects/_/buckets/{bucket}/objects/{key}"
    for part in expression.split(" && "):
        if match := re.fullmatch(r'resource\.name\.startsWith\("([^"]*)"\)', part):
            is_met = name.startswith(match[1])
        else:
            match = re.fullmatch(r'resource\.name\.extract\("([^"{]*)\{\w+\}([^"}]*)"\) != ""', part)
            assert match, part
            _, before, rest = name.partition(match[1])
            between, after, _ = rest.partition(match[2])
            is_met = bool(before and after and between)
        if not is_met:
            return False
    return True


CREATE, REPLACE, READ = "create", "replace or delete", "read"
PERMISSIONS = {
    "roles/storage.objectViewer": {READ},
    "roles/storage.objectCreator": {CREATE},
    "roles/storage.objectUser": {READ, CREATE, REPLACE},
    "roles/storage.legacyBucketReader": set(),
}


def test_a_training_job_publishes_and_replaces_nothing_but_aliases(evaluate: Evaluate) -> None:
    found, conditions = grants(evaluate, training=True), evaluate("local.conditions", training=True)
    assert all(name in conditions for name, grant in found.items() if grant["prefix"] is not None)
    for key in ("models/digits/versions/1.json", "models/aliases/versions/1.json", "blobs/sha256/ab"):
        assert [may(found, conditions, each, f"registry/{key}") for each in (READ, CREATE, REPLACE)] == [
            True,
            True,
            False,
        ]
    assert all(
        may(found, conditions, each, "registry/models/digits/aliases/live.json") for each in (READ, CREATE, REPLACE)
    )


@pytest.mark.parametrize(
    "key",
    [
        "registry/access/keys.json",
        "registry/edge/ort.wasm",
        "registry/edge/objects/registry/models/x/aliases/live.json",
        "registry/models.json",
        "registry/other",
        "registry-of-others/models/digits/aliases/live.json",
        "models/digits/aliases/live.json",
        "edge/x",
    ],
)
def test_a_training_job_reaches_neither_keys_nor_what_browsers_run(evaluate: Evaluate, key: str) -> None:
    found, conditions = grants(evaluate, training=True), evaluate("local.conditions", training=True)
    assert not any(may(found, conditions, each, key) for each in (READ, CREATE, REPLACE))


def test_as_many_requests_come_at_a_time_as_there_are_threads(evaluate: Evaluate) -> None:
    assert evaluate("local.concurrency", cpu=2) == 8
    assert evaluate("local.concurrency", cpu=2, concurrency=1) == 1


def test_a_key_is_for_those_who_encrypt_alone(evaluate: Evaluate) -> None:
    key = "projects/p/locations/r/keyRings/k/cryptoKeys/c"
    assert evaluate("local.key_users") == {}
    assert len(evaluate("local.key_users", kms_key=key)) == 7
    assert "cloudkms.googleapis.com" in evaluate("local.apis", kms_key=key)


def test_the_dashboard_is_a_grid(evaluate: Evaluate) -> None:
    tiles = evaluate("local.dashboard")["mosaicLayout"]["tiles"]
    places = {(tile["xPos"], tile["yPos"]) for tile in tiles}
    assert len(places) == len(tiles) == 9
    assert all(tile["xPos"] + tile["width"] <= 48 for tile in tiles)
    queries = [tile["widget"]["xyChart"]["dataSets"][0]["timeSeriesQuery"]["timeSeriesFilter"] for tile in tiles]
    assert all("metric.type = " in query["filter"] for query in queries)
