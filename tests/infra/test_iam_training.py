import re
import uuid
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import decode

from onnxlet.contract import layout
from onnxlet.errors import StoreError
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_publishing.publish import publish
from onnxlet_publishing.write_access import check_may_publish
from tests.conftest import BUCKET
from tests.helpers import graphs
from tests.helpers.iam_policies import NEVER, is_allowed
from tests.infra.guard import guarding
from tests.infra.template import statements

TRAINING = Path(__file__).parents[2] / "infra/aws/training.yaml"


MODELS = "arn:aws:s3:::models/registry"


IF_ABSENT, IF_UNCHANGED = {"s3:if-none-match": "*"}, {"s3:if-match": "etag"}


CONDITIONS: tuple[Mapping[str, str], ...] = ({}, IF_ABSENT, IF_UNCHANGED)


def training() -> list[dict[str, Any]]:
    """All statements of the role of training jobs."""
    values = {"AWS::Partition": "aws", "RegistryBucket": "models", "RegistryPrefix": "registry"}
    values |= {"DataBucket": "training", "DataPrefix": "data", "RunsBucket": "training", "RunsPrefix": "runs"}

    def resolve(value: Any) -> Any:
        if isinstance(value, list):
            return [resolve(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "Fn::Sub" in value:
            return re.sub(r"\$\{([\w:]+)\}", lambda match: values.get(match[1], match[1]), value["Fn::Sub"])
        return {name: resolve(each) for name, each in value.items()}

    loaded, _ = decode(TRAINING)
    policies = resolve(loaded["Resources"]["Role"]["Properties"]["Policies"])
    documents = [policy["PolicyDocument"] for policy in policies if "PolicyDocument" in policy]
    return [statement for document in documents for statement in statements(document)]


def published_keys() -> set[str]:
    """The keys that a publisher writes."""
    registry = Registry(open_store("memory://published"))
    for seed in range(2):
        publish(registry, graphs.digits_candidate(seed))
    return set(registry.store.keys(""))


def test_a_training_job_may_do_all_that_a_publisher_does() -> None:
    keys = published_keys() | {layout.PROBE_KEY}
    assert any("aliases" in key for key in keys)
    for key in keys:
        assert is_allowed(training(), "s3:GetObject", f"{MODELS}/{key}")
        assert is_allowed(training(), "s3:PutObject", f"{MODELS}/{key}", IF_ABSENT)
        assert is_allowed(training(), "s3:PutObject", f"{MODELS}/{key}", IF_UNCHANGED) == ("/aliases/" in key)
        assert not is_allowed(training(), "s3:PutObject", f"{MODELS}/{key}"), "as it would replace it"


@pytest.mark.parametrize("key", ["access/keys.json", "edge/onnxruntime-web-1.30.0/ort.wasm.min.mjs", "x", "models", ""])
def test_a_training_job_reaches_neither_keys_nor_what_browsers_run(key: str) -> None:
    for action, condition in product(("s3:GetObject", "s3:PutObject", *NEVER), CONDITIONS):
        assert not is_allowed(training(), action, f"{MODELS}/{key}", condition)


def test_a_training_job_deletes_nothing_and_reaches_no_other_place() -> None:
    for action, condition in product(NEVER, CONDITIONS):
        for place in (f"{MODELS}/models/digits/aliases/live.json", "arn:aws:s3:::training/runs/1/model.onnx"):
            assert not is_allowed(training(), action, place, condition)
    for place in (
        "models/registry-of-others/models/x",
        "models/models/x",
        "training/data/x",
        "others/registry/models/x",
    ):
        assert not is_allowed(training(), "s3:PutObject", f"arn:aws:s3:::{place}", IF_ABSENT)
    assert is_allowed(training(), "s3:PutObject", "arn:aws:s3:::training/runs/1/checkpoint"), "which is replaced"


def trying(role: list[dict[str, Any]], s3_endpoint: str, root: str, alias: str | None = "live") -> Registry:
    """Have `check_may_publish` try the registry at `root` of moto's S3, with the rights that `role` has on MODELS."""

    def asks(action: str, resource: str, context: Mapping[str, str]) -> bool:
        arn = f"arn:aws:s3:::{resource}".replace(f"arn:aws:s3:::{BUCKET}/{root}", MODELS)
        return is_allowed(role, action, arn.replace(f":{BUCKET}", ":models"), context)

    with guarding(s3_endpoint, asks) as url:
        check_may_publish(Registry(open_store(f"s3://{BUCKET}/{root}", StorageSettings(url))), "digits", alias)
    return Registry(open_store(f"s3://{BUCKET}/{root}", StorageSettings(s3_endpoint)))


def test_what_a_run_tries_before_it_trains_is_what_the_role_of_training_jobs_allows(s3_endpoint: str) -> None:
    root = str(uuid.uuid4())
    registry = trying(training(), s3_endpoint, root)
    assert registry.models() == [], "the check leaves no trace of a model"
    publish(registry, graphs.digits_candidate())
    before = {key: registry.store.read(key) for key in registry.store.keys("")}
    trying(training(), s3_endpoint, root)
    after = {key: registry.store.read(key) for key in registry.store.keys("")}
    assert before.items() <= after.items()
    (added,) = after.keys() - before.keys()
    assert added.startswith("blobs/sha256/")
    assert len(after[added].data) < 100


@pytest.mark.parametrize("sid", ["ListTheRegistry", "ReadTheRegistry", "PublishToTheRegistry", "MoveAliases"])
@pytest.mark.parametrize("is_new", [True, False])
def test_each_right_that_a_role_lacks_is_found_before_it_trains(s3_endpoint: str, sid: str, is_new: bool) -> None:
    root = str(uuid.uuid4())
    if not is_new:
        publish(Registry(open_store(f"s3://{BUCKET}/{root}", StorageSettings(s3_endpoint))), graphs.digits_candidate())
    lacking = [statement for statement in training() if statement.get("Sid") != sid]
    assert len(lacking) == len(training()) - 1
    with pytest.raises(StoreError, match="not authorized"):
        trying(lacking, s3_endpoint, root)


def test_a_staged_run_needs_no_right_to_move_aliases(s3_endpoint: str) -> None:
    trying([each for each in training() if each.get("Sid") != "MoveAliases"], s3_endpoint, str(uuid.uuid4()), None)
