"""Settings: every environment variable that onnxlet reads, read once into a frozen object."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

from onnxlet.contract import layout
from onnxlet.errors import OnnxletError, SettingsError
from onnxlet.limits import (
    DEFAULT_CACHE_MIB,
    DEFAULT_EXPLAIN_RUNS,
    DEFAULT_GENERATE_LENGTH,
    MAX_EXPLAIN_RUNS,
    MAX_LENGTH,
    MIB,
    MIN_EXPLAIN_RUNS,
    REFERENCE_SCHEMES,
)
from onnxlet.record import Record
from onnxlet.storage import urls
from onnxlet.storage.connection import ContainerCredentials, StorageSettings

MEMORY_PER_CPU_MIB = 1769
"""Lambda gives one full vCPU for each (AWS Lambda developer guide, "Configure memory")."""

DEFAULT_STORAGE = StorageSettings()

Platform = Literal["lambda", "cloud-run", "other"]

ON_DEMAND, SNAPSHOT = "on-demand", "snap-start"
"""How Lambda calls an environment that a request made it start, and one that it takes a snapshot of."""

MAX_REFRESH_S = 10**9

MAX_TIMEOUT_S = 3600
"""Cloud Run's own bound."""

DEFAULT_REFRESH_S = 60.0


class CacheSettings(Record):
    """Where artifacts are kept on a disk, and how many."""

    folder: str
    """`ONNXLET_CACHE`."""
    limit_bytes: int
    """`ONNXLET_CACHE_MIB`."""


