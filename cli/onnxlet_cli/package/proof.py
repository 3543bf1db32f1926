"""The proof: the package, unpacked into an empty folder, answers requests in an interpreter that has nothing else."""

import io
import json
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnx.parser

from onnxlet.contract.declarations import Classification, ImagePreprocess
from onnxlet.contract.golden import Golden
from onnxlet.contract.tasks.texts import IDS, FeatureExtraction, Tokenization
from onnxlet.media.image_headers import FORMATS
from onnxlet_cli.errors import PackageError
from onnxlet_cli.local.function_url import from_result, to_event
from onnxlet_cli.local.lambda_function import MEMORY_MIB
from onnxlet_cli.package import asked
from onnxlet_cli.package.interpreter import Interpreter
from onnxlet_cli.registry import open_registry
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.graphs import to_tensor
from onnxlet_publishing.onnx_file import read_onnx
from onnxlet_publishing.publish import publish

TIMEOUT_S = 300

NAME = "colours"
LABELS = ("red", "green", "blue")
SIDE_PIXELS = 8
COLOURS = """
<ir_version: 10, opset_import: ["" : 18]>
colours (float[batch, 8, 8, 3] input) => (float[batch, 3] output) <int64[2] axes = {1, 2}> {
    output = ReduceMean <keepdims = 0> (input, axes)
}
"""
"""A graph that returns the mean of each channel."""

WORDS = """
<ir_version: 10, opset_import: ["" : 18]>
words (int64[batch, tokens] ids) => (float[batch, tokens, 3] vectors)
<float[4, 3] table = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1}> {
    vectors = Gather (table, ids)
}
"""
"""A graph that returns a vector for each word."""

TOKENIZER = json.dumps(
    {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {"?": 0, "red": 1, "green": 2, "blue": 3}, "unk_token": "?"},
    }
).encode()
"""The tokenizer of those words."""

MAX_DIFFERENCE = 1e-3
"""The largest accepted difference to the golden answer: another CPU adds in another order."""


@dataclass(frozen=True)
class Proof:
    """The evidence that a package answers."""

    python: str
    """The executable that ran it."""
    engine: str
    """`c` or `python`: how it called ONNX Runtime."""
    requests: int
    """The number of requests, all answered correctly."""
    init_s: float
    """The time from an empty interpreter to a loaded model."""
    from_source: int
    """The number of its modules without bytecode."""
    emulation: str | None = None
    """The kind of emulation, under which times mean nothing; None if this machine ran the package itself."""


@dataclass(frozen=True)
class _Question:
    content_type: str
    path: str
    body: bytes
    expected: Sequence[float] | str
    """The numbers of the first output, or the label of the first prediction or of the explanation."""

    def to_event(self) -> dict[str, Any]:
        headers = Message()
        headers["content-type"] = self.content_type
        return to_event("POST", self.path, "", headers, self.body)


def prove(
    archive: Path,
    interpreter: Interpreter,
    dependencies: Path | None = None,
    *,
    has_images: bool,
    has_text: bool = False,
) -> Proof:
    """Unpack a package and send it the golden request and, if it decodes images, one of each type and one to explain.

    A package for models of texts is sent a text, too.

    The folder `dependencies` has the libraries that the cloud installs, if the package does not contain them.

    Raises:
        PackageError: It does not start, answers wrongly, or loads modules from outside.
    """
    with TemporaryDirectory() as work:
        tree = Path(work) / "task"
        with zipfile.ZipFile(archive) as content:
            content.extractall(tree)
        registry = Path(work) / "registry"
        golden = _publish_colours(registry, has_images=has_images)
        questions = [_golden_question(golden), *(_image_questions() if has_images else [])]
        if has_text:
            questions.append(_text_question(registry))
        folders = [tree, *([dependencies.absolute()] if dependencies else [])]  # it runs in another folder
        environment = {  # complete, as on Lambda
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY_MIB),
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:0",
            "ONNXLET_MODEL": NAME,
            "ONNXLET_REGISTRY": registry.as_uri(),
        }
        answered = ask(interpreter, folders, [question.to_event() for question in questions], environment)
    _check_answers(answered["results"], questions)
    if answered["foreign"]:
        raise PackageError(
            f"the package loads modules that it does not contain: {', '.join(answered['foreign'])[:400]}"
        )
    return Proof(
        str(interpreter.python),
        answered["engine"],
        len(questions),
        answered["init_s"],
        len(answered["from_source"]),
        interpreter.emulation,
    )


