"""Variables: the text of each environment variable as the value that it stands for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Literal

from onnxlet.contract import layout
from onnxlet.errors import OnnxletError, SettingsError
from onnxlet.limits import DEFAULT_EXPLAIN_RUNS, MAX_EXPLAIN_RUNS, MIB, MIN_EXPLAIN_RUNS, REFERENCE_SCHEMES
from onnxlet.storage import urls

MEMORY_PER_CPU_MIB = 1769
"""Memory for which Lambda gives one full vCPU (AWS Lambda developer guide, "Configure memory")."""

MAX_REFRESH_S = 10**9

MAX_TIMEOUT_S = 3600
"""Cloud Run's own limit."""

DEFAULT_REFRESH_S = 60.0

Platform = Literal["lambda", "cloud-run", "other"]

ON_DEMAND, SNAPSHOT = "on-demand", "snap-start"
"""Lambda's names for an environment that starts for a waiting request, and for one that becomes a snapshot."""


def parse_flag(name: str, text: str | None) -> bool:
    """Return whether a variable is `1`, not `0` or empty."""
    if text not in {None, "", "0", "1"}:
        raise SettingsError(f"{name}: expected 0 or 1, got {text!r}")
    return text == "1"


def parse_count(name: str, text: str | None, default: int, at_most: int) -> int:
    """Return a whole number from 0 to `at_most`."""
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text[:8]) > at_most:
        raise SettingsError(f"{name}: expected a number from 0 to {at_most}, got {text!r}")
    return int(text)


def parse_mib(name: str, text: str) -> int:
    """Return a size in bytes, which the variable gives in MiB."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:8]) < 10**7:
        raise SettingsError(f"{name}: expected a number of MiB, got {text!r}")
    return int(text) * MIB


def parse_url(name: str, text: str) -> str:
    """Return a root URL of object storage in its canonical form."""
    try:
        return urls.parse(text)
    except OnnxletError as error:
        raise SettingsError(f"{name}: {error}") from error


def parse_registry(text: str | None) -> str:
    """Return the registry's root URL."""
    if not text:
        raise SettingsError("ONNXLET_REGISTRY: expected a registry's root URL (s3://, gs:// or file://), got nothing")
    return parse_url("ONNXLET_REGISTRY", text)


def parse_results(text: str | None, registry: str, inputs: tuple[str, ...]) -> str | None:
    """Return the root URL of the results, or None without the variable.

    Raises:
        SettingsError: results would be among the inputs, so that each would be an event again, or they could be taken
            for documents of the registry.
    """
    if not text:
        return None
    results = parse_url("ONNXLET_RESULTS", text)
    for prefix in inputs:
        if urls.is_inside(results, prefix):
            raise SettingsError(f"ONNXLET_RESULTS: {results} lies inside {prefix} of ONNXLET_INPUTS", is_loop=True)
    folders = (f"{registry}/{folder}" for folder in layout.FOLDERS)
    if urls.is_inside(registry, results) or any(urls.is_inside(results, folder) for folder in folders):
        raise SettingsError(
            f"ONNXLET_RESULTS: expected a URL outside the registry {registry}, because results could be taken for the "
            f"registry's documents, got {results}"
        )
    return results


def parse_inputs(text: str | None) -> tuple[str, ...]:
    """Return the URL prefixes of objects that a request may refer to."""
    prefixes = (text or "").replace(",", " ").split()
    for prefix in prefixes:
        if not prefix.startswith(REFERENCE_SCHEMES):
            raise SettingsError(f"ONNXLET_INPUTS: expected URLs that begin with s3:// or gs://, got {prefix!r}")
    return tuple(parse_url("ONNXLET_INPUTS", prefix) for prefix in prefixes)


def parse_model(text: str | None) -> str | None:
    """Return the name of the default model, or None without the variable."""
    if not text:
        return None
    try:
        return layout.parse_name(text)
    except OnnxletError as error:
        raise SettingsError(f"ONNXLET_MODEL: {error}") from error


