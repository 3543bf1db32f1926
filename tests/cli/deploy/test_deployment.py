from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from onnxlet.contract import expectation
from onnxlet.contract.tasks.texts import FeatureExtraction
from onnxlet.errors import ArtifactError, OnnxletError, SettingsError, StoreError
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.deploy import deployment, model, summary
from onnxlet_cli.deploy.cloud import NotCalled, Options
from onnxlet_cli.deploy.deployment import Choice, Deployment, Plan
from onnxlet_cli.deploy.process import Report, silent
from onnxlet_cli.deploy.smoke import Answer
from onnxlet_cli.package.target import Target
from onnxlet_publishing.errors import ModelError, UsageError
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.fake_cloud import FakeCloud, built
from tests.helpers.text_models import BERT, candidate


@pytest.fixture
def cloud(tmp_path: Path) -> FakeCloud:
    return FakeCloud(tmp_path)


@pytest.fixture
def local(tmp_path: Path) -> Registry:
    """A local registry with a live model."""
    registry = Registry(open_store((tmp_path / "local").as_uri(), create=True))
    publish(registry, graphs.digits_candidate())
    return registry


def run(
    cloud: FakeCloud, wanted: str | None = None, registry: Registry | None = None, report: Report = silent
) -> Deployment:
    url = registry.store.url if registry else (cloud.folder / "empty").as_uri()
    (cloud.folder / "empty").mkdir(exist_ok=True)
    return deployment.deploy(cloud, Choice(wanted, url), report, built(cloud.folder))


def plan(cloud: FakeCloud, registry: Registry) -> Plan:
    choice = Choice(None, registry.store.url)
    return deployment.plan(cloud, choice, silent, built(cloud.folder), requests_per_month=1_000_000, milliseconds=20)


def there(cloud: FakeCloud) -> Registry:
    return Registry(open_store((cloud.folder / "registry").as_uri()))


def test_a_first_deployment_makes_the_registry_publishes_and_then_says_what_to_expect(
    cloud: FakeCloud, local: Registry
) -> None:
    done = run(cloud, registry=local)
    assert [wanted.prefetch is None for wanted in cloud.applied] == [True, False]
    live = there(cloud).resolve("digits")
    assert cloud.applied[1].prefetch == expectation.to_text(live, None, model.deployed_runtime())
    assert live.artifacts == local.resolve("digits").artifacts
    assert isinstance(done.answer, Answer)
    assert done.answer.is_golden


def test_a_second_deployment_asks_for_exactly_the_same_and_publishes_nothing(cloud: FakeCloud, local: Registry) -> None:
    run(cloud, registry=local)
    before = list(cloud.applied)
    run(cloud, registry=local)
    assert cloud.applied[len(before) :] == before[-1:]
    assert there(cloud).versions("digits") == [1]


def test_a_new_local_version_is_published_before_the_functions_are_told_of_it(
    cloud: FakeCloud, local: Registry
) -> None:
    run(cloud, registry=local)
    publish(local, graphs.digits_candidate(seed=1))
    cloud.steps.clear()
    assert run(cloud, registry=local).published.live.version == 2
    assert cloud.steps == ["check", "registry", "registry", "apply", "send", "tidy"]


def test_a_deployment_never_takes_live_back(cloud: FakeCloud, local: Registry) -> None:
    run(cloud, registry=local)
    publish(there(cloud), graphs.digits_candidate(seed=1))
    done = run(cloud, registry=local)
    assert (done.published.version, done.published.live.version) == (1, 2)
    assert there(cloud).resolve("digits").version == 2


def test_a_file_is_published_once_however_often_it_is_deployed(cloud: FakeCloud) -> None:
    path = cloud.folder / "shapes.onnx"
    onnx.save(graphs.classifier(), path)
    run(cloud, str(path))
    run(cloud, str(path))
    assert there(cloud).versions("shapes") == [1]


def test_without_a_model_here_what_is_deployed_is_served_on(cloud: FakeCloud, local: Registry) -> None:
    run(cloud, registry=local)
    assert run(cloud).published.live.model == "digits"


def test_the_variant_that_is_served_is_the_one_that_is_expected(tmp_path: Path) -> None:
    cloud = FakeCloud(tmp_path, variant="int8")
    data = graphs.classifier(1).SerializeToString()
    registry = Registry(open_store((tmp_path / "local").as_uri(), create=True))
    publish(registry, replace(graphs.digits_candidate(), variants={"int8": data}))
    run(cloud, registry=registry)
    assert cloud.applied[-1].prefetch == expectation.to_text(
        there(cloud).resolve("digits"), "int8", model.deployed_runtime()
    )


