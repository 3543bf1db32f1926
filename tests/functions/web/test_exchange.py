from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

from onnxlet.contract.tensors import Tensor
from onnxlet.http import Request, Response
from onnxlet.models.loading import load
from onnxlet.models.model import Model
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.service import Service
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.exchange import Exchange
from onnxlet.web.inference import explain, generate, infer, predict, predict_v1
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.stored_objects import png

if TYPE_CHECKING:
    from onnxlet.session import Session

SLOW_S = 0.1
QUICK_S = 0.05


class SlowGraph:
    """A session that takes its time."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> list[Tensor]:
        time.sleep(SLOW_S)
        return self._session.run(inputs, outputs)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry(open_store(f"memory://{uuid.uuid4()}"))


@pytest.fixture(scope="module")
def digits(registry: Registry) -> Model:
    model = load(registry, publish(registry, graphs.digits_candidate()), threads=1)
    model.warm_up()
    return model


@pytest.fixture(scope="module")
def generator(registry: Registry) -> Model:
    return load(registry, publish(registry, graphs.generator_candidate()), threads=1)


def image() -> Request:
    return Request("POST", "/", png(), {"content-type": "image/png"})


def instances(*files: bytes) -> Request:
    body = {"instances": [base64.b64encode(file).decode() for file in files]}
    return Request("POST", "/", json.dumps(body).encode())


def steps_of(
    endpoint: Callable[..., Response], model: Model, request: Request, registry: Registry, *name: str
) -> dict[str, float]:
    exchange = Exchange(Service(Settings(registry.store.url)), request, model)
    assert endpoint(exchange, *name).status == 200
    assert sum(exchange.steps_s.values()) <= exchange.total_s()
    return exchange.steps_s


@pytest.mark.parametrize("graph", ["preprocess", "session", "postprocess"])
@pytest.mark.parametrize(("endpoint", "request_"), [(predict, image()), (predict_v1, instances(png()))])
def test_each_graph_runs_in_the_step_run(
    registry: Registry, digits: Model, graph: str, endpoint: Callable[..., Response], request_: Request
) -> None:
    steps_s = steps_of(endpoint, digits, request_, registry)  # imports what the first request needs
    assert set(steps_s) == {"decode", "run", "encode"}
    slow = replace(digits, **{graph: SlowGraph(getattr(digits, graph))})
    steps_s = steps_of(endpoint, slow, request_, registry)
    assert steps_s["run"] >= SLOW_S
    assert max(steps_s["decode"], steps_s["encode"]) < QUICK_S


def test_the_decoding_of_each_image_is_not_part_of_the_run(registry: Registry, digits: Model) -> None:
    large = instances(*[png(shade) for shade in range(20)])
    steps_s = steps_of(predict_v1, digits, large, registry)
    slow = replace(digits, preprocess=SlowGraph(digits.preprocess))  # type: ignore[arg-type]
    again_s = steps_of(predict_v1, slow, large, registry)
    assert again_s["run"] >= 20 * SLOW_S
    assert again_s["decode"] < steps_s["decode"] + 20 * QUICK_S


def test_tensors_run_in_the_step_run(registry: Registry, digits: Model) -> None:
    spec = digits.manifest.inputs[0]
    shape = [1 if isinstance(size, str) else size for size in spec.shape or ()]
    values = [0] * (shape[1] * shape[2] * shape[3])
    tensor = {"name": spec.name, "datatype": spec.datatype.name, "shape": shape, "data": values}
    request = Request("POST", "/", json.dumps({"inputs": [tensor]}).encode())
    slow = replace(digits, session=SlowGraph(digits.session))
    steps_s = steps_of(infer, slow, request, registry)
    assert steps_s["run"] >= SLOW_S
    assert max(steps_s["decode"], steps_s["encode"]) < QUICK_S


def test_an_explanation_runs_its_graphs_in_the_step_run(registry: Registry, digits: Model) -> None:
    request = Request("POST", "/", png(), {"content-type": "image/png"}, {"budget_runs": "3"})
    steps_of(explain, digits, request, registry, "digits")
    slow = replace(digits, preprocess=SlowGraph(digits.preprocess))  # type: ignore[arg-type]
    steps_s = steps_of(explain, slow, request, registry, "digits")
    assert steps_s["run"] >= 2 * SLOW_S
    assert max(steps_s["decode"], steps_s["encode"]) < QUICK_S


def test_images_are_generated_in_the_step_run(registry: Registry, generator: Model) -> None:
    request = Request("POST", "/", b'{"count": 3, "seed": 1}')
    steps_of(generate, generator, request, registry, "generator")
    slow = replace(generator, postprocess=SlowGraph(generator.postprocess))  # type: ignore[arg-type]
    steps_s = steps_of(generate, slow, request, registry, "generator")
    assert steps_s["run"] >= 3 * SLOW_S
    assert max(steps_s["decode"], steps_s["encode"]) < QUICK_S


class TestSteps:
    def test_a_step_does_not_count_the_steps_inside_it(self, registry: Registry) -> None:
        exchange = Exchange(Service(Settings(registry.store.url)))
        with exchange.step("run"), exchange.step("decode"):
            time.sleep(SLOW_S)
        assert exchange.steps_s["decode"] >= SLOW_S
        assert 0 <= exchange.steps_s["run"] < QUICK_S

    def test_the_items_of_a_generator_are_counted_as_they_are_made(self, registry: Registry) -> None:
        def slow_items() -> Iterator[int]:
            for item in range(3):
                time.sleep(SLOW_S / 3)
                yield item

        exchange = Exchange(Service(Settings(registry.store.url)))
        with exchange.step("run"):
            assert list(exchange.timed("decode", slow_items())) == [0, 1, 2]
        assert exchange.steps_s["decode"] >= SLOW_S
        assert exchange.steps_s["run"] < QUICK_S

    def test_a_failed_step_is_counted_and_ends(self, registry: Registry) -> None:
        exchange = Exchange(Service(Settings(registry.store.url)))
        with pytest.raises(ZeroDivisionError), exchange.step("run"), exchange.step("decode"):
            1 / 0  # noqa: B018
        with exchange.step("encode"):
            time.sleep(SLOW_S)
        assert exchange.steps_s["encode"] >= SLOW_S
        assert exchange.steps_s["run"] < QUICK_S
