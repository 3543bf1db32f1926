import pytest

from onnxlet.errors import SettingsError
from onnxlet.limits import DEFAULT_EXPLAIN_RUNS, DEFAULT_GENERATE_LENGTH
from onnxlet.settings import Settings
from tests.helpers import keys


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


def settings(**environment: str) -> Settings:
    return Settings.from_environment({"ONNXLET_REGISTRY": "s3://b", **environment})


def test_nothing_is_captured_unless_a_share_is_told() -> None:
    assert settings().capture == 0.0
    assert settings(ONNXLET_CAPTURE="0").capture == 0.0
    assert settings(ONNXLET_CAPTURE="0.05", ONNXLET_RESULTS="s3://r").capture == 0.05


@pytest.mark.parametrize("text", ["-0.1", "1.1", "5%", "nan", "inf", "all"])
def test_an_impossible_share_to_capture_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="ONNXLET_CAPTURE: expected a share from 0 to 1"):
        settings(ONNXLET_CAPTURE=text, ONNXLET_RESULTS="s3://r")


def test_captures_need_a_place() -> None:
    with pytest.raises(SettingsError, match="ONNXLET_CAPTURE: expected ONNXLET_RESULTS"):
        settings(ONNXLET_CAPTURE="0.05")


def test_the_inputs_are_a_list() -> None:
    assert settings().inputs == ()
    assert settings(ONNXLET_INPUTS="s3://a/in/, gs://b  s3://c/").inputs == ("s3://a/in", "gs://b", "s3://c")


@pytest.mark.parametrize(
    ("text", "path"), [("", ""), ("/", ""), ("/ml", "/ml"), ("ml/", "/ml"), ("/a/b-c_1.2~/", "/a/b-c_1.2~")]
)
def test_a_base_path_is_known_in_one_form(text: str, path: str) -> None:
    assert settings(ONNXLET_BASE_PATH=text).base_path == path


@pytest.mark.parametrize("text", ["/a//b", "/../a", "/a/.", "/a b", "/a?b", "/a#b", "/a%20b", "/a\\b", "/a\n"])
def test_a_malformed_base_path_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="ONNXLET_BASE_PATH"):
        settings(ONNXLET_BASE_PATH=text)


@pytest.mark.parametrize("text", ["file:///etc", "http://host", "s3://", "bucket/in", "*"])
def test_an_input_outside_object_storage_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="ONNXLET_INPUTS"):
        settings(ONNXLET_INPUTS=text)


@pytest.mark.parametrize("results", ["s3://a/in", "s3://a/in/", "s3://a/in/results", "gs://b/results", "gs://b"])
def test_results_among_the_inputs_are_refused(results: str) -> None:
    with pytest.raises(SettingsError, match=r"ONNXLET_RESULTS: .* lies inside"):
        settings(ONNXLET_INPUTS="s3://a/in gs://b", ONNXLET_RESULTS=results)


@pytest.mark.parametrize("results", ["s3://a/in-results", "s3://a/results", "s3://c", "gs://a/in"])
def test_results_next_to_the_inputs_are_fine(results: str) -> None:
    assert settings(ONNXLET_INPUTS="s3://a/in gs://b", ONNXLET_RESULTS=results).results == results


SPELLINGS = (
    "s3://a/./in",
    "s3://a//in",
    "s3://a/in/../r",
    "s3://a/%69n",
    "s3://a/in?x",
    "s3://a/in#y",
    "s3://A/in",
    "S3://a",
)


@pytest.mark.parametrize("name", ["ONNXLET_REGISTRY", "ONNXLET_RESULTS", "ONNXLET_INPUTS"])
@pytest.mark.parametrize("text", SPELLINGS)
def test_no_place_has_a_spelling_that_hides_it(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}: .*expected"):
        settings(**{name: text})


def test_a_place_may_be_a_folder_of_this_machine() -> None:
    found = settings(ONNXLET_REGISTRY="/models/a b/", ONNXLET_RESULTS="/out")
    assert (found.registry, found.results) == ("file:///models/a%20b", "file:///out")


