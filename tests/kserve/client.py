"""KServe's REST client, asking a function as its users do; run by the Python of a venv that has kserve.

python client.py URL

Each check that passed is a line of JSON; the first that does not ends it with a traceback and exit code 1.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

VALUES = {
    "BOOL": np.array([True, False]),
    "INT8": np.array([-128, 127], np.int8),
    "INT16": np.array([-2, 3], np.int16),
    "INT32": np.array([-2, 3], np.int32),
    "INT64": np.array([-(2**62), 3], np.int64),
    "UINT8": np.array([0, 255], np.uint8),
    "UINT16": np.array([0, 3], np.uint16),
    "UINT32": np.array([0, 3], np.uint32),
    "UINT64": np.array([0, 2**63], np.uint64),
    "FP16": np.array([0.5, -2], np.float16),
    "FP32": np.array([0.1, -3e38], np.float32),
    "FP64": np.array([0.1, -1e308], np.float64),
    "BYTES": np.array(["a", "日本"], dtype=object),
}

BYTES_OF_Y = RequestedOutput("y", {"binary_data": True})


async def ask_v2(url: str) -> None:
    """Health, every datatype in both forms each way, two inputs, and errors."""
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    assert await client.is_server_live(url)
    assert await client.is_server_ready(url)
    assert await client.is_model_ready(url, "identity-fp32")
    assert not await client.is_model_ready(url, "nope")
    passed("v2 health")
    for datatype, values in VALUES.items():
        for sends_bytes in (True, False):
            if datatype == "FP16" and not sends_bytes:  # the client refuses to send it
                continue
            await comes_back(client, url, datatype, values, sends_bytes=sends_bytes, outputs=None)
            await comes_back(client, url, datatype, values, sends_bytes=sends_bytes, outputs=[BYTES_OF_Y])
    await answers_two_inputs(client, url)
    await fails("v2 unknown model", lambda: client.infer(url, {"inputs": []}, model_name="nope"), "not in the registry")
    await fails("v2 no input", lambda: client.infer(url, {"inputs": []}, model_name="sums"), "expected FP32 (batch, 3)")


async def comes_back(
    client: InferenceRESTClient,
    url: str,
    datatype: str,
    values: np.ndarray,
    *,
    sends_bytes: bool,
    outputs: list[RequestedOutput] | None,
) -> None:
    """The model that gives back what it got must give back these values."""
    tensor = InferInput("x", [len(values)], datatype)
    tensor.set_data_from_numpy(values, binary_data=sends_bytes)
    name = f"identity-{datatype.lower()}"
    request = InferRequest(model_name=name, infer_inputs=[tensor], request_outputs=outputs)
    headers: dict[str, str] = {}
    answer = await client.infer(url, request, model_name=name, response_headers=headers)
    gets_bytes = "inference-header-content-length" in headers  # the decoded output no longer tells
    found = answer.outputs[0].as_numpy()
    if datatype == "BYTES":
        found = np.array([each.decode() if isinstance(each, bytes) else each for each in found], dtype=object)
    np.testing.assert_array_equal(found, values, err_msg=f"{datatype}, bytes {sends_bytes}, {outputs}")
    assert answer.model_name == name  # it does not read the version
    assert gets_bytes == (outputs is not None or datatype == "FP16"), (datatype, headers)
    passed("v2 infer", datatype=datatype, sends_bytes=sends_bytes, gets_bytes=gets_bytes)


async def answers_two_inputs(client: InferenceRESTClient, url: str) -> None:
    """Both outputs of a model with two inputs, by name."""
    tensors = [InferInput(name, [1, 2], "INT32") for name in ("a", "b")]
    for tensor, values in zip(tensors, ([[5, 7]], [[1, 2]]), strict=True):
        tensor.set_data_from_numpy(np.array(values, np.int32), binary_data=True)
    answer = await client.infer(url, InferRequest(model_name="two", infer_inputs=tensors), model_name="two")
    found = {output.name: output.as_numpy().tolist() for output in answer.outputs}
    assert found == {"sum": [[6, 9]], "difference": [[4, 5]]}, found
    passed("v2 two inputs")


async def ask_v1(url: str) -> None:
    """Health, rows of tensors and of images, and errors."""
    client = InferenceRESTClient(RESTConfig(protocol="v1", retries=0))
    assert await client.is_server_live(url)
    assert await client.is_model_ready(url, "sums")
    passed("v1 health")
    answer = await client.infer(url, {"instances": [[1, 2, 3], [4, 5, 6]]}, model_name="sums")
    assert answer == {"predictions": [6.0, 15.0]}, answer
    passed("v1 rows")
    pixels = np.zeros((1, 28, 28, 1)).tolist()
    (scores,) = (await client.infer(url, {"instances": pixels}, model_name="digits"))["predictions"]
    np.testing.assert_allclose(scores, [0.1] * 10, rtol=1e-6)  # zeros times any weights, through a softmax
    passed("v1 digits")
    await fails("v1 unknown model", lambda: client.is_model_ready(url, "nope"), "not in the registry")
    await fails(
        "v1 wrong shape",
        lambda: client.infer(url, {"instances": [[1]]}, model_name="sums"),
        "expected FP32 (batch, 3)",
    )


def passed(check: str, **details: object) -> None:
    """Tell that a check held."""
    sys.stdout.write(json.dumps({"check": check, **details}) + "\n")


async def fails(check: str, ask: Callable[[], Awaitable[object]], words: str) -> None:
    """The client must show our error's text."""
    try:
        await ask()
    except Exception as error:  # kserve's client raises several kinds
        assert words in str(error), error
        passed(check)
    else:
        raise AssertionError(f"expected an error with {words!r}")


if __name__ == "__main__":
    for ask in (ask_v2, ask_v1):
        asyncio.run(ask(sys.argv[1]))
