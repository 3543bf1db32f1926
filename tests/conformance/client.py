"""The client: tensors to a V2 request and an answer to tensors, by numpy and json alone and by nothing of ours."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Arrays = dict[str, Array]

HEADER_LENGTH = "Inference-Header-Content-Length"
TIMEOUT_S = 60
NAMES = {
    "bool": "BOOL",
    **{f"uint{bits}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
    **{f"int{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"FP{bits}" for bits in (16, 32, 64)},
    "object": "BYTES",
}
"""The protocol's datatypes, by numpy's."""

DTYPES = {name: np.dtype(dtype) for dtype, name in NAMES.items()}
ELEMENTS = {"b": bool, "u": int, "i": int, "f": float, "O": str}
"""What JSON has for each kind of numpy's dtypes."""


class AnswerError(Exception):
    """No answer, an error, or one that is not of the protocol's form."""


def ask_in_binary(url: str, model: str, inputs: Arrays) -> Arrays:
    """Send all inputs as bytes and get all outputs as bytes.

    Raises:
        AnswerError: no outputs came back.
    """
    buffers = [_to_bytes(array) for array in inputs.values()]
    items = [
        {**_to_item(name, array), "parameters": {"binary_data_size": len(buffer)}}
        for (name, array), buffer in zip(inputs.items(), buffers, strict=True)
    ]
    header = json.dumps({"inputs": items, "parameters": {"binary_data_output": True}}).encode()
    headers, body = _post(url, model, b"".join([header, *buffers]), {HEADER_LENGTH: str(len(header))})
    split = int(headers[HEADER_LENGTH] or len(body))
    answers, offset = {}, split
    for item in json.loads(body[:split])["outputs"]:
        end = offset + item["parameters"]["binary_data_size"]
        answers[item["name"]] = _from_bytes(item, body[offset:end])
        offset = end
    if offset != len(body):
        raise AnswerError(f"{len(body) - offset} bytes beyond the outputs")
    return answers


def ask_in_json(url: str, model: str, inputs: Arrays) -> Arrays:
    """Send all inputs as JSON and get all outputs as JSON, where null stands for what is not finite: NaN here.

    Raises:
        AnswerError: no outputs came back.
    """
    items = [{**_to_item(name, array), "data": array.ravel().tolist()} for name, array in inputs.items()]
    _, body = _post(url, model, json.dumps({"inputs": items}, allow_nan=False).encode(), {})
    return {item["name"]: _from_values(item) for item in json.loads(body, parse_constant=_refuse)["outputs"]}


def _post(url: str, model: str, body: bytes, headers: dict[str, str]) -> tuple[http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_S)
    try:
        connection.request("POST", f"/v2/models/{model}/infer", body, headers)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise AnswerError(f"no answer: {error!r}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise AnswerError(f"{response.status} {answer[:500].decode(errors='replace')}")
    return response.headers, answer


def _to_item(name: str, array: Array) -> dict[str, Any]:
    return {"name": name, "datatype": NAMES[array.dtype.name], "shape": list(array.shape)}


def _to_bytes(array: Array) -> bytes:
    if array.dtype.kind != "O":
        return array.tobytes()
    elements = [str(element).encode() for element in array.flat]
    return b"".join(len(element).to_bytes(4, "little") + element for element in elements)


def _from_bytes(item: dict[str, Any], data: bytes) -> Array:
    dtype = DTYPES[item["datatype"]]
    if dtype.kind != "O":
        return np.frombuffer(data, dtype).reshape(item["shape"])
    elements, start = [], 0
    while start < len(data):
        end = start + 4 + int.from_bytes(data[start : start + 4], "little")
        elements.append(data[start + 4 : end].decode())
        start = end
    return np.array(elements, dtype).reshape(item["shape"])


def _from_values(item: dict[str, Any]) -> Array:
    dtype, values = DTYPES[item["datatype"]], item["data"]
    if dtype.kind == "f":
        values = [np.nan if value is None else value for value in values]
    if not all(type(value) is ELEMENTS[dtype.kind] for value in values):
        raise AnswerError(f"{item['name']}: not all values are {ELEMENTS[dtype.kind].__name__}: {str(values)[:80]}")
    return np.array(values, dtype).reshape(item["shape"])


def _refuse(constant: str) -> float:
    raise AnswerError(f"{constant} is no JSON")
