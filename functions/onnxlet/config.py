"""Settings: every environment variable that onnxlet reads, read once into a frozen object."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from onnxlet.contract import layout
from onnxlet.errors import OnnxletError, SettingsError

MEMORY_PER_CPU_MIB = 1769
"""Lambda gives one full vCPU for each (AWS Lambda developer guide, "Configure memory")."""

MAX_REFRESH_S = 10**9

DEFAULT_REFRESH_S = 60.0


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """How the object stores are reached; credentials and regions obstore finds by the clouds' own rules."""

    s3_endpoint: str | None = None
    """`AWS_ENDPOINT_URL_S3`, else `AWS_ENDPOINT_URL`: an S3 other than AWS's own."""
    gcs_endpoint: str | None = None
    """`STORAGE_EMULATOR_HOST`: a Cloud Storage other than Google's own; no credentials are sent to it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one function is told by its environment."""

    registry: str
    """`ONNXLET_REGISTRY`: the registry's root URL."""
    model: str | None = None
    """`ONNXLET_MODEL`: loaded in the init phase, and used where a request or an object names none."""
    results: str | None = None
    """`ONNXLET_RESULTS`: the root URL under which results for objects are written."""
    refresh_s: float = DEFAULT_REFRESH_S
    """`ONNXLET_REFRESH_S`: how stale an alias may get before the registry is asked again; 0 asks at every request."""
    storage: StorageSettings = StorageSettings()
    threads: int = 1
    """For ONNX Runtime: the full CPUs that this function has."""
    is_preforked: bool = False
    """Whether the process that imports us is not the one that answers: a server forks its workers from it."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings.

        Raises:
            SettingsError: a variable that is needed is missing, or one is malformed.
        """
        registry = environment.get("ONNXLET_REGISTRY")
        if not registry:
            raise SettingsError(
                "ONNXLET_REGISTRY: expected a registry's root URL (s3://, gs:// or file://), got nothing"
            )
        return cls(
            registry=registry,
            model=_parse_model(environment.get("ONNXLET_MODEL")),
            results=environment.get("ONNXLET_RESULTS") or None,
            refresh_s=_parse_refresh(environment.get("ONNXLET_REFRESH_S")),
            storage=storage_from_environment(environment),
            threads=_parse_threads(environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")),
            is_preforked="AWS_LAMBDA_RUNTIME_API" not in environment,
        )


def storage_from_environment(environment: Mapping[str, str]) -> StorageSettings:
    """Read how the object stores are reached, by the variables that the clouds' own tools read."""
    gcs_endpoint = environment.get("STORAGE_EMULATOR_HOST") or None
    if gcs_endpoint and "://" not in gcs_endpoint:
        gcs_endpoint = f"http://{gcs_endpoint}"
    return StorageSettings(
        s3_endpoint=environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or None,
        gcs_endpoint=gcs_endpoint,
    )


def _parse_model(text: str | None) -> str | None:
    if not text:
        return None
    try:
        return layout.parse_name(text)
    except OnnxletError as error:
        raise SettingsError(f"ONNXLET_MODEL: {error}") from error


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


def _parse_threads(memory_mib: str | None) -> int:
    if memory_mib and memory_mib.isdigit():
        return max(1, int(memory_mib) // MEMORY_PER_CPU_MIB)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