class Settings(Record):
    """What one function is told by its environment."""

    registry: str
    """`ONNXLET_REGISTRY`: the registry's root URL."""
    model: str | None = None
    """`ONNXLET_MODEL`: loaded in the init phase, and used where a request or an object names none."""
    results: str | None = None
    """`ONNXLET_RESULTS`: the root URL under which results for objects, and answers too large to send, are written."""
    requires_keys: bool = False
    """`ONNXLET_ACCESS`: whether every HTTP request needs an API key (`keys`), or none does (`open`)."""
    capture: float = 0.0
    """`ONNXLET_CAPTURE`: the share of the requests of which a few facts, and no payload, are kept under the results."""
    capture_inputs: bool = False
    """`ONNXLET_CAPTURE_INPUTS`: `1` keeps the tensors that the model ran on, too."""
    inputs: tuple[str, ...] = ()
    """`ONNXLET_INPUTS`: the URL prefixes that a request may reference, with spaces or commas between them."""
    variant: str | None = None
    """`ONNXLET_VARIANT`: which graph of a model is loaded, where a version has this one: `int8`, `student` ..."""
    prefetch: str | None = None
    """`ONNXLET_PREFETCH`: what `onnxlet prefetch` printed of the default model; see `contract.expectation`."""
    public_keys: tuple[bytes, ...] = ()
    """`ONNXLET_PUBLIC_KEYS`: of the publishers whose versions alone are loaded, with spaces or commas between them."""
    edge: bool = False
    """`ONNXLET_EDGE`: `1` lets whoever may ask a model fetch its graphs too, to run them in a browser."""
    cors_origins: tuple[str, ...] = ()
    """`ONNXLET_CORS_ORIGINS`: the origins whose pages may read the answers, with spaces or commas between, or `*`."""
    base_path: str = ""
    """`ONNXLET_BASE_PATH`: what a domain's mapping or a load balancer's rule puts in front of every path, as `/ml`."""
    explain_runs: int = DEFAULT_EXPLAIN_RUNS
    """`ONNXLET_EXPLAIN_RUNS`: how many rows one explanation may put through the model; 0 explains nothing."""
    generate_length: int = DEFAULT_GENERATE_LENGTH
    """`ONNXLET_GENERATE_LENGTH`: how many tokens one request may give and generate each; 0 generates nothing."""
    refresh_s: float = DEFAULT_REFRESH_S
    """`ONNXLET_REFRESH_S`: how stale an alias may get before the registry is asked again; 0 asks at every request."""
    function_bytes: int | None = None
    """The memory of a Lambda function; None elsewhere, where the system says it."""
    memory_bytes: int | None = None
    """`ONNXLET_MEMORY_MIB`: what the loaded models may take together; by default half of a Lambda function's memory."""
    cache: CacheSettings | None = None
    storage: StorageSettings = DEFAULT_STORAGE
    threads: int = 1
    """For ONNX Runtime: the full CPUs that this function has."""
    timeout_s: float | None = None
    """`ONNXLET_TIMEOUT_S`: how long the platform lets a request or an event take, where it does not say so itself."""
    platform: Platform = "other"
    """Where this runs: it decides how answers are bounded and how what an operator sees is written."""
    is_on_demand: bool = False
    """Whether a request already waits for this process: to run a model before it would only make it wait longer.

    `AWS_LAMBDA_INITIALIZATION_TYPE` on Lambda, where capacity may also be provisioned, or restored from a snapshot."""
    is_snapshotted: bool = False
    """Whether Lambda saves this process when it is initialized, and restores it where a request needs one."""
    project: str | None = None
    """`GOOGLE_CLOUD_PROJECT`: in Cloud Logging a trace is named with its project."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the settings.

        Raises:
            SettingsError: a variable that is needed is missing, one is malformed, or two contradict each other.
        """
        registry = environment.get("ONNXLET_REGISTRY")
        if not registry:
            raise SettingsError(
                "ONNXLET_REGISTRY: expected a registry's root URL (s3://, gs:// or file://), got nothing"
            )
        registry = _parse_place("ONNXLET_REGISTRY", registry)
        results_text = environment.get("ONNXLET_RESULTS")
        results = _parse_place("ONNXLET_RESULTS", results_text) if results_text else None
        inputs = _parse_inputs(environment.get("ONNXLET_INPUTS"))
        _check_results(results, registry, inputs)
        lambda_memory = environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        return cls(
            registry=registry,
            model=_parse_model(environment.get("ONNXLET_MODEL")),
            results=results,
            requires_keys=_parse_access(environment.get("ONNXLET_ACCESS")),
            capture=_parse_capture(environment.get("ONNXLET_CAPTURE"), results),
            capture_inputs=_parse_flag("ONNXLET_CAPTURE_INPUTS", environment.get("ONNXLET_CAPTURE_INPUTS")),
            inputs=inputs,
            variant=environment.get("ONNXLET_VARIANT") or None,
            prefetch=environment.get("ONNXLET_PREFETCH") or None,
            public_keys=parse_public_keys(environment.get("ONNXLET_PUBLIC_KEYS")),
            edge=_parse_flag("ONNXLET_EDGE", environment.get("ONNXLET_EDGE")),
            cors_origins=_parse_cors_origins(environment.get("ONNXLET_CORS_ORIGINS")),
            base_path=_parse_base_path(environment.get("ONNXLET_BASE_PATH")),
            explain_runs=_parse_explain_runs(environment.get("ONNXLET_EXPLAIN_RUNS")),
            generate_length=_parse_generate_length(environment.get("ONNXLET_GENERATE_LENGTH")),
            refresh_s=_parse_refresh(environment.get("ONNXLET_REFRESH_S")),
            function_bytes=int(lambda_memory) * MIB if lambda_memory and lambda_memory.isdigit() else None,
            memory_bytes=_parse_memory(environment.get("ONNXLET_MEMORY_MIB"), lambda_memory),
            cache=_parse_cache(environment.get("ONNXLET_CACHE"), environment.get("ONNXLET_CACHE_MIB")),
            storage=storage_from_environment(environment),
            threads=_parse_threads(lambda_memory),
            timeout_s=_parse_timeout(environment.get("ONNXLET_TIMEOUT_S")),
            platform=_parse_platform(environment),
            is_on_demand=_parse_is_on_demand(environment),
            is_snapshotted=environment.get("AWS_LAMBDA_INITIALIZATION_TYPE") == SNAPSHOT,
            project=environment.get("GOOGLE_CLOUD_PROJECT") or None,
        )

    @property
    def is_preforked(self) -> bool:
        """Whether the process that imports us is not the one that answers: a server forks its workers from it."""
        return self.platform != "lambda"


