"""The program that proof.py runs in a clean interpreter of the target: the package's `main.aws_http` answers events.

Run as `python -I -S -B asked.py RESULT FOLDER...`, with the events as a JSON list on standard input. The folders come
first on `sys.path`, and our own code is imported only from there.
"""

import importlib
import json
import sys
import sysconfig
import time
from pathlib import Path
from types import ModuleType


def answer(folders: list[str], events: list[object]) -> dict[str, object]:
    """Return the functions' results, and the modules that were imported for them."""
    before = set(sys.modules)
    sys.path[:0] = folders
    started = time.perf_counter()
    functions = importlib.import_module("main")
    init_s = time.perf_counter() - started
    results = [functions.aws_http(event, None) for event in events]
    modules = [module for name, module in sorted(sys.modules.items()) if name not in before]
    packaged = [module for module in modules if is_within(module, folders)]
    return {
        "results": results,
        "init_s": init_s,
        "engine": "python" if "onnxruntime" in sys.modules else "c",
        "from_source": [module.__name__ for module in packaged if is_source(module)],
        "foreign": [module.__name__ for module in modules if module not in packaged and is_foreign(module)],
    }


def is_within(module: ModuleType, folders: list[str]) -> bool:
    """Return whether a module was loaded from one of the folders."""
    file = module_file(module)
    return file is not None and any(file.is_relative_to(folder) for folder in folders)


def is_foreign(module: ModuleType) -> bool:
    """Return whether a module from outside the package is not of the standard library either."""
    file = module_file(module)
    library = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    is_standard = file is None or any(file.is_relative_to(folder) for folder in library)
    return not is_standard or "site-packages" in str(file)


def is_source(module: ModuleType) -> bool:
    """Return whether a module was compiled on import, because it had no bytecode."""
    file = module_file(module)
    cached = getattr(module, "__cached__", None) or getattr(module.__spec__, "cached", None)
    return file is not None and file.suffix == ".py" and not (cached and Path(cached).exists())


def module_file(module: ModuleType) -> Path | None:
    """Return the file of a module; None for a built-in one."""
    file = getattr(module, "__file__", None)
    return None if file is None else Path(file)


if __name__ == "__main__":
    document = answer(sys.argv[2:], json.load(sys.stdin))
    Path(sys.argv[1]).write_text(json.dumps(document))  # not printed: the functions log to the output
