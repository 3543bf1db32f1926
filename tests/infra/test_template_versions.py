import json
from typing import Any

import pytest

from tests.helpers.template_stack import CHANGES, FUNCTIONS, LONGEST, UNVERSIONED, is_valid, stack
from tests.infra import template
from tests.infra.template import Stack

MAX_DESCRIPTION = 256
"""Characters. Source: Lambda's API, `Description` of PublishVersion and CreateFunction."""


MAX_VARIABLES = 4096
"""Bytes. Lambda measures all variables of a function as one JSON document. Source: Lambda quotas; its error, "exceeded
the 4KB limit. String measured: {...}"."""


class TestVersions:
    """SAM publishes no version where only a parameter changes (serverless-application-model #3820)."""

    @staticmethod
    def version(found: Stack, function: str) -> tuple[str, str]:
        """What makes CloudFormation publish another: the logical id, and the description."""
        versions = found.of_type("AWS::Lambda::Version").items()
        ((name, item),) = [(name, item) for name, item in versions if item["FunctionName"] == f"<{function}>"]
        return name, item["Description"]

    def test_every_parameter_has_a_change_here(self) -> None:
        assert CHANGES.keys() == template.read()["Parameters"].keys()

    @pytest.mark.parametrize("function", FUNCTIONS)
    @pytest.mark.parametrize("parameter", CHANGES)
    def test_a_parameter_publishes_a_version_of_just_the_functions_that_it_changes(
        self, parameter: str, function: str
    ) -> None:
        """Lambda refuses a version that differs in nothing, and an alias never sees what was not published."""
        before, after = stack(), stack(**CHANGES[parameter])

        def properties(found: Stack) -> dict[str, Any]:
            item = found.of_type("AWS::Lambda::Function")[function]
            return {name: value for name, value in item.items() if name not in UNVERSIONED}

        is_changed = properties(before) != properties(after)
        assert (self.version(before, function) != self.version(after, function)) == is_changed

    @pytest.mark.parametrize("function", FUNCTIONS)
    @pytest.mark.parametrize(
        "change",
        [
            {"VpcSecurityGroupIds": "sg-2"},
            {"VpcSecurityGroupIds": "sg-1,sg-2"},
            {"VpcSubnetIds": "subnet-1,subnet-3"},
            {"RegistryBucket": "my-registry-2"},
            {"ResultsBucket": "my-results-2"},
        ],
    )
    def test_no_change_of_a_list_or_a_bucket_is_silent(self, change: dict[str, str], function: str) -> None:
        given = {"VpcSubnetIds": "subnet-1,subnet-2", "VpcSecurityGroupIds": "sg-1", "ResultsBucket": "my-results"}
        assert self.version(stack(**given), function) != self.version(stack(**{**given, **change}), function)

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_a_revision_is_new_in_the_version_and_in_the_function_that_it_publishes(self, function: str) -> None:
        """CloudFormation compares the version's description, and Lambda whether the function is another."""
        found = [stack(Revision=word) for word in ("0000000001", "0000000002")]
        assert len({self.version(each, function) for each in found}) == 2
        assert len({each.of_type("AWS::Lambda::Function")[function]["Description"] for each in found}) == 2

    @pytest.mark.parametrize("function", FUNCTIONS)
    @pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
    @pytest.mark.parametrize("snap_start", ["true", "false"])
    def test_no_description_is_ever_too_long(self, function: str, architecture: str, snap_start: str) -> None:
        found = stack(**{**LONGEST, "Architecture": architecture, "SnapStart": snap_start})
        assert len(self.version(found, function)[1]) <= MAX_DESCRIPTION
        assert len(found.of_type("AWS::Lambda::Function")[function]["Description"]) <= MAX_DESCRIPTION

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_the_variables_always_fit_into_a_function(self, function: str) -> None:
        variables = stack(**LONGEST).of_type("AWS::Lambda::Function")[function]["Environment"]["Variables"]
        assert len(json.dumps(variables, separators=(",", ":"))) <= MAX_VARIABLES

    def test_the_longest_is_allowed_and_no_longer_one_is(self) -> None:
        for name, declared in template.read()["Parameters"].items():
            value = LONGEST.get(name, str(declared.get("Default", "")))
            assert is_valid(declared, value), (name, value)
            if name in LONGEST and declared["Type"] == "String" and "AllowedValues" not in declared:
                assert not any(is_valid(declared, f"{value}{more}") for more in ("0", "a", "=", "/a", ".a")), name
