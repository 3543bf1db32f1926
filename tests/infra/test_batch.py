"""infra/aws/batch.asl.json: what it says, and runs of it by moto's interpreter with the functions' own entry points.

The interpreter makes the steps, merges the input, reads the items from S3, starts the children, retries them, counts
them and calls the functions. What it does not know is taken out of the definition (`for_moto`) and made here:
- `ItemBatcher`: the entries of a manifest are whole item batches, and a listed object is a batch of one;
- express children: they are standard ones;
- `WriterConfig`, and all files of `ResultWriter` but an empty manifest: `write_outputs` writes them;
- the names of an SDK's parameters as Step Functions writes them;
- `ToleratedFailurePercentage`: whatever fails is tolerated. Only AWS will show that a run fails for it.
"""

import importlib.util
import io
import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.core.config import default_user_config
from PIL import Image

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.batch_world import DEFINITION, REGION, SUBSTITUTIONS, Handler, Lambda, World
from tests.infra import template
from tests.infra.template import ROOT


@pytest.fixture
def world(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    suffix = uuid.uuid4()
    inputs, results = f"inputs-{suffix}", f"results-{suffix}"
    s3 = boto3.client("s3", endpoint_url=s3_endpoint, region_name=REGION)
    for bucket in (inputs, results):
        s3.create_bucket(Bucket=bucket)
    registry = f"memory://{suffix}"
    publish(Registry(open_store(registry)), graphs.digits_candidate())
    stack = template.translate(ModelName="digits").of_type("AWS::Lambda::Function")
    handlers: dict[str, Handler] = {}
    for name, function in (("map", "MapFunction"), ("summary", "SummaryFunction")):
        variables = stack[function]["Environment"]["Variables"]
        for variable, value in variables.items():
            place = value.replace("<Inputs>", inputs).replace("<Results>", results)
            monkeypatch.setenv(variable, registry if variable == "ONNXLET_REGISTRY" else place)
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
        handlers[name] = load_handler(stack[function]["Handler"])
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setitem(default_user_config, "stepfunctions", {"execute_state_machine": True})
    functions = Lambda(s3_endpoint, handlers)
    storage = StorageSettings(s3_endpoint)
    with functions.serving() as port:
        monkeypatch.setenv("MOTO_PORT", str(port))  # that the interpreter's own clients call
        client = boto3.client("stepfunctions", endpoint_url=s3_endpoint, region_name=REGION)
        world = World(functions, client, open_store(f"s3://{inputs}", storage), open_store(f"s3://{results}", storage))
        functions.before_summary = lambda event: write_outputs(world, event)
        yield world


def load_handler(name: str) -> Handler:
    """An entry point of functions/main.py, in a process of its own as far as settings go."""
    specification = importlib.util.spec_from_file_location(f"main_{uuid.uuid4().hex}", ROOT / "functions/main.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    handler: Handler = getattr(module, name.removeprefix("main."))
    return handler


def write_outputs(world: World, event: dict[str, Any]) -> None:
    """Write what AWS's `ResultWriter` writes with `COMPACT` and `JSONL`, into the manifest's folder."""
    key = event["manifest"]["Key"]
    stored = world.results.read(key)
    manifest = json.loads(stored.data)
    lines = b"".join(json.dumps(output).encode() + b"\n" for output in world.functions.outputs)
    file = f"{key.rpartition('/')[0]}/SUCCEEDED_0.jsonl"
    world.results.put_if_absent(file, lines)
    manifest["ResultFiles"]["SUCCEEDED"] = [{"Key": file, "Size": len(lines)}]
    world.results.replace(key, json.dumps(manifest).encode(), stored.revision)


def read_definition(inputs: str = "inputs", results: str = "results") -> dict[str, Any]:
    """The definition as CloudFormation completes it."""
    values = {**SUBSTITUTIONS, "InputsBucket": inputs, "ResultsBucket": results}
    text = re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], DEFINITION.read_text())
    document: dict[str, Any] = json.loads(text)
    return document


def for_moto(world: World) -> dict[str, Any]:
    """What the interpreter can parse of the definition; see the top."""
    inputs = world.inputs.url.removeprefix("s3://")
    definition = read_definition(inputs, world.results.url.removeprefix("s3://"))
    states = definition["States"]
    for name in ("AnswerPrefix", "AnswerManifest"):
        del states[name]["ItemBatcher"]
        del states[name]["ResultWriter"]["WriterConfig"]
        states[name]["ItemProcessor"]["ProcessorConfig"]["ExecutionType"] = "STANDARD"
    states["Count"]["Parameters"] = {"mapRunArn.$": "$.map.MapRunArn"}
    counts = {"Total.$": "$.itemCounts.total", "Succeeded.$": "$.itemCounts.succeeded"}
    states["Count"]["ResultSelector"] = {"counts": counts}
    states["AnswerPrefix"]["ItemSelector"] = {
        "Items": [{"Key.$": "$$.Map.Item.Value.Key"}],  # nor can it pass on when an object was modified
        "BatchInput": {"bucket": inputs},
    }
    return definition


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (28, 28), shade).save(buffer, "PNG")
    return buffer.getvalue()


