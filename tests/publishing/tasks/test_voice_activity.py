"""Models of one window become graphs for sounds, compared with a loop over the windows."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper

from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.session import open_session
from onnxlet_publishing.graphs import to_tensor
from onnxlet_publishing.tasks.voice_activity import PROBABILITIES, SAMPLES, WINDOW, find_window_model, over_windows
from tests.helpers.sounds import window_model

if TYPE_CHECKING:
    from onnxlet.session import Session

Array = npt.NDArray[np.float32]

VERSIONS = [5, 4]


def array(tensor: Tensor) -> Array:
    return np.frombuffer(tensor.buffer, np.float32).reshape(tensor.shape)


def by_loop(session: "Session", sound: Array, version: int, *, has_rate: bool) -> list[float]:
    """The probabilities of one sound, window by window, as silero-vad's own wrapper runs its models."""
    names = {"state": "stateN"} if version == 5 else {"h": "hn", "c": "cn"}
    size, context = (128, np.zeros(64, np.float32)) if version == 5 else (64, np.zeros(0, np.float32))
    states = {name: to_tensor(np.zeros((2, 1, size), np.float32)) for name in names}
    rate = {"sr": Tensor(DATATYPES["INT64"], (), memoryview((16_000).to_bytes(8, "little")))} if has_rate else {}
    padded = np.pad(sound, (0, -len(sound) % WINDOW))
    probabilities = []
    for start in range(0, len(padded), WINDOW):
        window = np.concatenate([context, padded[start : start + WINDOW]])
        probability, *last = session.run(
            {"input": to_tensor(window[None]), **states, **rate}, ["output", *names.values()]
        )
        states = dict(zip(names, last, strict=True))
        context = window[len(window) - len(context) :]
        probabilities.append(float(array(probability)[0, 0]))
    return probabilities


def run(model: onnx.ModelProto, sounds: Array) -> Array:
    (tensor,) = open_session(model.SerializeToString()).run({SAMPLES: to_tensor(sounds)}, [PROBABILITIES])
    return array(tensor)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("has_rate", [True, False])
@pytest.mark.parametrize("count", [1, WINDOW, 3 * WINDOW + 17])
def test_the_graph_gives_what_a_loop_over_the_windows_gives(version: int, has_rate: bool, count: int) -> None:
    model = window_model(version, has_rate=has_rate)
    form = find_window_model(model)
    assert form is not None
    sounds = np.random.default_rng(count).normal(size=(2, count)).astype(np.float32)
    whole = over_windows(model, form)
    onnx.checker.check_model(whole)
    found = run(whole, sounds)
    session = open_session(model.SerializeToString())
    expected = [by_loop(session, sound, version, has_rate=has_rate) for sound in sounds]
    assert found.shape == (2, -(-count // WINDOW))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert len(set(map(float, found[0]))) == found.shape[1]


def test_silence_after_a_sound_does_not_change_its_probabilities() -> None:
    model = window_model(5)
    form = find_window_model(model)
    assert form is not None
    sound = np.random.default_rng(0).normal(size=(1, 2 * WINDOW - 5)).astype(np.float32)
    whole = over_windows(model, form)
    longer = run(whole, np.pad(sound, ((0, 0), (0, 5000))))
    np.testing.assert_allclose(longer[:, :2], run(whole, sound), atol=1e-6)


def test_other_models_are_not_of_this_kind() -> None:
    other_size = window_model(5)
    other_size.graph.input[1].type.tensor_type.shape.dim[2].dim_value = 64
    other_name = window_model(5)
    other_name.graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]))
    fixed = window_model(5)
    fixed.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 100
    assert [find_window_model(model) for model in (other_size, other_name, fixed)] == [None] * 3


def test_a_model_of_an_opset_without_the_operators_forms_is_another_model() -> None:
    model = window_model(5)
    assert find_window_model(model) is not None
    model.opset_import[0].version = 12
    assert find_window_model(model) is None
