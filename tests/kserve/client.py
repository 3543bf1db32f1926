"""KServe's REST client, asking a function as its users do; run by the Python of a venv that has kserve.

python client.py URL
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

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


async def ask_v2(url: str) -> None:
    """Health, every datatype in both forms, and an error."""
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    assert await client.is_server_live(url)
    assert await client.is_server_ready(url)
    assert await client.is_model_ready(url, "identity-fp32")
    for datatype, values in VALUES.items():
        for is_binary in (True, False):
            if datatype == "FP16" and not is_binary:  # the client refuses to send it
                continue
            tensor = InferInput("x", [len(values)], datatype)
            tensor.set_data_from_numpy(values, binary_data=is_binary)
            name = f"identity-{datatype.lower()}"
            answer = await client.infer(url, InferRequest(model_name=name, infer_inputs=[tensor]), model_name=name)
            found = answer.outputs[0].as_numpy()
            if datatype == "BYTES":
                found = np.array([each.decode() if isinstance(each, bytes) else each for each in found], dtype=object)
            np.testing.assert_array_equal(found, values, err_msg=f"{datatype}, binary {is_binary}")
            assert answer.model_name == name  # it does not read the version
    await fails(lambda: client.infer(url, {"inputs": []}, model_name="nope"), "not in the registry")


async def ask_v1(url: str) -> None:
    """Health, rows, and an error."""
    client = InferenceRESTClient(RESTConfig(protocol="v1", retries=0))
    assert await client.is_server_live(url)
    assert await client.is_model_ready(url, "sums")
    answer = await client.infer(url, {"instances": [[1, 2, 3], [4, 5, 6]]}, model_name="sums")
    assert answer == {"predictions": [6.0, 15.0]}, answer
    await fails(lambda: client.infer(url, {"instances": [[1]]}, model_name="sums"), "expected FP32 (batch, 3)")


async def fails(ask: Callable[[], Awaitable[object]], words: str) -> None:
    """The client must show our error's text."""
    try:
        await ask()
    except Exception as error:  # kserve's client raises several kinds
        assert words in str(error), error
    else:
        raise AssertionError(f"expected an error with {words!r}")


if __name__ == "__main__":
    for ask in (ask_v2, ask_v1):
        asyncio.run(ask(sys.argv[1]))
