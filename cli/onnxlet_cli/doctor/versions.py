"""One version: its bytes, the forms of its graphs, the answer to its golden example, and the memory that it needs."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from onnxlet import session
from onnxlet.contract import layout
from onnxlet.contract.artifact import GRAPH_ROLES, ONNX, ORT, Artifact
from onnxlet.contract.blob import Runtime
from onnxlet.contract.golden import MAX_DIFFERENCE, Golden
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import ArtifactError, InferenceError, ManifestError, ObjectNotFoundError, OnnxletError
from onnxlet.limits import MIB
from onnxlet.models.cache import LOAD_FACTOR
from onnxlet.models.loading import golden_difference
from onnxlet.registry.registry import Registry
from onnxlet_cli.doctor import remedies
from onnxlet_cli.doctor.finding import Finding, error, ok, warning

BASE_MIB = 64
"""The memory of a function without a model: 40 MiB were measured, and Lambda's runtime client comes on top."""

_NEW_IR = re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)")
_NEW_OPSET = re.compile(r"Opset (\d+) is under development")
"""The text of ONNX Runtime about a graph with an opset that it does not know."""

Blobs = dict[str, memoryview]
"""The verified bytes of artifacts, by their SHA-256."""


@dataclass(frozen=True)
class Examination:
    """The parameters of the checks of a version."""

    pinned: str | None
    """The version of ONNX Runtime that is deployed; None if it is unknown."""
    memory_mib: int | None = None
    """The memory of the function that will load the version; None if it is unknown."""
    bound_mib: int | None = None
    """The function's `ONNXLET_MEMORY_MIB`; None for half of its memory, as on Lambda."""
    can_load: bool = True
    """Whether ONNX Runtime works here. If not, no graph is loaded: that could end this process."""


def examine(registry: Registry, manifest: Manifest, examination: Examination) -> Iterator[Finding]:
    """Check everything that a function needs from a version."""
    where = f"{manifest.model} version {manifest.version}"
    blobs: Blobs = {}
    yield from _bytes(registry, manifest, blobs, where)
    yield from _forms(manifest, examination.pinned, where)
    yield from _crashes(manifest, where)
    if examination.can_load:
        yield from _graphs(manifest, blobs, where)
        yield from _golden(manifest, blobs, where)
    if examination.memory_mib is not None:
        yield examine_memory(manifest, examination, examination.memory_mib, where)


def examine_memory(manifest: Manifest, examination: Examination, memory_mib: int, where: str) -> Finding:
    """Check whether a function has enough memory to load a version in its best form."""
    # No form was made for this CPU: the function's own is not known.
    runtime = Runtime(examination.pinned, "any") if examination.pinned and manifest.artifacts else None
    graphs = [artifact for artifact in manifest.best(None, runtime) if artifact.role in GRAPH_ROLES]
    graphs_mib = sum(artifact.size_bytes for artifact in graphs) / MIB
    bound_mib = examination.bound_mib or memory_mib // 2
    needed_mib = math.ceil(BASE_MIB + LOAD_FACTOR * graphs_mib)
    if graphs_mib > bound_mib:
        found = f"{graphs_mib:.0f} MiB of graphs, and {bound_mib} MiB for models (ONNXLET_MEMORY_MIB)"
        remedy = f"give the function {max(needed_mib, math.ceil(2 * graphs_mib))} MiB"
        return error("memory_small", where, found, "graphs that fit", remedy)
    if needed_mib > memory_mib:
        found = f"{memory_mib} MiB for {graphs_mib:.0f} MiB of graphs"
        expected = f"{needed_mib} MiB, {LOAD_FACTOR} times the graphs while they are loaded and {BASE_MIB} for the rest"
        is_mapped = all(artifact.format == ORT for artifact in graphs)
        if is_mapped:  # the weights of this form are mapped, not copied
            return warning("memory_tight", where, found, expected, f"give the function {needed_mib} MiB")
        return error("memory_small", where, found, expected, f"give the function {needed_mib} MiB")
    return ok("memory", where, f"{memory_mib} MiB for {graphs_mib:.1f} MiB of graphs")


def _bytes(registry: Registry, manifest: Manifest, blobs: Blobs, where: str) -> Iterator[Finding]:
    """Read each artifact, and put the intact ones into `blobs`."""
    problems = 0
    for artifact in manifest.artifacts:
        if artifact.sha256 in blobs:
            continue
        try:
            blobs[artifact.sha256] = registry.artifacts.read(artifact)
        except ArtifactError as problem:
            problems += 1
            yield _damage(problem, artifact, where)
        except OnnxletError as problem:
            yield remedies.of_store(problem, registry.store.url, "read")
            return
    if not problems:
        size = sum(artifact.size_bytes for artifact in manifest.artifacts)
        yield ok("artifacts", where, f"{len(manifest.artifacts)} artifacts, {size / 1e6:.2f} MB, as published")


