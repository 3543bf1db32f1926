"""WAV files of every form, and small models of sounds, for the tests."""

import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnxlet.contract.declarations import Classification
from onnxlet.contract.tasks.sounds import AudioClassification, SpeechRecognition, VoiceActivity
from onnxlet_publishing.candidate import Candidate
from tests.helpers import graphs

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE

GUID_REST = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the code of the format in the GUID of an extensible format."""


def wav(
    kind: int,
    channels: int,
    rate: int,
    bits: int,
    data: bytes,
    *,
    before: Sequence[tuple[bytes, bytes]] = (),
    data_size: int | None = None,
    format_bytes: int | None = None,
    extension: bytes = b"",
) -> bytes:
    """A WAV file of these bytes, perhaps with chunks before its data, or with sizes that are wrong."""
    frame_bytes = channels * bits // 8
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * frame_bytes, frame_bytes, bits) + extension
    form = form[:format_bytes]
    body = b"WAVE" + _chunk(b"fmt ", form)
    body += b"".join(_chunk(name, content) for name, content in before)
    body += b"data" + struct.pack("<I", len(data) if data_size is None else data_size) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def wav_of(
    samples: npt.NDArray[Any], rate: int, kind: int = PCM, bits: int = 16, *, is_extensible: bool = False
) -> bytes:
    """A WAV file of samples from -1 to 1, (frames,) or (frames, channels)."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    data = _floats(samples, bits) if kind == FLOAT else _integers(samples, bits)
    if not is_extensible:
        return wav(kind, channels, rate, bits, data)
    extension = struct.pack("<HHIH", 22, bits, 0, kind) + GUID_REST
    return wav(EXTENSIBLE, channels, rate, bits, data, extension=extension)


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _floats(samples: npt.NDArray[Any], bits: int) -> bytes:
    return bytes(samples.astype(f"<f{bits // 8}"))


