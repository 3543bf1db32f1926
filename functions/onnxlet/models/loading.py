"""Loading of a version: its graphs, each in the best form that this process can load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxlet import notices, session
from onnxlet.contract.artifact import ORT, Artifact, Role
from onnxlet.contract.golden import MAX_DIFFERENCE, Golden
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import ArtifactError, DeadlineError, OnnxletError
from onnxlet.limits import deadline
from onnxlet.models.model import Model
from onnxlet.registry.reader import RegistryReader

if TYPE_CHECKING:
    from onnxlet.session import Session
    from onnxlet.tasks.task import Task
    from onnxlet.tasks.tokenizer import Tokenizer


def load(registry: RegistryReader, manifest: Manifest, threads: int, variant: str | None = None) -> Model:
    """Fetch, verify and load the graphs of a version, each in the best form that this process can load.

    Args:
        registry: The registry that has the graphs.
        manifest: The version's manifest.
        threads: The number of threads that a session may use.
        variant: The variant of the model's graph to load if the version has it; else its first is loaded.

    Raises:
        ArtifactError: the bytes are not the published ones, or ONNX Runtime does not load them.
        StoreError: the store does not answer.
    """
    blobs = [artifact.blob for artifact in manifest.best(variant, session.runtime())]
    for blob in blobs:
        registry.artifacts.begin(blob)
    # What follows until the bytes are read runs while they are on their way.
    if manifest.preprocess is not None:
        from onnxlet.media import images

        images.prepare()

    def open_best(role: Role) -> Session | None:
        return _open_best(registry, manifest, manifest.choices(role, variant, session.runtime()), threads)

    try:
        tokenizer = None
        if manifest.artifact("tokenizer") is not None:
            tokenizer = deadline.Background(lambda: _open_tokenizer(registry, manifest))
        session.prepare()
        preprocess, postprocess, main = open_best("preprocess"), open_best("postprocess"), open_best("model")
        opened = None if tokenizer is None else tokenizer.result()
    finally:
        registry.artifacts.forget(blobs)  # after a failure nobody reads the rest
    assert main is not None, "the contract refuses a manifest without a model artifact"
    task = None if manifest.task is None else _open_task(manifest, preprocess, postprocess, opened)
    return Model(manifest, main, preprocess, postprocess, task)


def open_form(registry: RegistryReader, manifest: Manifest, artifact: Artifact, threads: int) -> Session:
    """Fetch and load one form of a graph. Check its answers if nothing else guarantees that it fits this CPU.

    Raises:
        ArtifactError: the form cannot be loaded, or its answers differ from the golden outputs.
        StoreError: the store does not answer.
        ManifestError: the golden example breaks the contract.
        InferenceError: the form does not run on the golden inputs.
    """
    golden = registry.golden(manifest) if artifact.must_be_checked else None  # it arrives before the graph
    opened = session.open_session(registry.artifacts.read(artifact), threads, is_ort=artifact.format == ORT)
    if golden is not None:
        _check(opened, artifact, golden)
    return opened


def open_task(
    registry: RegistryReader, manifest: Manifest, preprocess: Session | None, postprocess: Session | None
) -> Task | None:
    """Open the task of a version, with its tokenizer if it has one.

    Raises:
        MissingLibraryError: a library that the task needs is not installed.
        ArtifactError: the tokenizer or a graph cannot be used.
        StoreError: the store does not answer.
    """
    tokenizer = None if manifest.artifact("tokenizer") is None else _open_tokenizer(registry, manifest)
    return _open_task(manifest, preprocess, postprocess, tokenizer)


def _open_task(
    manifest: Manifest, preprocess: Session | None, postprocess: Session | None, tokenizer: Tokenizer | None
) -> Task | None:
    from onnxlet import tasks  # many models have no task
    from onnxlet.tasks.task import Parts

    return tasks.open_task(manifest, Parts(preprocess, postprocess, tokenizer))


def _open_tokenizer(registry: RegistryReader, manifest: Manifest) -> Tokenizer:
    """Import the library while the file is on its way, then parse the file; both take as long as a small model."""
    from onnxlet.tasks import tokenizer

    tokenizer.require_tokenizers()
    file, task = manifest.artifact("tokenizer"), manifest.task
    assert file is not None, "the caller has checked it"
    tokenization = getattr(task, "tokenization", None)
    if tokenization is None:
        raise ArtifactError(f'model "{manifest.model}": it has a tokenizer, but its task takes no texts')
    return tokenizer.Tokenizer(registry.artifacts.read(file), tokenization)


def golden_difference(opened: Session, golden: Golden) -> float:
    """Return the difference between a session's answer to the golden inputs and the golden outputs.

    Raises:
        InferenceError: the session cannot run on the golden inputs.
    """
    names = [*golden.compared, *golden.random]
    return golden.difference(dict(zip(names, opened.run(golden.inputs, names), strict=True)))


def _open_best(registry: RegistryReader, manifest: Manifest, choices: list[Artifact], threads: int) -> Session | None:
    """Return a session of the first form that loads and passes its check; raise the last form's error if none does."""
    for artifact in choices:
        try:
            return open_form(registry, manifest, artifact, threads)
        except DeadlineError:
            raise
        except OnnxletError as error:
            if artifact is choices[-1]:
                raise
            notices.warning("%s version %d: another form is loaded: %s", manifest.model, manifest.version, error)
    return None


def _check(opened: Session, artifact: Artifact, golden: Golden) -> None:
    """Compare a session with the golden example.

    Raises:
        ArtifactError: the session gives another answer, or none that can be compared.
        InferenceError: the session does not run on the golden inputs.
    """
    if not golden.compared:
        raise ArtifactError(f"{artifact.role} artifact for {artifact.cpu}: no output of its model can be compared")
    difference = golden_difference(opened, golden)
    if difference > MAX_DIFFERENCE:
        raise ArtifactError(f"{artifact.role} artifact for {artifact.cpu}: its golden answer is {difference:.2g} off")
