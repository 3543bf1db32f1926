import pytest

from onnxlet_cli.deploy.cloud import Options, Outputs, check_named_once, require_registry
from onnxlet_publishing.errors import UsageError

FIELDS = {"MemorySize": "memory_mib", "UrlAuth": "auth"}


def test_a_setting_that_an_option_and_set_both_name_is_refused() -> None:
    check_named_once(Options(memory_mib=512, others={"UrlAuth": "NONE"}), FIELDS)
    with pytest.raises(UsageError, match="--set MemorySize: expected it or --memory, which name the same"):
        check_named_once(Options(memory_mib=512, others={"MemorySize": "512"}), FIELDS)


def test_the_urls_are_read_by_their_names_and_a_missing_one_is_an_error() -> None:
    found = {"Url": "https://h", "Registry": "s3://r", "Inputs": "s3://i", "Results": "s3://o", "More": "m"}
    outputs = Outputs.read(found, ("Url", "Registry", "Inputs", "Results"))
    assert (outputs.http_url, outputs.registry_url, outputs.input_url, outputs.results_url) == tuple(found.values())[:4]
    assert outputs.others == found
    with pytest.raises(KeyError, match="Uri"):
        Outputs.read(found, ("Uri", "Registry", "Inputs", "Results"))


def test_functions_that_run_keep_their_registry() -> None:
    outputs = Outputs("https://h", "s3://ours/registry", "s3://i", "s3://o")
    require_registry(outputs, "RegistryBucket=ours", "s3://ours/registry")
    with pytest.raises(
        UsageError, match="RegistryBucket=theirs: expected the registry of what is deployed, s3://ours/reg"
    ):
        require_registry(outputs, "RegistryBucket=theirs", "s3://theirs/registry")