def put_objects(world: World, count: int, poison_every: int = 0) -> list[str]:
    """Write small objects under batch/, some of which are no images."""
    images = [png(shade) for shade in range(0, 250, 10)]
    keys = [f"batch/{number:05}.png" for number in range(count)]
    for number, key in enumerate(keys):
        is_poison = poison_every and number % poison_every == 1
        world.inputs.put_if_absent(key, b"no image" if is_poison else images[number % len(images)])
    return keys


def put_manifest(world: World, keys: list[str], size: int = 50) -> str:
    """A manifest whose entries are item batches, as `ItemBatcher` makes them."""
    bucket = world.inputs.url.removeprefix("s3://")
    batches = [
        {"Items": [{"Key": key} for key in keys[start : start + size]], "BatchInput": {"bucket": bucket}}
        for start in range(0, len(keys), size)
    ]
    world.inputs.put_if_absent("manifests/all.json", json.dumps(batches).encode())
    return "manifests/all.json"


def documents(world: World) -> list[dict[str, Any]]:
    """All results."""
    store = world.results
    return [json.loads(store.read(key).data) for key in store.keys("batch")]


def test_a_thousand_objects_end_in_a_thousand_results_and_one_summary(world: World) -> None:
    keys = put_objects(world, 1000)
    found = world.run(for_moto(world), {"manifest": put_manifest(world, keys)})
    assert found["status"] == "SUCCEEDED", (found.get("error"), found.get("cause"))
    assert world.functions.calls == 20
    results = documents(world)
    assert sorted(item["source"] for item in results) == [f"{world.inputs.url}/{key}" for key in keys]
    assert all(len(item["predictions"]) == 1 for item in results)
    summary = json.loads(found["output"])
    counts = {name: summary[name] for name in ("answered", "refused", "left_alone", "failed")}
    assert counts == {"answered": 1000, "refused": 0, "left_alone": 0, "failed": 0}
    assert summary["results"] == f"{world.results.url}/batch"
    (key,) = [key for key in world.results.keys("summaries") if key.endswith("/summary.json")]
    assert json.loads(world.results.read(key).data) == {
        name: value for name, value in summary.items() if name != "summary"
    }
    assert summary["summary"] == f"{world.results.url}/{key}"


def test_poison_leaves_documents_that_say_why_and_fails_nothing(world: World) -> None:
    """Three of each hundred."""
    keys = put_objects(world, 400, poison_every=33)
    poisoned = [key for number, key in enumerate(keys) if number % 33 == 1]
    assert len(poisoned) / len(keys) == pytest.approx(0.03, abs=0.003)
    found = world.run(for_moto(world), {"manifest": put_manifest(world, keys)})
    assert found["status"] == "SUCCEEDED", (found.get("error"), found.get("cause"))
    summary = json.loads(found["output"])
    counts = {name: summary[name] for name in ("answered", "refused", "failed")}
    assert counts == {"answered": 400 - len(poisoned), "refused": len(poisoned), "failed": 0}
    refused = [item for item in documents(world) if "error" in item]
    assert sorted(item["source"] for item in refused) == [f"{world.inputs.url}/{key}" for key in poisoned]
    assert {item["code"] for item in refused} == {"unreadable_payload"}


def test_all_objects_under_a_prefix_are_listed_and_no_others(world: World) -> None:
    keys = put_objects(world, 30)
    world.inputs.put_if_absent("batch/cats/one.png", png(3))
    world.inputs.put_if_absent("in/elsewhere.png", png(3))
    found = world.run(for_moto(world), {})
    assert found["status"] == "SUCCEEDED", (found.get("error"), found.get("cause"))
    assert {item["source"].rpartition("/")[2] for item in documents(world)} == {
        *(key.rpartition("/")[2] for key in keys),
        "one.png",
    }
    assert world.run(for_moto(world), {"prefix": "batch/cats/"})["status"] == "SUCCEEDED"
    assert len(documents(world)) == 31


def test_an_item_batch_is_tried_again_where_a_store_does_not_answer(world: World) -> None:
    keys = put_objects(world, 10)
    answer, failures = world.functions.handlers["map"], iter([True])

    def flaky(event: dict[str, Any], context: object) -> dict[str, Any]:
        if next(failures, False):
            from onnxlet.errors import StoreError

            raise StoreError("the store does not answer")
        return answer(event, context)

    world.functions.handlers["map"] = flaky
    found = world.run(for_moto(world), {"manifest": put_manifest(world, keys, size=10)})
    assert found["status"] == "SUCCEEDED", (found.get("error"), found.get("cause"))
    assert (world.functions.calls, len(documents(world))) == (2, 10)


