"""One loaded version of a model: its manifest, and a session for each of its graphs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onnxlet.contract import json_tensors, tensors
from onnxlet.contract.declarations import (
    PIXELS_INPUT,
    PIXELS_OUTPUT,
    POSTPROCESS_INPUTS,
    POSTPROCESS_OUTPUTS,
    PREPROCESS_INPUT,
    PREPROCESS_OUTPUT,
)
from onnxlet.contract.golden import Golden
from onnxlet.contract.manifest import Manifest
from onnxlet.contract.tensors import DATATYPES, Tensor, TensorSpec
from onnxlet.errors import InferenceError, InvalidTensorError, OnnxletError, TooLargeError, UnsupportedMediaError
from onnxlet.limits import MAX_JOINED_BYTES, MAX_LABELS, MAX_ROWS, MAX_TOP_K, deadline, memory
from onnxlet.models import batches
from onnxlet.record import EMPTY, Record
from onnxlet.tasks.rows import Batch, Images, Labels, Outputs, Parameters, Prediction, Rows

if TYPE_CHECKING:
    from onnxlet.session import Session
    from onnxlet.tasks.parameters import Parser
    from onnxlet.tasks.task import Task

IMAGES = TensorSpec(PREPROCESS_INPUT, DATATYPES["UINT8"], ("batch", "height", "width", "channels"))
"""The input of every preprocess graph."""

DEFAULT_TOP_K = 5

JOINED = 2
"""The number of times that an image's tensor is in memory: as it is, and in the tensor of all joined rows."""


