"""`onnxlet demo`: from training to an answer on both clouds' runtimes, on this machine."""

import json
import shutil
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

from rich.console import Console

from onnxlet_cli.errors import ServiceError
from onnxlet_cli.http_client import send
from onnxlet_cli.local.serve import LocalSettings, serve
from onnxlet_cli.registry import open_registry
from onnxlet_training.recipe import Options
from onnxlet_training.recipes import find_recipe

RECIPE = "digits"
FOLDER = Path(".onnxlet/demo")
CLOUDS = {"aws": "AWS Lambda (awslambdaric)", "gcp": "GCP Cloud Functions (functions-framework)"}
RESULT_TIMEOUT_S = 30


def demo() -> None:
    """Train a model on this machine, publish it, and ask both clouds' runtimes over HTTP and through an inbox."""
    console = Console(soft_wrap=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    _head(console, "1. Train on real handwritten digits, export to ONNX, publish")
    registry = open_registry(None, create=True)
    picture, truth, version = _train(registry.store.url, console)

    answers = {}
    for number, (cloud, title) in enumerate(CLOUDS.items(), start=2):
        _head(console, f"{number}. Serve on {title}")
        settings = LocalSettings(registry.store.url, RECIPE, 0, FOLDER / cloud / "inbox", FOLDER / cloud / "outbox")
        with serve(cloud, settings, log=FOLDER / f"{cloud}.log") as url:
            answers[cloud] = _ask(url, picture, truth, console)
            _drop(picture, FOLDER / cloud, version, console)
    if len(set(answers.values())) != 1:
        raise ServiceError(f"the clouds answer differently: {answers}")
    console.print("\nBoth clouds' runtimes gave the same bytes, and everything that was started is stopped.")
    _suggest(console, picture)


def _train(registry_url: str, console: Console) -> tuple[Path, str, int]:
    """Train and publish; return a test image's file, its true label and the version."""
    # Imported only now: Keras takes seconds, in which the first line is visible.
    from onnxlet_training.run import default_folder, run
    from onnxlet_training.tasks.classification import to_png

    recipe = find_recipe(RECIPE)
    done = run(recipe, Options(), open_registry(registry_url), default_folder(recipe), console)
    assert done is not None, "there is one process"
    FOLDER.mkdir(parents=True, exist_ok=True)
    picture = FOLDER / "digit.png"
    picture.write_bytes(to_png(done.dataset.test.inputs[0]))
    return picture, done.dataset.labels[int(done.dataset.test.targets[0])], done.manifests[0].version


def _ask(url: str, picture: Path, truth: str, console: Console) -> bytes:
    """Send the picture over HTTP and print the answer."""
    started = time.perf_counter()
    response = send(f"{url}/predict/{RECIPE}", picture.read_bytes(), {"content-type": "image/png"})
    if response.status != HTTPStatus.OK:
        raise ServiceError(f"{url}: expected status 200, got {response.status}: {response.body[:400]!r}")
    milliseconds = (time.perf_counter() - started) * 1000
    console.print(f"POST {url}/predict/{RECIPE}  (a picture of a {truth})  {milliseconds:.1f} ms", highlight=False)
    _print_answer(json.loads(response.body), console)
    return response.body


def _drop(picture: Path, folder: Path, version: int, console: Console) -> None:
    """Copy the picture into the inbox and print the result that appears in the outbox."""
    started = time.perf_counter()
    shutil.copy(picture, folder / "inbox" / picture.name)
    pattern = f"{picture.name}.{RECIPE}-{version}.*.json"
    while not (results := list((folder / "outbox").glob(pattern))):
        if time.perf_counter() - started > RESULT_TIMEOUT_S:
            raise ServiceError(f"{folder / 'outbox'}: no result within {RESULT_TIMEOUT_S} s; see {folder}.log")
        time.sleep(0.02)
    milliseconds = (time.perf_counter() - started) * 1000
    result = json.loads(results[0].read_text())
    console.print(f"{folder}/inbox/{picture.name} -> {results[0]}  {milliseconds:.0f} ms", highlight=False)
    console.print(f"  source {result['source']}", highlight=False)
    _print_answer(result, console)


def _print_answer(answer: dict[str, Any], console: Console) -> None:
    (prediction,) = answer["predictions"]
    others = ", ".join(f"{entry['label']}: {entry['probability']:.4f}" for entry in prediction["top"][1:3])
    console.print(
        f"  [green]{prediction['label']}[/] with probability {prediction['probability']:.4f} (then {others}), "
        f"by {answer['model']} version {answer['version']}",
        highlight=False,
    )


def _head(console: Console, text: str) -> None:
    console.print(f"\n[bold]{text}[/]", highlight=False)


def _suggest(console: Console, picture: Path) -> None:
    console.print("\n[bold]Try next[/]")
    for command, purpose in (
        (f"onnxlet predict {RECIPE} {picture}", "ask the model without a server"),
        ("onnxlet serve --cloud aws", "keep a function running on port 8080"),
        ("onnxlet publish YOUR.onnx", "serve your own model next to it"),
    ):
        console.print(f"  {command:<48} {purpose}", highlight=False)