def test_what_cannot_be_called_from_here_is_deployed_all_the_same(cloud: FakeCloud, local: Registry) -> None:
    cloud.has_callers = False
    lines: list[str] = []
    assert run(cloud, registry=local, report=lines.append).answer == NotCalled("this machine is a stranger")
    assert "ask      no request sent: this machine is a stranger" in lines


def test_nothing_is_deployed_when_a_check_fails(cloud: FakeCloud, local: Registry) -> None:
    cloud.fails["check"] = SettingsError("sam: not there")
    with pytest.raises(SettingsError):
        run(cloud, registry=local)
    assert cloud.applied == []


def test_nothing_is_deployed_without_a_model(cloud: FakeCloud) -> None:
    with pytest.raises(UsageError, match=r"`make demo` trains one, or give --model FILE\.onnx"):
        run(cloud)
    assert cloud.applied == []


def test_nothing_is_deployed_for_a_model_that_no_function_could_load(cloud: FakeCloud) -> None:
    path = cloud.folder / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(ModelError):
        run(cloud, str(path))
    assert cloud.applied == []


def test_the_package_has_what_a_model_of_texts_needs_as_long_as_one_is_live(cloud: FakeCloud, local: Registry) -> None:
    packed: list[tuple[str, ...]] = []

    def build_package(target: Target, extras: tuple[str, ...], report: object) -> Any:
        packed.append(extras)
        return built(cloud.folder)(target, extras, report)

    publish(local, candidate("feature-extraction", FeatureExtraction("feature-extraction", BERT, "last_hidden_state")))
    for name in ("digits", "feature-extraction", "digits"):
        deployment.deploy(cloud, Choice(name, local.store.url), silent, build_package)
    assert packed == [(), ("text",), ("text",)]


def test_nothing_is_deployed_when_the_package_cannot_be_built(cloud: FakeCloud, local: Registry) -> None:
    def fails(_target: Target, _extras: object, _report: object) -> None:
        raise ArtifactError("the package answers wrongly")

    with pytest.raises(ArtifactError):
        deployment.deploy(cloud, Choice(None, local.store.url), silent, fails)  # type: ignore[arg-type]
    assert cloud.applied == []


@pytest.mark.parametrize("step", ["apply", "registry", "send"])
def test_a_deployment_that_failed_half_way_is_repeated(cloud: FakeCloud, local: Registry, step: str) -> None:
    cloud.fails[step] = StoreError("not now")
    with pytest.raises(OnnxletError):
        run(cloud, registry=local)
    assert run(cloud, registry=local).answer is not None
    assert there(cloud).versions("digits") == [1]


def test_a_plan_changes_nothing(cloud: FakeCloud, local: Registry) -> None:
    planned = plan(cloud, local)
    assert planned.is_new
    assert planned.bill.monthly_usd > 0
    assert cloud.steps == ["check", "plan"]


def test_a_plan_says_what_the_deployment_turns_on_costs(
    cloud: FakeCloud, local: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = plan(cloud, local)
    assert planned.bill.parts_usd["snapshot"] == planned.bill.idle_usd
    summary.print_plan(planned)
    told = capsys.readouterr().out
    assert f"snapshot ${planned.bill.idle_usd:,.2f}" in told
    assert f"${planned.bill.idle_usd:,.2f} of it is billed even without any request" in told
    assert summary.plan_document(cloud, planned)["idle_usd"] == planned.bill.idle_usd


def test_a_plan_of_what_is_deployed_already_has_no_changes(cloud: FakeCloud, local: Registry) -> None:
    run(cloud, registry=local)
    assert plan(cloud, local).changes == []


def test_a_plan_foresees_what_functions_will_be_told_of_a_new_version(cloud: FakeCloud, local: Registry) -> None:
    run(cloud, registry=local)
    publish(local, graphs.digits_candidate(seed=1))
    assert len(plan(cloud, local).changes) == 1
    assert there(cloud).versions("digits") == [1]


def test_an_unknown_cloud_is_refused() -> None:
    with pytest.raises(UsageError, match="--cloud azure: expected aws or gcp"):
        deployment.find_cloud("azure", Options())