class Model(Record):
    """One loaded version: its manifest, and a session for each of its graphs."""

    manifest: Manifest
    session: Session
    preprocess: Session | None
    postprocess: Session | None
    task: Task | None = None
    """The declared task, which prepares rows that are not tensors and reads the outputs; None without one."""

    def identity(self) -> dict[str, Any]:
        """Return the name and version that every answer carries, over HTTP and in the result of an event."""
        return {"model": self.manifest.model, "version": self.manifest.version}

    def parse_parameters(self, sent: Mapping[str, object], query: Mapping[str, object] = EMPTY) -> Parameters:
        """Return the checked parameters of a request; a model of tensors has none and ignores what is sent.

        Args:
            sent: The parameters that a body has.
            query: The query of the URL, which precedes. It may also have what gateways and pages add: a model without a
                declared task ignores names that it does not know.

        Raises:
            InvalidRequestError: a parameter is unknown, or its value is not possible.
        """
        if not (sent or query) or (self.task is None and self.manifest.classification is None):
            return EMPTY
        from onnxlet.tasks import parameters  # few requests have parameters

        parsers: dict[str, Parser] = {} if self.task is None else {**self.task.PARAMETERS}
        if self.manifest.classification is not None:
            parsers["top_k"] = parameters.integer(1, MAX_TOP_K)
        if self.task is None:
            query = {name: query[name] for name in query if name in parsers}
        return parameters.parse({**sent, **query}, parsers)

    def predict(
        self, rows: Iterable[Rows], parameters: Parameters = EMPTY, *, only_images: bool = False
    ) -> list[Prediction]:
        """Prepare rows, run the model on all of them, and answer as its task does.

        Args:
            rows: What a payload was decoded to. Each item is prepared before the next one is decoded, so that no more
                than one image is in memory in its own size.
            parameters: The checked parameters; `top_k` is the number of labels for each row.
            only_images: Answer images, texts and sounds only, and give the outputs' values for tensors and tables.

        Returns:
            A prediction for each item of `rows`.

        Raises:
            InvalidTensorError: a tensor does not fit the model's inputs.
            InferenceError: a graph cannot run on a row.
            TooLargeError: there are too many rows, or the answer would have too many labels.
        """
        batches = self.align(self.prepare_all(rows, parameters))
        return self.to_predictions(batches, self.run_all(batches), parameters, only_images=only_images)

    def prepare_all(self, rows: Iterable[Rows], parameters: Parameters = EMPTY) -> list[Batch]:
        """Return each item of rows as a batch; raise as `prepare`.

        Raises:
            TooLargeError: the model would run on too many rows.
            DeadlineError: the time of the request is over.
        """
        prepared, count = [], 0
        for item in rows:
            deadline.check()
            batch = self.prepare(item, parameters)
            count += batch.rows or 1
            if count > MAX_ROWS and not isinstance(item, Batch):
                raise TooLargeError(f"expected a request that becomes at most {MAX_ROWS} rows, got more")
            prepared.append(batch)
        return prepared

    def prepare(self, rows: Rows, parameters: Parameters = EMPTY) -> Batch:
        """Return rows as a batch of the model's inputs: run the preprocess graph on images, the task on other rows.

        Raises:
            InvalidRequestError, InvalidTensorError, UnsupportedMediaError: the model does not take such rows.
            InferenceError: the preprocess graph cannot run on them.
            TooLargeError, BusyError: there is no memory for the tensors.
        """
        if isinstance(rows, Batch):
            return rows
        if not isinstance(rows, Images):
            if self.task is None:
                raise UnsupportedMediaError(f'model "{self.manifest.model}" takes a {self.manifest.takes()}')
            batch = self.task.prepare(rows, parameters)
            memory.take(JOINED * sum(tensor.buffer.nbytes for tensor in batch.inputs.values()))
            return batch
        from onnxlet.media import images  # few models take images

        if self.manifest.preprocess is None:
            raise InferenceError(f'model "{self.manifest.model}" has no image preprocessing')
        with memory.taken(images.graph_bytes(rows.pixels, self.manifest.preprocess)):
            inputs = self.to_inputs(rows.pixels)
        memory.take(JOINED * sum(tensor.buffer.nbytes for tensor in inputs.values()))
        return Batch(inputs, rows.rows, is_image=True, context=rows.own_sizes())

    def align(self, prepared: Sequence[Batch]) -> Sequence[Batch]:
        """Return batches in shapes that can run as one tensor, if the task can change them."""
        return prepared if self.task is None else self.task.align(prepared)

    def attempt(self, prepared: Sequence[Batch]) -> list[Outputs | OnnxletError]:
        """Return the outputs for each batch, or the error that this batch causes."""
        at_most_bytes = MAX_JOINED_BYTES if self.task is None else self.task.run_bytes
        return batches.attempt(self.manifest, self.run, prepared, at_most_bytes)

    def run_all(self, prepared: Sequence[Batch]) -> list[Outputs]:
        """Return the outputs for each batch.

        Raises:
            InvalidTensorError, InferenceError: the model cannot run on one of them.
        """
        outputs = []
        for outcome in self.attempt(prepared):
            if isinstance(outcome, OnnxletError):
                raise outcome
            outputs.append(outcome)
        return outputs

    def to_predictions(
        self,
        prepared: Sequence[Batch],
        outputs: Sequence[Outputs],
        parameters: Parameters = EMPTY,
        *,
        only_images: bool = False,
    ) -> list[Prediction]:
        """Label the rows of each batch if the model has labels, or let the task answer; raise as `predict` does."""
        predictions = list(map(Prediction, prepared, outputs))
        answered = [item for item in predictions if not only_images or self._is_payload(item.batch)]
        if self.manifest.classification is not None:
            count = min(parameters.get("top_k", DEFAULT_TOP_K), len(self.manifest.classification.labels))
            scores = self.manifest.class_output()
            _check_labels([item.outputs[scores] for item in answered], count)
            for item in answered:
                item.labels = self._label(item.outputs[scores], count)
        if self.task is not None:
            for item in answered:
                if item.batch.context is not None:  # else the client sent tensors, and gets tensors
                    deadline.check()
                    self.task.answer(item, parameters)
        return predictions

    def _is_payload(self, batch: Batch) -> bool:
        """Return whether a client sent something that only its task understands, and not tensors or a table."""
        return batch.is_image or (batch.context is not None and self.manifest.takes() != "table")

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Run the model on a tensor for each of its inputs.

        Args:
            inputs: The tensors, by name.
            outputs: The names of the requested outputs; None for all.

        Raises:
            InvalidTensorError: a name, datatype or shape that the model does not declare.
            InferenceError: ONNX Runtime failed on these tensors.
        """
        declared = {spec.name: spec for spec in self.manifest.inputs}
        _check_names("input", inputs, declared)
        for name, spec in declared.items():
            if name not in inputs:
                raise InvalidTensorError(f'input "{name}": expected {spec}, got nothing')
            tensors.check(inputs[name], spec)
        known = {spec.name: spec for spec in self.manifest.outputs}
        requested = list(known if outputs is None else dict.fromkeys(outputs))
        _check_names("output", requested, known)
        return dict(zip(requested, self.session.run(inputs, requested), strict=True))

    def to_inputs(self, pixels: Tensor) -> dict[str, Tensor]:
        """Run the preprocess graph and return the model's input.

        Args:
            pixels: UINT8 (batch, height, width, channels), any height and width.

        Raises:
            InvalidTensorError: the tensor has another form, or no pixel.
            InferenceError: the model declares no preprocessing, or images with another number of channels.
        """
        if self.preprocess is None:
            raise InferenceError(f'model "{self.manifest.model}" has no image preprocessing')
        tensors.check(pixels, IMAGES)
        (tensor,) = self.preprocess.run({PREPROCESS_INPUT: pixels}, [PREPROCESS_OUTPUT])
        return {self.manifest.inputs[0].name: tensor}

    def classify(self, output: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
        """Run the postprocess graph of a classifier and return the most probable classes.

        Args:
            output: The output `Manifest.class_output`.
            top_k: The number of classes for each row, at most all.

        Returns:
            The indices, INT64, and the probabilities, FP32: both (batch, top_k), most probable first.

        Raises:
            InferenceError: the model has no labels, or its output no row.
        """
        if self.postprocess is None or self.manifest.classification is None:
            raise InferenceError(f'model "{self.manifest.model}" has no labels')
        _require_elements(output)
        count = Tensor(DATATYPES["INT64"], (1,), memoryview(top_k.to_bytes(8, "little")))
        inputs = dict(zip(POSTPROCESS_INPUTS, (output, count), strict=True))
        indices, probabilities = self.postprocess.run(inputs, POSTPROCESS_OUTPUTS)
        return indices, probabilities

    def to_pixels(self, output: Tensor) -> Tensor:
        """Run the postprocess graph of a generator and return its images, UINT8 (batch, height, width, channels).

        Raises:
            InferenceError: the model makes no images, or its output has no pixel.
        """
        if self.postprocess is None:
            raise InferenceError(f'model "{self.manifest.model}" makes no images')
        _require_elements(output)
        (pixels,) = self.postprocess.run({PIXELS_INPUT: output}, [PIXELS_OUTPUT])
        return pixels

    def difference(self, golden: Golden) -> float:
        """Return the difference between the answer to the golden inputs and the golden outputs.

        Raises:
            InvalidTensorError, InferenceError: the model cannot run on the golden inputs.
        """
        return golden.difference(self.run(golden.inputs, [*golden.compared, *golden.random]))

    def warm_up(self) -> None:
        """Run every graph once on zeros, before the first request.

        Raises:
            InvalidTensorError, InferenceError: the model cannot run on zeros, which need not be a possible input.
        """
        declaration = self.manifest.preprocess
        if declaration is None:
            inputs = {spec.name: tensors.zeros(spec) for spec in self.manifest.inputs}
        else:
            shape = (1, declaration.height, declaration.width, declaration.channels)
            inputs = self.to_inputs(tensors.zeros(TensorSpec(PREPROCESS_INPUT, DATATYPES["UINT8"], shape)))
        outputs = self.run(inputs)
        if self.postprocess is not None and self.manifest.classification is not None:
            self.classify(outputs[self.manifest.class_output()], 1)

    def _label(self, output: Tensor, count: int) -> list[Labels]:
        """Return the `count` most probable labels of each row."""
        classification = self.manifest.classification
        assert classification is not None, "the caller has checked it"
        deadline.check()
        indices, probabilities = map(json_tensors.to_values, self.classify(output, count))
        names = [classification.labels[index] for index in indices]
        ranked = list(zip(names, probabilities, strict=True))
        return [ranked[row : row + count] for row in range(0, len(ranked), count)]


def _check_labels(outputs: Sequence[Tensor], count: int) -> None:
    """Refuse an answer with too many labels.

    Raises:
        TooLargeError: the rows of all outputs together would have more than `MAX_LABELS`.
    """
    rows = sum(output.shape[0] if output.shape else 1 for output in outputs)
    if rows * count > MAX_LABELS:
        raise TooLargeError(f"expected at most {MAX_LABELS} labels in all, got {rows} rows with {count}: lower top_k")


def _require_elements(output: Tensor) -> None:
    """Refuse an output without elements as the input of a postprocess graph.

    Raises:
        InferenceError: A dimension of it is 0.
    """
    if 0 in output.shape:
        raise InferenceError(f"expected an output of the model with at least one element, got the shape {output.shape}")


def _check_names(kind: str, names: Iterable[str], declared: Mapping[str, TensorSpec]) -> None:
    for name in names:
        if name not in declared:
            raise InvalidTensorError(f'{kind} "{name}": the model has no such {kind}, expected {", ".join(declared)}')
