"""The native engine: ONNX Runtime through its C API, with tensors as plain buffers and without numpy."""

from __future__ import annotations

import ctypes
import threading
from ctypes import byref, c_char, c_char_p, c_int, c_int64, c_size_t, c_void_p, py_object
from functools import cache, lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

from onnxlet.contract.tensors import BY_ONNX, Tensor, pack_strings, require_few_strings, unpack_strings
from onnxlet.errors import ArtifactError, InferenceError
from onnxlet.limits import deadline
from onnxlet.session import library
from onnxlet.session.c_api import Api, OrtError
from onnxlet.session.options import ALIGNMENT_BYTES, LOGGED_SEVERITY, session_config
from onnxlet.session.watchdog import Watched

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NO_OPTIMIZATION = 0
ARENA_ALLOCATOR = 1
DEFAULT_MEMORY = 0
"""Values of the header's `GraphOptimizationLevel`, `OrtAllocatorType` and `OrtMemType`."""

MAX_REASON_CHARACTERS = 500

STRINGS_BETWEEN_CHECKS = 10_000
"""The strings that are copied one by one between two checks of the deadline: about 10 ms."""

MAX_REMEMBERED = 256
"""The combinations of names that are kept as C strings: clients choose which outputs they request."""


class Session:
    """One loaded ONNX graph; see `onnxlet.session`."""

    def __init__(self, data: bytes | memoryview, threads: int = 1, *, is_ort: bool = False) -> None:
        """Load a graph; see `onnxlet.session.open_session`."""
        self._runtime = runtime()
        self._data = memoryview(data) if is_ort else None  # the weights are used in these bytes
        self._handle = c_void_p()
        api, options = self._runtime.api, c_void_p()
        try:
            api.create_session_options(byref(options))
            api.set_intra_op_threads(options, threads)
            api.set_inter_op_threads(options, 1)
            if is_ort:
                api.set_graph_optimization_level(options, NO_OPTIMIZATION)
            for key, value in session_config(is_ort=is_ort, in_place=True).items():
                api.add_session_config_entry(options, key.encode(), value.encode())
            buffer = memoryview(data)
            where = _address(buffer), buffer.nbytes
            api.create_session_from_array(self._runtime.environment, *where, options, byref(self._handle))
        except OrtError as error:
            raise ArtifactError(f"onnxruntime {api.version} cannot load the graph: {_reason(error)}") from error
        finally:
            api.release_session_options(options)

    def __del__(self) -> None:
        """Release the session, which no thread runs any more."""
        if self._handle:
            self._runtime.api.release_session(self._handle)

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> list[Tensor]:
        """Run the graph; see `onnxlet.session.Session`."""
        runtime = self._runtime
        results = (c_void_p * len(outputs))()
        deadline.check()
        try:
            options = _RunOptions(runtime.api) if deadline.is_set() else None
            values = [_to_value(runtime, tensor) for tensor in inputs.values()]
            with Watched(None if options is None else options.stop):
                runtime.api.run(
                    self._handle,
                    None if options is None else options.handle,
                    _names(tuple(inputs)),
                    (c_void_p * len(values))(*(value.handle for value in values)),
                    len(values),
                    _names(tuple(outputs)),
                    len(outputs),
                    results,
                )
            output_values = [_Value(runtime.api, handle) for handle in results]
            return [_to_tensor(name, value) for name, value in zip(outputs, output_values, strict=True)]
        except OrtError as error:
            deadline.check()
            raise InferenceError(f"the model cannot run on these tensors: {_reason(error)}") from error


def prepare() -> None:
    """Load the library; see `onnxlet.session.prepare`."""
    runtime()


class _Runtime:
    """The library with the environment that all sessions share."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.environment, self.memory, self.allocator = c_void_p(), c_void_p(), c_void_p()
        api.create_env(LOGGED_SEVERITY, b"onnxlet", byref(self.environment))
        api.create_cpu_memory_info(ARENA_ALLOCATOR, DEFAULT_MEMORY, byref(self.memory))
        api.default_allocator(byref(self.allocator))


def runtime() -> _Runtime:
    """Return the library with what all sessions share; load it at the first call.

    Raises:
        ArtifactError: the library cannot be loaded.
    """
    with _loading:
        return _load()


_loading = threading.Lock()


@cache
def _load() -> _Runtime:
    path = library.find()
    assert path is not None, "`onnxlet.session` has found the library"
    try:
        return _Runtime(Api(path))
    except (OSError, OrtError) as error:
        raise ArtifactError(f"{path}: expected ONNX Runtime's library, got: {_reason(error)}") from error


class _Value:
    """An OrtValue, released with the last reference to it."""

    __slots__ = ("api", "handle")

    def __init__(self, api: Api, handle: int | None) -> None:
        self.api = api
        self.handle = handle

    def __del__(self) -> None:
        self.api.release_value(self.handle)


class _RunOptions:
    """OrtRunOptions, by which another thread can end a run; released with the last reference to it."""

    __slots__ = ("api", "handle")

    def __init__(self, api: Api) -> None:
        self.api = api
        self.handle = c_void_p()
        api.create_run_options(byref(self.handle))

    def __del__(self) -> None:
        self.api.release_run_options(self.handle)

    def stop(self) -> None:
        """End the run before its next node."""
        self.api.set_terminate(self.handle)


class _Buffer(ctypes.Structure):
    """CPython's `Py_buffer` (C API reference, "Buffer Protocol"), the only way to the address of a read-only buffer."""

    _fields_ = (
        ("address", c_void_p),
        ("object", c_void_p),
        ("length", ctypes.c_ssize_t),
        ("item_size", ctypes.c_ssize_t),
        ("is_readonly", c_int),
        ("dimensions", c_int),
        ("format", c_char_p),
        ("shape", c_void_p),
        ("strides", c_void_p),
        ("suboffsets", c_void_p),
        ("internal", c_void_p),
    )