def storage_from_environment(environment: Mapping[str, str]) -> StorageSettings:
    """Read how the object stores are reached, by the variables that the clouds' own tools read."""
    gcs_endpoint = environment.get("STORAGE_EMULATOR_HOST") or None
    if gcs_endpoint and "://" not in gcs_endpoint:
        gcs_endpoint = f"http://{gcs_endpoint}"
    return StorageSettings(
        s3_endpoint=environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or None,
        gcs_endpoint=gcs_endpoint,
        gcs_base_url=environment.get("GOOGLE_BASE_URL") or None,
        gcs_token_file=environment.get("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE") or None,
        container=_parse_container(environment),
        s3_region=environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or None,
        has_fips=environment.get("AWS_USE_FIPS_ENDPOINT", "").lower() == "true",
        has_dual_stack=environment.get("AWS_USE_DUALSTACK_ENDPOINT", "").lower() == "true",
        ca_bundle=environment.get("AWS_CA_BUNDLE") or None,
    )


def _parse_container(environment: Mapping[str, str]) -> ContainerCredentials | None:
    url = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    token = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    if not url or not token or environment.get("AWS_ACCESS_KEY_ID"):
        return None
    return ContainerCredentials(url, token)


def _parse_model(text: str | None) -> str | None:
    if not text:
        return None
    try:
        return layout.parse_name(text)
    except OnnxletError as error:
        raise SettingsError(f"ONNXLET_MODEL: {error}") from error


def parse_public_keys(text: str | None) -> tuple[bytes, ...]:
    """The keys that `ONNXLET_PUBLIC_KEYS` names.

    Raises:
        SettingsError: not all of it are keys.
    """
    if not text:
        return ()
    from onnxlet.contract import signature  # few functions ask for one

    try:
        keys = tuple(signature.parse_public_key(key) for key in text.replace(",", " ").split())
    except ValueError as error:
        raise SettingsError(f"ONNXLET_PUBLIC_KEYS: {error}") from error
    if not keys:
        raise SettingsError(f"ONNXLET_PUBLIC_KEYS: expected at least one key, got {text!r}")
    return keys


def _parse_cors_origins(text: str | None) -> tuple[str, ...]:
    if not text:
        return ()
    from onnxlet.settings.origins import parse_origins  # few functions are called from pages of other origins

    try:
        return parse_origins(text)
    except SettingsError as error:
        raise SettingsError(f"ONNXLET_CORS_ORIGINS: {error}") from error


def _parse_base_path(text: str | None) -> str:
    path = f"/{(text or '').strip('/')}".rstrip("/")
    is_plain = all(part not in {"", ".", ".."} for part in path.split("/")[1:])
    if not is_plain or not path.isprintable() or set(path) & set(" ?#%\\"):
        raise SettingsError(f"ONNXLET_BASE_PATH: expected a path such as /ml, got {text!r}")
    return path


def _parse_refresh(text: str | None) -> float:
    if not text:
        return DEFAULT_REFRESH_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= MAX_REFRESH_S:
        raise SettingsError(f"ONNXLET_REFRESH_S: expected seconds from 0 to {MAX_REFRESH_S}, got {text!r}")
    return seconds


def _parse_access(text: str | None) -> bool:
    if text not in {None, "", "open", "keys"}:
        raise SettingsError(f"ONNXLET_ACCESS: expected open or keys, got {text!r}")
    return text == "keys"


def _parse_timeout(text: str | None) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= MAX_TIMEOUT_S:
        raise SettingsError(f"ONNXLET_TIMEOUT_S: expected seconds up to {MAX_TIMEOUT_S}, got {text!r}")
    return seconds


def _parse_count(name: str, text: str | None, default: int, at_most: int) -> int:
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text[:8]) > at_most:
        raise SettingsError(f"{name}: expected a number from 0 to {at_most}, got {text!r}")
    return int(text)


