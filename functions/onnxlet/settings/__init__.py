"""Settings: every environment variable that onnxlet reads, read once into a record."""

from __future__ import annotations

from collections.abc import Mapping

from onnxlet.limits import DEFAULT_CACHE_MIB, DEFAULT_EXPLAIN_RUNS, DEFAULT_GENERATE_LENGTH, MAX_LENGTH, MIB
from onnxlet.record import Record
from onnxlet.settings import parsers
from onnxlet.settings.parsers import DEFAULT_REFRESH_S, Platform
from onnxlet.storage.connection import ContainerCredentials, StorageSettings

DEFAULT_STORAGE = StorageSettings()


class CacheSettings(Record):
    """The folder and the size of the disk cache for artifacts."""

    folder: str
    """`ONNXLET_CACHE`."""
    limit_bytes: int
    """`ONNXLET_CACHE_MIB`."""


class Settings(Record):
    """The configuration of one function, from its environment."""

    registry: str
    """`ONNXLET_REGISTRY`: the registry's root URL."""
    model: str | None = None
    """`ONNXLET_MODEL`: the default model. It is loaded in the init phase, and serves requests that name no model."""
    results: str | None = None
    """`ONNXLET_RESULTS`: the root URL for results of events, and for answers that are too large to send."""
    requires_keys: bool = False
    """`ONNXLET_ACCESS`: whether HTTP requests need an API key (`keys`) or not (`open`)."""
    capture: float = 0.0
    """`ONNXLET_CAPTURE`: the share of requests whose statistics, without payloads, are kept next to the results."""
    capture_inputs: bool = False
    """`ONNXLET_CAPTURE_INPUTS`: `1` also keeps the model's input tensors."""
    inputs: tuple[str, ...] = ()
    """`ONNXLET_INPUTS`: the URL prefixes of objects that a request may refer to, separated by spaces or commas."""
    variant: str | None = None
    """`ONNXLET_VARIANT`: the variant to load if a version has it, for instance `int8` or `student`."""
    prefetch: str | None = None
    """`ONNXLET_PREFETCH`: the line that `onnxlet prefetch` prints for the default model; see `contract.expectation`."""
    public_keys: tuple[bytes, ...] = ()
    """`ONNXLET_PUBLIC_KEYS`: the keys of trusted publishers, separated by spaces or commas. Only versions that one of
    them signed are loaded; without keys, every version is."""
    edge: bool = False
    """`ONNXLET_EDGE`: `1` lets every client that may use a model also fetch its graphs, to run them in a browser."""
    cors_origins: tuple[str, ...] = ()
    """`ONNXLET_CORS_ORIGINS`: the origins whose pages may read responses, separated by spaces or commas, or `*`."""
    base_path: str = ""
    """`ONNXLET_BASE_PATH`: the path that a custom domain or a load balancer puts in front of every route, as `/ml`."""
    explain_runs: int = DEFAULT_EXPLAIN_RUNS
    """`ONNXLET_EXPLAIN_RUNS`: how many rows one explanation may run through the model; 0 turns explanations off."""
    generate_length: int = DEFAULT_GENERATE_LENGTH
    """`ONNXLET_GENERATE_LENGTH`: how many tokens a prompt and a generated text may have; 0 turns generation off."""
    refresh_s: float = DEFAULT_REFRESH_S
    """`ONNXLET_REFRESH_S`: how long an alias is used before it is read again; 0 reads it for every request."""
    function_bytes: int | None = None
    """The memory of a Lambda function; None elsewhere, where the operating system knows it."""
    memory_bytes: int | None = None
    """`ONNXLET_MEMORY_MIB`: the memory for all loaded models; by default half of a Lambda function's memory."""
    cache: CacheSettings | None = None
    storage: StorageSettings = DEFAULT_STORAGE
    threads: int = 1
    """Threads for ONNX Runtime: one for each full CPU of the function."""
    timeout_s: float | None = None
    """`ONNXLET_TIMEOUT_S`: the platform's time limit for a request or an event, if the platform does not state it."""
    platform: Platform = "other"
    """The platform, which decides how large responses may be, and the format of logs and metrics."""
    is_on_demand: bool = False
    """Whether a request already waits for this process, so that a warm-up run would only delay it.

    On Lambda `AWS_LAMBDA_INITIALIZATION_TYPE` decides: an environment may also be provisioned or become a snapshot."""
    is_snapshotted: bool = False
    """Whether Lambda takes a snapshot of this process after its initialization, and restores it for requests."""
    project: str | None = None
    """`GOOGLE_CLOUD_PROJECT`: the project, which is a part of a trace's name in Cloud Logging."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the settings.

        Raises:
            SettingsError: a required variable is missing, a variable is malformed, or two contradict each other.
        """
        read = environment.get
        registry = parsers.parse_registry(read("ONNXLET_REGISTRY"))
        inputs = parsers.parse_inputs(read("ONNXLET_INPUTS"))
        results = parsers.parse_results(read("ONNXLET_RESULTS"), registry, inputs)
        function_bytes = _function_bytes(read("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"))
        generate_length = read("ONNXLET_GENERATE_LENGTH")
        return cls(
            registry=registry,
            model=parsers.parse_model(read("ONNXLET_MODEL")),
            results=results,
            requires_keys=parsers.parse_access(read("ONNXLET_ACCESS")),
            capture=parsers.parse_capture(read("ONNXLET_CAPTURE"), results),
            capture_inputs=parsers.parse_flag("ONNXLET_CAPTURE_INPUTS", read("ONNXLET_CAPTURE_INPUTS")),
            inputs=inputs,
            variant=read("ONNXLET_VARIANT") or None,
            prefetch=read("ONNXLET_PREFETCH") or None,
            public_keys=parsers.parse_public_keys(read("ONNXLET_PUBLIC_KEYS")),
            edge=parsers.parse_flag("ONNXLET_EDGE", read("ONNXLET_EDGE")),
            cors_origins=parsers.parse_cors_origins(read("ONNXLET_CORS_ORIGINS")),
            base_path=parsers.parse_base_path(read("ONNXLET_BASE_PATH")),
            explain_runs=parsers.parse_explain_runs(read("ONNXLET_EXPLAIN_RUNS")),
            generate_length=parsers.parse_count(
                "ONNXLET_GENERATE_LENGTH", generate_length, DEFAULT_GENERATE_LENGTH, MAX_LENGTH
            ),
            refresh_s=parsers.parse_refresh(read("ONNXLET_REFRESH_S")),
            function_bytes=function_bytes,
            memory_bytes=_memory_bytes(read("ONNXLET_MEMORY_MIB"), function_bytes),
            cache=_parse_cache(read("ONNXLET_CACHE"), read("ONNXLET_CACHE_MIB")),
            storage=storage_from_environment(environment),
            threads=parsers.count_threads(function_bytes),
            timeout_s=parsers.parse_timeout(read("ONNXLET_TIMEOUT_S")),
            platform=parsers.find_platform(environment),
            is_on_demand=parsers.is_started_on_demand(environment),
            is_snapshotted=read("AWS_LAMBDA_INITIALIZATION_TYPE") == parsers.SNAPSHOT,
            project=read("GOOGLE_CLOUD_PROJECT") or None,
        )

    @property
    def is_preforked(self) -> bool:
        """Whether a server forks the processes that answer from the process that imports onnxlet."""
        return self.platform != "lambda"


def storage_from_environment(environment: Mapping[str, str]) -> StorageSettings:
    """Read how to reach the object stores, from the variables that the clouds' own tools read."""
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


def _function_bytes(memory_mib: str | None) -> int | None:
    return int(memory_mib) * MIB if memory_mib and memory_mib.isdigit() else None


def _memory_bytes(text: str | None, function_bytes: int | None) -> int | None:
    if text:
        return parsers.parse_mib("ONNXLET_MEMORY_MIB", text)
    return None if function_bytes is None else function_bytes // 2


def _parse_cache(folder: str | None, size: str | None) -> CacheSettings | None:
    if not folder:
        return None
    return CacheSettings(folder, parsers.parse_mib("ONNXLET_CACHE_MIB", size or str(DEFAULT_CACHE_MIB)))