_get_buffer = ctypes.PYFUNCTYPE(c_int, py_object, c_void_p, c_int)(("PyObject_GetBuffer", ctypes.pythonapi))
_release_buffer = ctypes.PYFUNCTYPE(None, c_void_p)(("PyBuffer_Release", ctypes.pythonapi))


def _address(buffer: memoryview) -> int:
    """Return the address of a contiguous buffer, which is valid while the buffer exists."""
    view = _Buffer()
    _get_buffer(buffer, byref(view), 0)
    _release_buffer(byref(view))  # the memory view itself keeps the bytes in place
    return view.address or 0


@lru_cache(MAX_REMEMBERED)
def _names(names: tuple[str, ...]) -> Any:
    """Return names as an array of C strings."""
    return (c_char_p * len(names))(*(name.encode() for name in names))


def _to_value(runtime: _Runtime, tensor: Tensor) -> _Value:
    """Return a tensor as an OrtValue: over the tensor's own bytes if they are aligned, else over a copy."""
    api, handle = runtime.api, c_void_p()
    rank = len(tensor.shape)
    shape = (c_int64 * rank)(*tensor.shape)
    kind, buffer = tensor.datatype.onnx, tensor.buffer
    if tensor.datatype.size_bytes:
        address = _address(buffer)
        if address % ALIGNMENT_BYTES == 0:
            api.create_tensor_with_data(runtime.memory, address, buffer.nbytes, shape, rank, kind, byref(handle))
            return _Value(api, handle.value)
    api.create_tensor(runtime.allocator, shape, rank, kind, byref(handle))
    value, data = _Value(api, handle.value), c_void_p()
    if tensor.datatype.size_bytes:
        api.tensor_data(value.handle, byref(data))
        ctypes.memmove(data, address, buffer.nbytes)
        return value
    for index, element in enumerate(unpack_strings(buffer)):
        if index % STRINGS_BETWEEN_CHECKS == 0:
            deadline.check()
        api.resized_string_element(value.handle, index, len(element), byref(data))
        ctypes.memmove(data, element, len(element))
    return value


def _to_tensor(name: str, value: _Value) -> Tensor:
    """Return an output as a tensor over ONNX Runtime's memory, which is released with the tensor's buffer."""
    api = value.api
    kind, shape = _type_and_shape(value)
    datatype = BY_ONNX.get(kind)
    if datatype is None:
        raise InferenceError(f'output "{name}": ONNX\'s datatype {kind} is not a datatype of the V2 protocol')
    count = prod(shape)
    if not datatype.size_bytes:
        return Tensor(datatype, shape, _strings(value, count))
    address = c_void_p()
    api.tensor_data(value.handle, byref(address))
    size_bytes = count * datatype.size_bytes
    if not size_bytes or address.value is None:
        return Tensor(datatype, shape, memoryview(b""))
    data: Any = (c_char * size_bytes).from_address(address.value)
    data.owner = value
    return Tensor(datatype, shape, memoryview(data).cast("B"))


def _type_and_shape(value: _Value) -> tuple[int, tuple[int, ...]]:
    api, info = value.api, c_void_p()
    api.type_and_shape(value.handle, byref(info))
    try:
        kind, rank = c_int(), c_size_t()
        api.element_type(info, byref(kind))
        api.dimensions_count(info, byref(rank))
        sizes = (c_int64 * rank.value)()
        api.dimensions(info, sizes, rank)
        return kind.value, tuple(sizes)
    finally:
        api.release_type_and_shape(info)


def _strings(value: _Value, count: int) -> memoryview:
    """Return the binary form of a tensor of strings."""
    require_few_strings(count)
    size_bytes = c_size_t()
    value.api.string_data_bytes(value.handle, byref(size_bytes))
    content = ctypes.create_string_buffer(size_bytes.value)
    starts = (c_size_t * count)()
    value.api.string_content(value.handle, content, size_bytes, starts, count)
    ends = [*starts[1:], size_bytes.value]
    whole = content.raw  # each use of this attribute copies all of it
    deadline.check()
    return pack_strings(whole[start:end] for start, end in zip(starts, ends, strict=False))


def _reason(error: Exception) -> str:
    """Return ONNX Runtime's message in one line."""
    return " ".join(str(error).split())[:MAX_REASON_CHARACTERS]