def _integers(samples: npt.NDArray[Any], bits: int) -> bytes:
    limit = 2 ** (bits - 1)
    numbers = np.clip(np.round(samples.astype(np.float64) * limit), -limit, limit - 1).astype(np.int64)
    if bits == 8:
        return bytes((numbers + 128).astype(np.uint8))
    return bytes(numbers.reshape(-1).view(np.uint8).reshape(-1, 8)[:, : bits // 8].tobytes())


def window_model(version: int, *, has_rate: bool = True) -> onnx.ModelProto:
    """A model of one window with the tensors of silero-vad's version 5 or 4, which knows no speech.

    Its state is the mean of all samples so far, and its probability depends on the state, the window and the rate.
    """
    names, size = ([("state", "stateN")], 128) if version == 5 else ([("h", "hn"), ("c", "cn")], 64)
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, None])]
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, 1])]
    nodes = [
        helper.make_node("Mul", ["input", "input"], ["power"]),
        helper.make_node("ReduceMean", ["power"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Identity", ["mean"], ["total0"]),
    ]
    if has_rate:
        nodes += [
            helper.make_node("Cast", ["sr"], ["rate"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["total0", "rate"], ["a_little"]),
            helper.make_node("Sub", ["mean", "a_little"], ["total0_"]),
        ]
    total = "total0_" if has_rate else "total0"
    for number, (before, after) in enumerate(names, 1):
        inputs.append(helper.make_tensor_value_info(before, TensorProto.FLOAT, [2, None, size]))
        outputs.append(helper.make_tensor_value_info(after, TensorProto.FLOAT, [None, None, None]))
        nodes += [
            helper.make_node("Add", [before, "mean"], [f"added{number}"]),
            helper.make_node("Mul", [f"added{number}", "half"], [after]),
            helper.make_node("ReduceMean", [after], [f"mean{number}"], axes=[0, 2], keepdims=0),
            helper.make_node("Reshape", [f"mean{number}", "column"], [f"column{number}"]),
            helper.make_node("Add", [total, f"column{number}"], [f"sum{number}"]),
        ]
        total = f"sum{number}"
    nodes.append(helper.make_node("Sigmoid", [total], ["output"]))
    if has_rate:
        inputs.append(helper.make_tensor_value_info("sr", TensorProto.INT64, []))
    initializers = [
        numpy_helper.from_array(np.array(0.5, np.float32), "half"),
        numpy_helper.from_array(np.array([-1, 1], np.int64), "column"),
    ]
    graph = helper.make_graph(nodes, "window", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)


LABELS = ("quiet", "loud")
RATE = 16_000


def loudness_candidate(name: str = "loudness", length: int | None = None, *, normalizes: bool = False) -> Candidate:
    """The mean power of a sound at 16 kHz as the probability of the second label."""
    size: int | str = "samples" if length is None else length
    model = graphs.model(
        [
            helper.make_node("Mul", ["x", "x"], ["power"]),
            helper.make_node("ReduceMean", ["power", "last"], ["loud"], keepdims=1),
            helper.make_node("Sub", ["one", "loud"], ["quiet"]),
            helper.make_node("Concat", ["quiet", "loud"], ["y"], axis=1),
        ],
        [("x", TensorProto.FLOAT, ["batch", size])],
        [("y", TensorProto.FLOAT, ["batch", 2])],
        {"last": np.array([1], np.int64), "one": np.array(1, np.float32)},
    )
    most = None if length is not None else 2 * RATE
    return Candidate(
        name,
        graphs.to_file(model),
        "test",
        classification=Classification(LABELS, "none"),
        task=AudioClassification("audio-classification", RATE, length, most, normalizes),
    )


VOCABULARY = ("<pad>", "|", "h", "e", "l", "o")
"""The characters of `spelling_candidate`; the first one is blank."""


def spelling_candidate(name: str = "spelling") -> Candidate:
    """Return a model that hears a character in each sample: the tenth part of its place in the vocabulary."""
    nodes = [
        helper.make_node("Mul", ["samples", "ten"], ["tens"]),
        helper.make_node("Round", ["tens"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["places"], to=TensorProto.INT64),
        helper.make_node("OneHot", ["places", "depth", "values"], ["logits"]),
    ]
    weights = {"ten": np.float32(10), "depth": np.int64(len(VOCABULARY)), "values": np.array([0, 1], np.float32)}
    proto = graphs.model(
        nodes,
        [("samples", TensorProto.FLOAT, ["batch", "n"])],
        [("logits", TensorProto.FLOAT, ["batch", "n", len(VOCABULARY)])],
        {key: np.asarray(value) for key, value in weights.items()},
    )
    task = SpeechRecognition("automatic-speech-recognition", RATE, output="logits", vocabulary=VOCABULARY)
    return replace(graphs.candidate(name, proto), task=task)


def spelled(characters: str) -> bytes:
    """Return a WAV file in which `spelling_candidate` hears characters; an underscore stands for a blank."""
    places = [0 if character == "_" else VOCABULARY.index(character) for character in characters]
    return wav_of(np.array(places) / 10, RATE, bits=24)


def speech_candidate(name: str = "speech", window: int = 512) -> Candidate:
    """A model that takes a loud window for speech: its probability is twice the mean of what the samples' sizes are."""
    model = graphs.model(
        [
            helper.make_node("Shape", ["x"], ["count"], start=1),
            helper.make_node("Neg", ["count"], ["negative"]),
            helper.make_node("Mod", ["negative", "window"], ["missing"]),
            helper.make_node("Concat", ["zeros", "missing"], ["pads"], axis=0),
            helper.make_node("Pad", ["x", "pads"], ["padded"]),
            helper.make_node("Reshape", ["padded", "shape"], ["windows"]),
            helper.make_node("Abs", ["windows"], ["sizes"]),
            helper.make_node("ReduceMean", ["sizes", "last"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "two"], ["y"]),
        ],
        [("x", TensorProto.FLOAT, ["batch", "samples"])],
        [("y", TensorProto.FLOAT, ["batch", "windows"])],
        {
            "window": np.array([window], np.int64),
            "zeros": np.zeros(3, np.int64),
            "shape": np.array([0, -1, window], np.int64),
            "last": np.array([2], np.int64),
            "two": np.array(2, np.float32),
        },
    )
    declaration = VoiceActivity("voice-activity-detection", RATE, output="y", window=window)
    return Candidate(name, graphs.to_file(model), "test", task=declaration)
