from onnxlet.settings import CacheSettings, Settings


def test_only_the_registry_is_needed() -> None:
    settings = Settings.from_environment({"ONNXLET_REGISTRY": "s3://bucket/models"})
    assert (settings.registry, settings.model, settings.results) == ("s3://bucket/models", None, None)
    assert settings.is_preforked


def test_the_clouds_own_variables_name_the_endpoints() -> None:
    environment = {"ONNXLET_REGISTRY": "s3://b", "AWS_ENDPOINT_URL": "http://a", "STORAGE_EMULATOR_HOST": "g:1"}
    storage = Settings.from_environment(environment).storage
    assert (storage.s3_endpoint, storage.gcs_endpoint) == ("http://a", "http://g:1")
    storage = Settings.from_environment({**environment, "AWS_ENDPOINT_URL_S3": "http://b"}).storage
    assert storage.s3_endpoint == "http://b"


def test_the_clouds_own_variables_say_how_s3_is_reached() -> None:
    environment = {
        "ONNXLET_REGISTRY": "s3://b",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "us-west-2",
        "AWS_USE_FIPS_ENDPOINT": "TRUE",
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
        "AWS_CA_BUNDLE": "/ca.pem",
    }
    storage = Settings.from_environment(environment).storage
    assert (storage.s3_region, storage.has_fips, storage.has_dual_stack) == ("eu-west-1", True, True)
    assert storage.ca_bundle == "/ca.pem"
    del environment["AWS_REGION"]
    assert Settings.from_environment(environment).storage.s3_region == "us-west-2"
    plain = settings(AWS_USE_FIPS_ENDPOINT="false").storage
    assert (plain.s3_region, plain.has_fips, plain.has_dual_stack, plain.ca_bundle) == (None, False, False, None)


def settings(**environment: str) -> Settings:
    return Settings.from_environment({"ONNXLET_REGISTRY": "s3://b", **environment})


def test_the_memory_is_bounded_where_it_is_known() -> None:
    assert settings().memory_bytes is None
    assert settings(ONNXLET_MEMORY_MIB="100").memory_bytes == 100 * 2**20
    assert settings(AWS_LAMBDA_FUNCTION_MEMORY_SIZE="1769").memory_bytes == 1769 * 2**19
    assert settings(AWS_LAMBDA_FUNCTION_MEMORY_SIZE="1769", ONNXLET_MEMORY_MIB="9").memory_bytes == 9 * 2**20


def test_the_variant_is_nobodys_unless_it_is_named() -> None:
    assert settings().variant is None
    assert settings(ONNXLET_VARIANT="").variant is None
    assert settings(ONNXLET_VARIANT="int8").variant == "int8"


def test_a_cache_has_a_folder_and_a_size() -> None:
    assert settings().cache is None
    assert settings(ONNXLET_CACHE="/tmp/x").cache == CacheSettings("/tmp/x", 256 * 2**20)