@pytest.mark.parametrize(
    "results", ["s3://m", "s3://m/r", "s3://m/r/models", "s3://m/r/access/x", "s3://m/r/blobs", "s3://m/r/edge"]
)
def test_results_that_could_be_taken_for_the_registrys_documents_are_refused(results: str) -> None:
    with pytest.raises(SettingsError, match="ONNXLET_RESULTS: expected a URL outside the registry"):
        settings(ONNXLET_REGISTRY="s3://m/r", ONNXLET_RESULTS=results)


@pytest.mark.parametrize("results", ["s3://m/results", "s3://m/r/results", "s3://m/r/models-results", "gs://m/r"])
def test_results_next_to_the_registrys_documents_are_fine(results: str) -> None:
    assert settings(ONNXLET_REGISTRY="s3://m/r", ONNXLET_RESULTS=results).results == results


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "99999999"])
@pytest.mark.parametrize("name", ["ONNXLET_MEMORY_MIB", "ONNXLET_CACHE_MIB"])
def test_an_impossible_size_is_named(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings(**{"ONNXLET_CACHE": "/x", name: text})


def test_a_platform_that_does_not_say_how_long_it_waits_has_it_in_its_settings() -> None:
    assert settings().timeout_s is None
    assert settings(ONNXLET_TIMEOUT_S="").timeout_s is None
    assert settings(ONNXLET_TIMEOUT_S="540").timeout_s == 540


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf", "3601"])
def test_an_impossible_timeout_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="ONNXLET_TIMEOUT_S"):
        settings(ONNXLET_TIMEOUT_S=text)


@pytest.mark.parametrize(
    ("variable", "platform"), [("AWS_LAMBDA_RUNTIME_API", "lambda"), ("K_SERVICE", "cloud-run"), ("OTHER", "other")]
)
def test_a_platform_is_known_by_its_own_variable(variable: str, platform: str) -> None:
    assert settings(**{variable: "x"}).platform == platform


def test_the_keys_of_publishers_are_a_list() -> None:
    assert settings().public_keys == settings(ONNXLET_PUBLIC_KEYS="").public_keys == ()
    text = f" {keys.text(1)}, {keys.text(2)} "
    assert settings(ONNXLET_PUBLIC_KEYS=text).public_keys == (keys.public_key(1), keys.public_key(2))


@pytest.mark.parametrize("text", [" ", ",", "none", keys.text(1)[:-1], f"{keys.text(1)} x", "A" * 43 + "="])
def test_malformed_keys_never_switch_the_check_off(text: str) -> None:
    with pytest.raises(SettingsError, match="ONNXLET_PUBLIC_KEYS: expected"):
        settings(ONNXLET_PUBLIC_KEYS=text)


@pytest.mark.parametrize(
    ("name", "field", "default", "at_most"),
    [
        ("ONNXLET_EXPLAIN_RUNS", "explain_runs", DEFAULT_EXPLAIN_RUNS, 10_000),
        ("ONNXLET_GENERATE_LENGTH", "generate_length", DEFAULT_GENERATE_LENGTH, 4096),
    ],
)
def test_what_one_request_may_cost_is_bounded_and_may_be_nothing(
    name: str, field: str, default: int, at_most: int
) -> None:
    assert getattr(settings(), field) == getattr(settings(**{name: ""}), field) == default
    for value in (0, 3, at_most):
        assert getattr(settings(**{name: str(value)}), field) == value
    for text in (str(at_most + 1), "-1", "many", "1e3", "9" * 40, "\u0663"):
        with pytest.raises(SettingsError, match=f"{name}: expected a number from 0 to {at_most}, got"):
            settings(**{name: text})


@pytest.mark.parametrize("runs", ["1", "2"])
def test_an_explanation_of_fewer_runs_than_it_needs_is_no_setting(runs: str) -> None:
    with pytest.raises(SettingsError, match="ONNXLET_EXPLAIN_RUNS: expected 0, or 3 or more, got"):
        settings(ONNXLET_EXPLAIN_RUNS=runs)