def _damage(problem: ArtifactError, artifact: Artifact, where: str) -> Finding:
    key, what = layout.blob_key(artifact.sha256), _name(artifact)
    if isinstance(problem.__cause__, ObjectNotFoundError):
        remedy = "put the object back, or publish the model again"
        return error("artifact_missing", f"{where}, {what}", "no such object", key, remedy)
    remedy = f"delete {key} and publish the model again, or put its earlier version back"
    return error("artifact_damaged", f"{where}, {what}", str(problem), "the published bytes", remedy)


def _forms(manifest: Manifest, pinned: str | None, where: str) -> Iterator[Finding]:
    """Check for forms that the deployed ONNX Runtime does not load any more."""
    made_by = {artifact.runtime for artifact in manifest.artifacts if artifact.format == ORT}
    if pinned is None or not made_by:
        return
    if pinned in made_by:
        yield ok("forms", where, f"made by onnxruntime {pinned}, as deployed")
        return
    found = f"made by onnxruntime {', '.join(sorted(map(str, made_by)))}: no function loads it, and starts are slower"
    remedy = "publish the model again with the deployed version"
    yield warning("form_outdated", where, found, f"onnxruntime {pinned}, which is deployed", remedy)


def _crashes(manifest: Manifest, where: str) -> Iterator[Finding]:
    """Report the operators that end a process, as the publish gate found."""
    for crash in manifest.crashes:
        what = where if crash.node is None else f'{where}, node "{crash.node}"'
        remedy = "let only trusted clients ask, or bound the values inside the graph (Clip, Max) and publish again"
        found = f"{crash.operator} ends the process: {crash.found}"
        yield warning("model_crashes", what, found, "an error instead of the end", remedy)


def _graphs(manifest: Manifest, blobs: Blobs, where: str) -> Iterator[Finding]:
    """Check whether each portable graph loads, or is too new."""
    for artifact in manifest.artifacts:
        if artifact.role not in GRAPH_ROLES or artifact.format != ONNX or artifact.sha256 not in blobs:
            continue
        try:
            session.open_session(blobs[artifact.sha256])
        except ArtifactError as problem:
            yield _unloadable(str(problem), f"{where}, {_name(artifact)}")


def _unloadable(text: str, where: str) -> Finding:
    version = session.runtime().version
    remedy = "export it again for an older opset and IR, or deploy a newer onnxruntime: functions/requirements.txt"
    if match := _NEW_IR.search(text):
        expected = f"at most {match[2]}, onnxruntime {version}'s"
        return error("graph_too_new", where, f"IR version {match[1]}", expected, remedy)
    if match := _NEW_OPSET.search(text):
        return error("graph_too_new", where, f"opset {match[1]}", f"one that onnxruntime {version} knows", remedy)
    return error("graph_unloadable", where, text, "a graph that loads", "export it again; publish refuses such graphs")


def _golden(manifest: Manifest, blobs: Blobs, where: str) -> Iterator[Finding]:
    """Replay the golden example with the portable graph, and with the form that this machine would load."""
    artifact = manifest.artifact("golden")
    if artifact is None:
        remedy = "publish the model again: publish says why a model gets no golden example"
        yield warning("golden_none", where, "no golden example", "one, to check its answers", remedy)
        return
    if artifact.sha256 not in blobs:
        return
    try:
        golden = Golden.from_json(bytes(blobs[artifact.sha256]), layout.blob_key(artifact.sha256))
    except ManifestError as problem:
        yield error("golden_unreadable", where, str(problem), "a golden example", "publish the model again")
        return
    portable, best = manifest.artifact("model"), manifest.choices("model", None, session.runtime())[0]
    for form in dict.fromkeys((portable, best)):
        if form is not None and form.sha256 in blobs:
            yield _replay(golden, form, blobs[form.sha256], where)


def _replay(golden: Golden, artifact: Artifact, data: memoryview, where: str) -> Finding:
    what = f"{where}, {_name(artifact)}"
    remedy = "publish the model again from its source, and compare with its framework's answer"
    try:
        difference = golden_difference(session.open_session(data, is_ort=artifact.format == ORT), golden)
    except (ArtifactError, InferenceError) as problem:
        return error("golden_fails", what, str(problem), "the golden answer", remedy)
    if difference > MAX_DIFFERENCE:
        expected = f"the golden answer, within {MAX_DIFFERENCE:g}"
        return error("golden_differs", what, f"an answer that is {difference:.2g} off", expected, remedy)
    return ok("golden", what, describe_golden(golden, difference))


def describe_golden(golden: Golden, difference: float) -> str:
    """Return a text about the difference of an answer from the golden one."""
    drawn = f"{', '.join(golden.random)} not compared, since the model draws random numbers"
    if not golden.compared:
        return drawn
    return f"the golden answer, {difference:.1g} off" + (f"; {drawn}" if golden.random else "")


def _name(artifact: Artifact) -> str:
    """Return the name of an artifact for a reader: `model fp32 (ort)`."""
    form = artifact.format if artifact.cpu is None else f"{artifact.format} for {artifact.cpu}"
    return f"{artifact.role} {artifact.variant} ({form})"
