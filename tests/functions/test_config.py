import pytest

from onnxlet.config import Settings
from onnxlet.errors import SettingsError


def test_only_the_registry_is_needed() -> None:
    settings = Settings.from_environment({"ONNXLET_REGISTRY": "s3://bucket/models"})
    assert (settings.registry, settings.model, settings.results) == ("s3://bucket/models", None, None)
    assert settings.is_preforked


def test_a_missing_registry_is_named() -> None:
    with pytest.raises(SettingsError, match="ONNXLET_REGISTRY"):
        Settings.from_environment({})


def test_an_impossible_model_is_named() -> None:
    with pytest.raises(SettingsError, match=r"ONNXLET_MODEL: model name '\.\./x'"):
        Settings.from_environment({"ONNXLET_REGISTRY": "s3://b", "ONNXLET_MODEL": "../x"})


@pytest.mark.parametrize(("memory_mib", "threads"), [("128", 1), ("1769", 1), ("3537", 1), ("3538", 2), ("10240", 5)])
def test_threads_are_the_full_cpus_that_lambda_gives(memory_mib: str, threads: int) -> None:
    environment = {
        "ONNXLET_REGISTRY": "s3://b",
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory_mib,
    }
    settings = Settings.from_environment(environment)
    assert settings.threads == threads
    assert not settings.is_preforked


@pytest.mark.parametrize(("text", "seconds"), [("", 60), ("0", 0), ("2.5", 2.5)])
def test_how_stale_an_alias_may_get(text: str, seconds: float) -> None:
    settings = Settings.from_environment({"ONNXLET_REGISTRY": "s3://b", "ONNXLET_REFRESH_S": text})
    assert settings.refresh_s == seconds


@pytest.mark.parametrize("text", ["-1", "soon", "nan", "inf"])
def test_an_impossible_refresh_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="ONNXLET_REFRESH_S"):
        Settings.from_environment({"ONNXLET_REGISTRY": "s3://b", "ONNXLET_REFRESH_S": text})


def test_the_clouds_own_variables_name_the_endpoints() -> None:
    environment = {"ONNXLET_REGISTRY": "s3://b", "AWS_ENDPOINT_URL": "http://a", "STORAGE_EMULATOR_HOST": "g:1"}
    storage = Settings.from_environment(environment).storage
    assert (storage.s3_endpoint, storage.gcs_endpoint) == ("http://a", "http://g:1")
    storage = Settings.from_environment({**environment, "AWS_ENDPOINT_URL_S3": "http://b"}).storage
    assert storage.s3_endpoint == "http://b"