def _publish_colours(folder: Path, *, has_images: bool) -> Golden:
    """Publish a model that returns the mean colour of an image; return its golden example, computed by numpy."""
    values = np.arange(SIDE_PIXELS * SIDE_PIXELS * 3, dtype=np.float32).reshape(1, SIDE_PIXELS, SIDE_PIXELS, 3) / 256
    golden = Golden({"input": to_tensor(values)}, {"output": to_tensor(values.mean(axis=(1, 2)))})
    path = folder / "colours.onnx"
    folder.mkdir()
    onnx.save(onnx.parser.parse_model(COLOURS), path)
    candidate = Candidate(
        NAME,
        read_onnx(path),
        "onnxlet package",
        preprocess=ImagePreprocess(SIDE_PIXELS, SIDE_PIXELS, 3) if has_images else None,
        classification=Classification(LABELS, "softmax") if has_images else None,
        golden=golden,
    )
    publish(open_registry(str(folder), create=True), candidate)
    return golden


def _text_question(folder: Path) -> _Question:
    """Publish a model that returns the mean of a text's words as a vector, and return a text for it."""
    path = folder / "words.onnx"
    onnx.save(onnx.parser.parse_model(WORDS), path)
    tokenization = Tokenization({IDS: "ids"}, max_length=32)
    task = FeatureExtraction("feature-extraction", tokenization, "vectors", "mean")
    candidate = Candidate("words", read_onnx(path), "onnxlet package", task=task, tokenizer=TOKENIZER)
    publish(open_registry(str(folder)), candidate)
    return _Question("text/plain", "/predict/words", b"red blue", [0.5, 0.0, 0.5])


def _golden_question(golden: Golden) -> _Question:
    """Return the golden inputs as a V2 request."""
    tensor = golden.inputs["input"]
    data = np.frombuffer(tensor.buffer, np.float32).tolist()
    body = {"inputs": [{"name": "input", "datatype": "FP32", "shape": tensor.shape, "data": data}]}
    expected = np.frombuffer(golden.outputs["output"].buffer, np.float32).tolist()
    return _Question("application/json", f"/v2/models/{NAME}/infer", json.dumps(body).encode(), expected)


def _image_questions() -> list[_Question]:
    """Return requests with an image of each type, each in another colour, and one to explain the last image."""
    from PIL import Image

    questions = []
    for (content_type, name), label in zip(FORMATS.items(), cycle(LABELS), strict=False):
        file = io.BytesIO()
        Image.new("RGB", (16, 12), label if label != "green" else "lime").save(file, name)
        questions.append(_Question(content_type, f"/predict/{NAME}", file.getvalue(), label))
    return [*questions, _Question(content_type, f"/v2/models/{NAME}/explain", file.getvalue(), label)]


def ask(
    interpreter: Interpreter, folders: Sequence[Path], events: Sequence[object], environment: Mapping[str, str]
) -> dict[str, Any]:
    """Send events to an unpacked package in a process of its own, and return the document of `asked.answer`.

    The folders are the package, then its dependencies; absolute, since the process runs in the first one. The process
    has no other variables than those in `environment`.

    Raises:
        PackageError: the process failed, or took too long.
    """
    result = folders[0].parent / "result.json"
    try:
        done = subprocess.run(
            [*interpreter.command, "-I", "-S", "-B", asked.__file__, str(result), *map(str, folders)],
            input=json.dumps(events),
            env=dict(environment),
            cwd=folders[0],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PackageError(f"the package does not run on its own: no answer within {TIMEOUT_S} s") from error
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise PackageError(f"the package does not run on its own: {last or f'exit code {done.returncode}'}")
    document: dict[str, Any] = json.loads(result.read_text())
    return document


def _check_answers(results: Sequence[object], questions: Sequence[_Question]) -> None:
    for result, question in zip(results, questions, strict=True):
        status, _headers, body = from_result(result)
        document = json.loads(body)
        if status != 200:
            raise PackageError(f"the package answers {question.content_type} with {status}: {document.get('error')}")
        if not _is_right(document, question.expected):
            raise PackageError(f"the package gives a wrong answer to {question.content_type}: {body.decode()[:400]}")


def _is_right(document: dict[str, Any], expected: Sequence[float] | str) -> bool:
    if isinstance(expected, str):
        answer = document["predictions"][0] if "predictions" in document else document
        return bool(answer["label"] == expected)
    values = document["predictions"][0] if "predictions" in document else document["outputs"][0]["data"]
    return bool(np.allclose(values, expected, rtol=0, atol=MAX_DIFFERENCE))