def _parse_generate_length(text: str | None) -> int:
    return _parse_count("ONNXLET_GENERATE_LENGTH", text, DEFAULT_GENERATE_LENGTH, MAX_LENGTH)


def _parse_explain_runs(text: str | None) -> int:
    runs = _parse_count("ONNXLET_EXPLAIN_RUNS", text, DEFAULT_EXPLAIN_RUNS, MAX_EXPLAIN_RUNS)
    if 0 < runs < MIN_EXPLAIN_RUNS:
        raise SettingsError(f"ONNXLET_EXPLAIN_RUNS: expected 0, or {MIN_EXPLAIN_RUNS} or more, got {runs}")
    return runs


def _parse_flag(name: str, text: str | None) -> bool:
    if text not in {None, "", "0", "1"}:
        raise SettingsError(f"{name}: expected 0 or 1, got {text!r}")
    return text == "1"


def _parse_place(name: str, text: str) -> str:
    try:
        return urls.parse(text)
    except OnnxletError as error:
        raise SettingsError(f"{name}: {error}") from error


def _parse_inputs(text: str | None) -> tuple[str, ...]:
    prefixes = (text or "").replace(",", " ").split()
    for prefix in prefixes:
        if not prefix.startswith(REFERENCE_SCHEMES):
            raise SettingsError(f"ONNXLET_INPUTS: expected URLs of s3:// or gs://, got {prefix!r}")
    return tuple(_parse_place("ONNXLET_INPUTS", prefix) for prefix in prefixes)


def _check_results(results: str | None, registry: str, inputs: tuple[str, ...]) -> None:
    """Refuse results among the inputs, each of which would be an object to answer, and among the registry's documents.

    Raises:
        SettingsError: the results lie there.
    """
    if results is None:
        return
    for prefix in inputs:
        if urls.is_inside(results, prefix):
            raise SettingsError(f"ONNXLET_RESULTS: {results} lies inside {prefix} of ONNXLET_INPUTS", is_loop=True)
    folders = (f"{registry}/{folder}" for folder in layout.FOLDERS)
    if urls.is_inside(registry, results) or any(urls.is_inside(results, folder) for folder in folders):
        raise SettingsError(
            f"ONNXLET_RESULTS: expected another place than the registry {registry}, whose documents results could be "
            f"taken for, got {results}"
        )


def _parse_capture(text: str | None, results: str | None) -> float:
    if not text:
        return 0.0
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise SettingsError(f"ONNXLET_CAPTURE: expected a share from 0 to 1, got {text!r}")
    if share and results is None:
        raise SettingsError("ONNXLET_CAPTURE: expected ONNXLET_RESULTS, under which it is kept, got nothing")
    return share


def _parse_memory(text: str | None, lambda_memory: str | None) -> int | None:
    if text:
        return _parse_mib("ONNXLET_MEMORY_MIB", text)
    return int(lambda_memory) * MIB // 2 if lambda_memory and lambda_memory.isdigit() else None


def _parse_cache(folder: str | None, size: str | None) -> CacheSettings | None:
    if not folder:
        return None
    return CacheSettings(folder, _parse_mib("ONNXLET_CACHE_MIB", size or str(DEFAULT_CACHE_MIB)))


def _parse_mib(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:8]) < 10**7:
        raise SettingsError(f"{name}: expected a number of MiB, got {text!r}")
    return int(text) * MIB


def _parse_platform(environment: Mapping[str, str]) -> Platform:
    """The platform, by a variable that each sets by itself."""
    if "AWS_LAMBDA_RUNTIME_API" in environment:
        return "lambda"
    return "cloud-run" if "K_SERVICE" in environment else "other"


def _parse_is_on_demand(environment: Mapping[str, str]) -> bool:
    platform = _parse_platform(environment)
    if platform == "lambda":
        return environment.get("AWS_LAMBDA_INITIALIZATION_TYPE", ON_DEMAND) == ON_DEMAND
    return platform == "cloud-run"


def _parse_threads(memory_mib: str | None) -> int:
    if memory_mib and memory_mib.isdigit():
        return max(1, int(memory_mib) // MEMORY_PER_CPU_MIB)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