def test_what_is_no_item_batch_is_not_tried_again(world: World) -> None:
    world.inputs.put_if_absent("manifests/all.json", b'[{"Items": [{"Name": "a"}], "BatchInput": {"bucket": "b"}}]')
    found = world.run(for_moto(world), {"manifest": "manifests/all.json"})
    assert world.functions.calls == 1
    assert json.loads(found["output"])["failed"] == 1, "AWS fails the run, as more failed than is tolerated"


def test_every_state_is_reached_and_every_next_one_is_there() -> None:
    definition = read_definition()
    states = definition["States"]
    reached = {definition["StartAt"]}
    for state in states.values():
        reached |= {state[name] for name in ("Next", "Default") if name in state}
        reached |= {choice["Next"] for choice in state.get("Choices", [])}
    assert reached == set(states)
    assert [name for name, state in states.items() if state.get("End")] == ["Summarise"]


def test_both_ways_to_name_objects_are_answered_alike() -> None:
    states = read_definition()["States"]
    prefix, manifest = states["AnswerPrefix"], states["AnswerManifest"]
    different = {"Comment", "Label", "ItemReader"}
    assert {name: value for name, value in prefix.items() if name not in different} == {
        name: value for name, value in manifest.items() if name not in different
    }
    assert prefix["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}


def test_how_large_how_many_and_how_much_may_fail_is_the_runs_input_or_the_stacks() -> None:
    states = read_definition()["States"]
    given = set(states["Defaults"]["Parameters"]["defaults"])
    assert set(states["Defaults"]["Parameters"]["bounds"]) == {"most_concurrency.$"}
    used = set(re.findall(r'"\$\.(\w+)"', json.dumps([states["AnswerPrefix"], states["AnswerManifest"]])))
    assert used - {"Payload", "map", "manifest"} == {name.removesuffix(".$") for name in given}
    for name in re.findall(r"\$\{(\w+)\}", DEFINITION.read_text()):
        assert name in template.read()["Resources"]["Batch"]["Properties"]["DefinitionSubstitutions"]


def test_a_failed_run_can_be_redriven() -> None:
    """A `Catch` would end it in another state, and a redrive begins with the state that failed."""
    assert all("Catch" not in state for state in read_definition()["States"].values())


def to_maps(world: World) -> dict[str, Any]:
    """A definition that ends where it has decided how to answer, and gives that."""
    definition = read_definition()
    for name in ("AnswerPrefix", "AnswerManifest"):
        definition["States"][name] = {"Type": "Pass", "End": True}
    for name in ("Count", "Summarise"):
        del definition["States"][name]
    assert world.client is not None
    return definition


@pytest.mark.parametrize(
    ("asked", "bounded"), [(None, 4), (1, 1), (4, 4), (5, 4), (10_000, 4), (0, 4), (-1, 4), ("2", 4)]
)
def test_no_run_takes_more_environments_than_the_stack_gives_it(world: World, asked: Any, bounded: int) -> None:
    """Step Functions takes 0 for as many as there are: HTTP would have none in a small account."""
    given = {} if asked is None else {"max_concurrency": asked}
    found = world.run(to_maps(world), {**given, "prefix": "batch/cats/", "most_concurrency": 1000})
    assert found["status"] == "SUCCEEDED", (found.get("error"), found.get("cause"))
    answer = json.loads(found["output"])
    assert (answer["max_concurrency"], answer["prefix"]) == (bounded, "batch/cats/")


@pytest.mark.parametrize("name", ["AnswerPrefix", "AnswerManifest"])
def test_an_item_batch_that_is_throttled_is_tried_for_most_of_its_five_minutes(name: str) -> None:
    """Each wait is a random part of its delay, on average half: so counts the mean, which leaves 60 s for the call."""
    retriers = read_definition()["States"][name]["ItemProcessor"]["States"]["Answer"]["Retry"]
    (retrier,) = [item for item in retriers if item["ErrorEquals"] == ["Lambda.TooManyRequestsException"]]
    assert retriers.index(retrier) < retriers.index(
        next(item for item in retriers if "States.ALL" in item["ErrorEquals"])
    )
    delays = [
        min(retrier["IntervalSeconds"] * retrier["BackoffRate"] ** count, retrier["MaxDelaySeconds"])
        for count in range(retrier["MaxAttempts"])
    ]
    assert retrier["JitterStrategy"] == "FULL"
    assert 150 <= sum(delays) / 2 <= 300 - 60


def test_an_item_batch_ends_within_the_five_minutes_of_an_express_execution() -> None:
    retriers = read_definition()["States"]["AnswerPrefix"]["ItemProcessor"]["States"]["Answer"]["Retry"]
    (retrier,) = [item for item in retriers if item["ErrorEquals"] == ["States.ALL"]]
    timeout_s = template.translate().of_type("AWS::Lambda::Function")["MapFunction"]["Timeout"]
    waits_s = sum(
        retrier["IntervalSeconds"] * retrier["BackoffRate"] ** count for count in range(retrier["MaxAttempts"])
    )
    assert (retrier["MaxAttempts"] + 1) * timeout_s + waits_s < 300