def parse_public_keys(text: str | None) -> tuple[bytes, ...]:
    """Return the publishers' public keys, separated by spaces or commas.

    Raises:
        SettingsError: the text has something that is not a public key, or no key at all.
    """
    if not text:
        return ()
    from onnxlet.contract import signature  # most functions do not check signatures

    try:
        keys = tuple(signature.parse_public_key(key) for key in text.replace(",", " ").split())
    except ValueError as error:
        raise SettingsError(f"ONNXLET_PUBLIC_KEYS: {error}") from error
    if not keys:
        raise SettingsError(f"ONNXLET_PUBLIC_KEYS: expected at least one key, got {text!r}")
    return keys


def parse_cors_origins(text: str | None) -> tuple[str, ...]:
    """Return the origins of pages that may read responses."""
    if not text:
        return ()
    from onnxlet.settings.origins import parse_origins  # few functions are called from pages of other origins

    try:
        return parse_origins(text)
    except SettingsError as error:
        raise SettingsError(f"ONNXLET_CORS_ORIGINS: {error}") from error


def parse_base_path(text: str | None) -> str:
    """Return the path in front of every route, without a slash at its end."""
    path = f"/{(text or '').strip('/')}".rstrip("/")
    is_plain = all(part not in {"", ".", ".."} for part in path.split("/")[1:])
    if not is_plain or not path.isprintable() or set(path) & set(" ?#%\\"):
        raise SettingsError(f"ONNXLET_BASE_PATH: expected a path such as /ml, got {text!r}")
    return path


def parse_access(text: str | None) -> bool:
    """Return whether requests need an API key."""
    if text not in {None, "", "open", "keys"}:
        raise SettingsError(f"ONNXLET_ACCESS: expected open or keys, got {text!r}")
    return text == "keys"


def parse_refresh(text: str | None) -> float:
    """Return the seconds after which an alias is read again."""
    if not text:
        return DEFAULT_REFRESH_S
    expected = f"seconds from 0 to {MAX_REFRESH_S}"
    return _parse_number("ONNXLET_REFRESH_S", text, expected, lambda seconds: 0 <= seconds <= MAX_REFRESH_S)


def parse_timeout(text: str | None) -> float | None:
    """Return the seconds that the platform gives a request, or None if they are not configured."""
    if not text:
        return None
    expected = f"seconds up to {MAX_TIMEOUT_S}"
    return _parse_number("ONNXLET_TIMEOUT_S", text, expected, lambda seconds: 0 < seconds <= MAX_TIMEOUT_S)


def parse_capture(text: str | None, results: str | None) -> float:
    """Return the share of requests that are captured, from 0 to 1."""
    if not text:
        return 0.0
    share = _parse_number("ONNXLET_CAPTURE", text, "a share from 0 to 1", lambda share: 0 <= share <= 1)
    if share and results is None:
        raise SettingsError("ONNXLET_CAPTURE: expected ONNXLET_RESULTS, where samples are written, got nothing")
    return share


def parse_explain_runs(text: str | None) -> int:
    """Return how many rows one explanation may run; 0 turns explanations off."""
    runs = parse_count("ONNXLET_EXPLAIN_RUNS", text, DEFAULT_EXPLAIN_RUNS, MAX_EXPLAIN_RUNS)
    if 0 < runs < MIN_EXPLAIN_RUNS:
        raise SettingsError(f"ONNXLET_EXPLAIN_RUNS: expected 0, or {MIN_EXPLAIN_RUNS} or more, got {runs}")
    return runs


def find_platform(environment: Mapping[str, str]) -> Platform:
    """Return the platform, by a variable that each platform sets."""
    if "AWS_LAMBDA_RUNTIME_API" in environment:
        return "lambda"
    return "cloud-run" if "K_SERVICE" in environment else "other"


def is_started_on_demand(environment: Mapping[str, str]) -> bool:
    """Return whether the process was started for a request that already waits."""
    platform = find_platform(environment)
    if platform == "lambda":
        return environment.get("AWS_LAMBDA_INITIALIZATION_TYPE", ON_DEMAND) == ON_DEMAND
    return platform == "cloud-run"


def count_threads(function_bytes: int | None) -> int:
    """Return the full CPUs of a Lambda function of this size, or of this machine."""
    if function_bytes is not None:
        return max(1, function_bytes // MIB // MEMORY_PER_CPU_MIB)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _parse_number(name: str, text: str, expected: str, fits: Callable[[float], bool]) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not fits(number):
        raise SettingsError(f"{name}: expected {expected}, got {text!r}")
    return number
