import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import snapshot_restore_py

from onnxlet.clouds import snapshot
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet.web.app import App
from onnxlet_cli.local.lambda_function import LambdaFunction
from onnxlet_publishing.publish import publish
from tests.conftest import BUCKET
from tests.functions.storage.test_credentials import CREDENTIALS, TOKEN, endpoint
from tests.helpers import graphs


@pytest.fixture(autouse=True)
def _no_hooks_are_left() -> Iterator[None]:
    yield
    snapshot_restore_py._before_snapshot_registry.clear()
    snapshot_restore_py._after_restore_registry.clear()


@pytest.fixture
def app(tmp_path: Path) -> App:
    publish(Registry(open_store(tmp_path.as_uri())), graphs.digits_candidate())
    app = App(Settings(tmp_path.as_uri(), model="digits", refresh_s=10**6, is_snapshotted=True))
    app.warm_up()
    return app


def test_after_a_restore_the_alias_is_as_it_is_then_and_the_store_another(app: App) -> None:
    registry = app.service.traffic.models.registry
    before = registry.store
    publish(Registry(before), graphs.digits_candidate(1))
    assert app.service.find(None).model.manifest.version == 1, "it is not time to look"
    app.service.reopen()
    assert app.service.find(None).model.manifest.version == 2
    assert registry.store.backend is not before.backend


def test_a_store_that_is_gone_after_a_restore_does_not_stop_what_is_loaded(app: App, tmp_path: Path) -> None:
    (tmp_path / "models/digits/aliases/live.json").unlink()
    app.service.reopen()
    assert app.service.find(None).model.manifest.version == 1


def test_the_hooks_are_there_once_they_are_registered(app: App) -> None:
    snapshot.register(app.service.reopen)
    assert len(snapshot_restore_py.get_after_restore()) == len(snapshot_restore_py.get_before_snapshot()) == 1


def test_lambdas_runtime_restores_a_function_that_has_no_credentials_of_its_own(
    tmp_path: Path, storage: StorageSettings
) -> None:
    root = f"s3://{BUCKET}/{uuid.uuid4()}"
    publish(Registry(open_store(root, storage)), graphs.digits_candidate())
    asked: list[str | None] = []
    with endpoint(json.dumps(CREDENTIALS).encode(), asked) as where, (tmp_path / "log").open("wb") as log:
        environment = {
            "ONNXLET_REGISTRY": root,
            "ONNXLET_MODEL": "digits",
            "AWS_ENDPOINT_URL": storage.s3_endpoint or "",
            "AWS_ACCESS_KEY_ID": "",
            "AWS_SECRET_ACCESS_KEY": "",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": where.url,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": where.token,
        }
        zeros = {"name": "input", "datatype": "FP32", "shape": [1, 28, 28, 1], "data": [0.0] * 784}
        with LambdaFunction("main.aws_http", environment, log) as function:
            answer = function.invoke({"inputs": [zeros]})
    assert answer.get("model_version") == "1", answer
    assert asked.count(TOKEN) == len(asked) >= 2, "once before the snapshot, and anew after it was restored"
