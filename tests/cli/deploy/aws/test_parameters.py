import pytest

from onnxlet_cli.assets import template_path
from onnxlet_cli.deploy.aws import parameters
from onnxlet_cli.deploy.aws.parameters import Parameter, check_parameters, to_revision
from onnxlet_publishing.errors import UsageError
from tests.helpers.template_stack import CHANGES, FUNCTIONS, UNVERSIONED, stack
from tests.infra import template

DECLARED = parameters.read_parameters(template_path())


def test_the_template_is_read_as_a_library_reads_it() -> None:
    declared = template.read()["Parameters"]
    expected = {name: Parameter(item["Type"], str(item.get("Default", ""))) for name, item in declared.items()}
    assert expected == DECLARED


def test_a_parameter_that_the_template_lacks_is_refused() -> None:
    """AWS SAM leaves it out, and deploys without a word."""
    with pytest.raises(UsageError, match=r"--set RefreshSecond: .* no such parameter; it has ModelName, "):
        check_parameters({"RefreshSecond": "5"}, DECLARED)


@pytest.mark.parametrize("value", ["0.5", "1e3", "-1", "", "ten", "1 "])
def test_a_number_that_must_be_whole_is(value: str) -> None:
    for name, declared in DECLARED.items():
        if declared.kind == "Number" and name not in parameters.FRACTIONS:
            with pytest.raises(UsageError, match=f"--set {name}=.*: expected a whole number"):
                check_parameters({name: value}, DECLARED)


def test_other_values_are_left_to_cloudformation() -> None:
    given = {"SlowMilliseconds": "0.5", "ToleratedFailurePercentage": "1.5", "Variant": "0.5", "MemorySize": "512"}
    check_parameters(given, DECLARED)


@pytest.mark.parametrize("parameter", CHANGES)
def test_just_what_a_function_depends_on_makes_another_revision(parameter: str) -> None:
    before = template.parameters()
    is_another = to_revision(before) != to_revision({**before, **CHANGES[parameter]})

    def configurations(**given: str) -> list[dict[str, object]]:
        found = stack(**given).of_type("AWS::Lambda::Function")
        return [{key: value for key, value in found[name].items() if key not in UNVERSIONED} for name in FUNCTIONS]

    if parameter != "Revision":  # which is the word itself
        assert is_another == (configurations() != configurations(**CHANGES[parameter]))


def test_a_revision_is_a_word_that_the_template_takes() -> None:
    pattern = template.read()["Parameters"]["Revision"]["AllowedPattern"]
    assert pattern == f"[A-Za-z0-9]{{0,{parameters.REVISION_DIGITS}}}"
    assert len(to_revision({})) == parameters.REVISION_DIGITS


def test_the_template_takes_as_long_an_expectation_as_is_sent() -> None:
    assert template.read()["Parameters"]["Prefetch"]["MaxLength"] == parameters.MAX_PREFETCH
