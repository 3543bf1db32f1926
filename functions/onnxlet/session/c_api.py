"""The C API of ONNX Runtime's shared library.

Source: onnxruntime, `onnxruntime_c_api.h`. `OrtApi` is a table of functions to which releases only append, so the
position of each function never changes. `OrtApiBase`, which returns the table, has two members.
"""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, PYFUNCTYPE, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from typing import Any

API_VERSION = 15
"""The first version whose table has `GetResizedStringTensorElementBuffer` (onnxruntime 1.15)."""


class OrtError(Exception):
    """An error that a function of the C API returned."""


class Api:
    """The functions of the C API that a session needs.

    Functions that take long release Python's interpreter lock while they run. The others keep it, because releasing it
    would take longer than the call. All functions but those that release objects raise OrtError.
    """

    def __init__(self, path: str) -> None:
        """Load the library.

        Raises:
            OSError: the library cannot be loaded.
            OrtError: the library does not have this version of the C API.
        """
        get_base = ctypes.PyDLL(path).OrtGetApiBase
        get_base.restype = c_void_p
        base = get_base()
        self.version: str = PYFUNCTYPE(c_char_p)(_member(base, 1))().decode()
        table = PYFUNCTYPE(c_void_p, c_uint32)(_member(base, 0))(API_VERSION)
        if table is None:
            raise OrtError(f"onnxruntime {self.version} has no version {API_VERSION} of the C API")

        def quick(position: int, *arguments: Any) -> Any:
            return checked(PYFUNCTYPE(c_void_p, *arguments)(_member(table, position)))

        def slow(position: int, *arguments: Any) -> Any:
            return checked(CFUNCTYPE(c_void_p, *arguments)(_member(table, position)))

        def checked(function: Any) -> Any:
            function.errcheck = check
            return function

        def check(status: int | None, *_call: object) -> None:
            if status is not None:
                message = error_message(status).decode("utf-8", "replace")
                release_status(status)
                raise OrtError(message)

        error_message = PYFUNCTYPE(c_char_p, c_void_p)(_member(table, 2))
        release_status = PYFUNCTYPE(None, c_void_p)(_member(table, 93))
        pointer, count, size = c_void_p, c_size_t, c_size_t  # the names of the header's types
        text, enumeration = c_char_p, c_int

        self.create_env = slow(3, enumeration, text, pointer)
        self.create_session_from_array = slow(8, pointer, pointer, size, pointer, pointer)
        self.run = slow(9, pointer, pointer, pointer, pointer, count, pointer, count, pointer)
        self.create_session_options = quick(10, pointer)
        self.set_graph_optimization_level = quick(23, pointer, enumeration)
        self.set_intra_op_threads = quick(24, pointer, c_int)
        self.set_inter_op_threads = quick(25, pointer, c_int)
        self.add_session_config_entry = quick(130, pointer, text, text)
        self.create_run_options = quick(39, pointer)
        self.set_terminate = quick(46, pointer)
        self.create_cpu_memory_info = quick(69, enumeration, enumeration, pointer)
        self.default_allocator = quick(78, pointer)
        self.create_tensor = quick(48, pointer, pointer, count, enumeration, pointer)
        self.create_tensor_with_data = quick(49, pointer, pointer, size, pointer, count, enumeration, pointer)
        self.tensor_data = quick(51, pointer, pointer)
        self.type_and_shape = quick(65, pointer, pointer)
        self.element_type = quick(60, pointer, pointer)
        self.dimensions_count = quick(61, pointer, pointer)
        self.dimensions = quick(62, pointer, pointer, count)
        self.string_data_bytes = quick(53, pointer, pointer)
        self.string_content = quick(54, pointer, pointer, size, pointer, count)
        self.resized_string_element = quick(252, pointer, count, size, pointer)
        self.release_session = CFUNCTYPE(None, c_void_p)(_member(table, 95))
        self.release_value = PYFUNCTYPE(None, c_void_p)(_member(table, 96))
        self.release_run_options = PYFUNCTYPE(None, c_void_p)(_member(table, 97))
        self.release_type_and_shape = PYFUNCTYPE(None, c_void_p)(_member(table, 99))
        self.release_session_options = PYFUNCTYPE(None, c_void_p)(_member(table, 100))


def _member(table: int, position: int) -> int:
    """Return the address of a function in a table of functions."""
    address = c_void_p.from_address(table + position * ctypes.sizeof(c_void_p)).value
    assert address is not None, "the table is this long"
    return address
