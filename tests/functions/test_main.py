import os
import site
import subprocess
import sys
from pathlib import Path

import onnxlet
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_publishing.publish import publish
from tests.helpers import graphs

FUNCTIONS = Path(onnxlet.__file__).parents[1]
HEAVY = (
    "boto3",
    "flask",
    "keras",
    "tensorflow",
    "torch",
    "onnx",
    "pydantic",
    "PIL",
    "onnxlet_training",
    "onnxlet_cli",
    "numpy",
    "onnxruntime",
)


def import_main(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import main"],
        cwd=FUNCTIONS,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def imported(done: subprocess.CompletedProcess[str]) -> set[str]:
    assert done.returncode == 0, done.stderr
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}


MODULES = {
    "clouds": {"aws_http", "gcp_http"},
    "contract": {
        *("alias", "artifact", "blob", "canonical_json", "declarations", "document", "generation", "golden", "hashing"),
        *("json_tensors", "layout", "light_orjson", "manifest", "tensors"),
    },
    "errors": set(),
    "http": set(),
    "limits": {"deadline", "memory"},
    "models": {"batches", "cache", "loading", "model", "served_alias", "traffic", "trust"},
    "notices": set(),
    "observe": {"log", "metrics", "model_statistics", "trace"},
    "record": set(),
    "registry": {"artifacts", "prefetch", "reader"},
    "service": set(),
    "session": {"library"},
    "settings": {"parsers"},
    "storage": {"allowed_objects", "backends", "connection", "reader", "store", "urls"},
    "tasks": {"rows"},
    "web": {"app", "endpoints", "error_responses", "exchange", "inference", "routes"},
}
"""The modules of onnxlet that `import main` imports, by package. Each one more makes every cold start longer."""


NEEDLESS = {
    *("dataclasses", "inspect", "uuid", "platform", "ipaddress"),
    *("logging", "traceback", "linecache", "tokenize", "textwrap", "string", "weakref"),
    *("hashlib", "_hashlib", "html", "urllib", "zlib", "ctypes"),
}
"""Modules of the standard library without which the function can send its first request to the store."""


def import_main_lean(registry: str = "memory://import") -> list[str]:
    """Return the modules that `import main` imports, without those that the interpreter's own start imports."""
    program = "import sys; before = {*sys.modules}; import main; print(*sorted({*sys.modules} - before), sep='\\n')"
    environment = {"ONNXLET_REGISTRY": registry, "PYTHONPATH": os.pathsep.join(site.getsitepackages())}
    command = [sys.executable, "-S", "-c", program]  # -S: no start-up files of other installed packages
    done = subprocess.run(command, cwd=FUNCTIONS, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_importing_main_imports_what_the_first_answer_needs_and_nothing_else() -> None:
    modules = import_main_lean()
    expected = {f"onnxlet.{package}" for package in MODULES}
    expected |= {f"onnxlet.{package}.{module}" for package, modules in MODULES.items() for module in modules}
    assert {module for module in modules if module.startswith("onnxlet.")} == expected


def test_importing_main_imports_nothing_heavy() -> None:
    modules = imported(import_main(ONNXLET_REGISTRY="memory://import"))
    assert "onnxlet" in modules
    assert modules.isdisjoint(HEAVY)
    assert "concurrent" not in modules, "only functions for objects need it"


def test_importing_main_imports_no_module_that_the_first_request_to_the_store_can_do_without() -> None:
    modules = {*import_main_lean("s3://models/registry")}
    assert "orjson" in modules
    assert modules.isdisjoint(NEEDLESS)


def test_loading_and_running_a_model_imports_nothing_heavy_either(tmp_path: Path) -> None:
    registry = Registry(open_store(tmp_path.as_uri()))
    publish(registry, graphs.candidate("sums", graphs.sums()))
    done = import_main(ONNXLET_REGISTRY=tmp_path.as_uri(), ONNXLET_MODEL="sums", AWS_LAMBDA_RUNTIME_API="host")
    modules = imported(done)
    assert "_ctypes" in modules, "the model was loaded"
    assert modules.isdisjoint(HEAVY)


def test_what_answers_pages_of_other_origins_is_imported_only_where_some_are_listed() -> None:
    for origins, is_imported in (("", False), ("https://app.example.com", True)):
        done = import_main(ONNXLET_REGISTRY="memory://import", ONNXLET_CORS_ORIGINS=origins)
        assert done.returncode == 0, done.stderr
        assert ("onnxlet.web.cors" in done.stderr) == is_imported


def test_without_a_registry_it_says_what_is_missing() -> None:
    done = import_main()
    assert done.returncode == 1
    assert "ONNXLET_REGISTRY: expected a registry's root URL" in done.stderr


def test_a_default_model_that_cannot_be_loaded_is_logged_and_does_not_stop_the_function() -> None:
    done = import_main(ONNXLET_REGISTRY="memory://empty", ONNXLET_MODEL="digits", AWS_LAMBDA_RUNTIME_API="host")
    assert done.returncode == 0
    assert 'the default model was not loaded: model "digits": not in the registry memory://empty' in done.stderr
