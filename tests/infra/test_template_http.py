import pytest

from onnxlet.errors import SettingsError
from onnxlet.settings import Settings
from tests.helpers.template_stack import is_valid, stack
from tests.infra import template


class TestHttp:
    def test_iam_alone_is_asked_by_default(self) -> None:
        found = stack()
        (url,) = found.of_type("AWS::Lambda::Url").values()
        assert (url["AuthType"], url["Qualifier"]) == ("AWS_IAM", "live")
        assert found.of_type("AWS::Lambda::Permission") == {}
        assert found.of_type("AWS::ApiGateway::RestApi") == {}

    def test_the_public_has_both_permissions_that_a_url_needs(self) -> None:
        found = stack(UrlAuth="NONE")
        (url,) = found.of_type("AWS::Lambda::Url").values()
        assert url["AuthType"] == "NONE"
        permissions = found.of_type("AWS::Lambda::Permission").values()
        assert {item["Action"] for item in permissions} == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
        for item in permissions:
            # without these anybody could call Invoke itself
            assert item.get("FunctionUrlAuthType") == "NONE" or item.get("InvokedViaFunctionUrl") is True
            assert item["FunctionName"] == "<HttpFunctionAliaslive>"

    def test_a_preflight_needs_no_key_of_the_api_where_origins_are_listed_and_only_there(self) -> None:
        for given in ({}, {"CorsOrigins": "*"}, {"UrlAuth": "API_KEY"}):
            found = stack(**given)
            methods = found.of_type("AWS::ApiGateway::Method").values()
            assert all(item["HttpMethod"] == "ANY" and item["ApiKeyRequired"] for item in methods)
        listed = stack(UrlAuth="API_KEY", CorsOrigins="https://a.example,http://localhost:3000")
        methods = listed.of_type("AWS::ApiGateway::Method").values()
        open_to_all = {item["ResourceId"]: item for item in methods if not item["ApiKeyRequired"]}
        assert open_to_all.keys() == {"<Api.RootResourceId>", "<ApiPath>"}
        for item in open_to_all.values():
            assert item["HttpMethod"] == "OPTIONS"
            (same,) = [each for each in methods if each["ResourceId"] == item["ResourceId"] and each["ApiKeyRequired"]]
            assert (item["Integration"], same["HttpMethod"]) == (same["Integration"], "ANY")

    def test_the_stage_serves_a_deployment_that_was_made_after_its_methods(self) -> None:
        """A deployment is a snapshot: one of before would not have the preflights' methods."""
        for given, name in (({}, "ApiDeployment"), ({"CorsOrigins": "*"}, "ApiPreflightDeployment")):
            found = stack(UrlAuth="API_KEY", **given)
            (stage,) = found.of_type("AWS::ApiGateway::Stage").values()
            assert stage["DeploymentId"] == f"<{name}>"
            assert set(found.of_type("AWS::ApiGateway::Method")) == set(found.resources[name]["DependsOn"])

    @pytest.mark.parametrize(
        ("text", "is_allowed"),
        [
            ("", True),
            ("*", True),
            ("https://app.example.com", True),
            ("https://app.example.com,http://localhost:3000 http://[::1]:8080", True),
            ("* https://app.example.com", False),
            ("https://app.example.com/", False),
            ("https://*.example.com", False),
            ("app.example.com", False),
            ("https://App.example.com", False),
        ],
    )
    def test_origins_are_refused_by_cloudformation_where_no_function_would_start(
        self, text: str, is_allowed: bool
    ) -> None:
        assert is_valid(template.read()["Parameters"]["CorsOrigins"], text) == is_allowed
        given = {"ONNXLET_REGISTRY": "s3://b", "ONNXLET_CORS_ORIGINS": text}
        if is_allowed:
            assert Settings.from_environment(given).cors_origins == tuple(text.replace(",", " ").split())
        else:
            with pytest.raises(SettingsError):
                Settings.from_environment(given)

    def test_keys_come_with_an_api_and_without_a_url(self) -> None:
        found = stack(UrlAuth="API_KEY")
        assert found.of_type("AWS::Lambda::Url") == {}
        methods = found.of_type("AWS::ApiGateway::Method").values()
        assert {item["ResourceId"] for item in methods} == {"<Api.RootResourceId>", "<ApiPath>"}
        assert all(item["ApiKeyRequired"] and item["HttpMethod"] == "ANY" for item in methods)
        (permission,) = found.of_type("AWS::Lambda::Permission").values()
        assert permission["SourceArn"].endswith(":<Api>/live/*")
        (plan,) = found.of_type("AWS::ApiGateway::UsagePlan").values()
        assert plan["Throttle"]["RateLimit"] == "50"
        assert plan["Quota"] == {"Limit": "1000000", "Period": "MONTH"}
        assert found.outputs()["HttpUrl"] == "https://<Api>.execute-api.us-east-1.amazonaws.com/live"
        assert found.outputs()["ApiKeyId"] == "<ApiKey>"

    def test_a_canary_is_taken_back_by_the_alarms_of_what_callers_notice(self) -> None:
        found = stack(CanaryDeployment="true")
        (group,) = found.of_type("AWS::CodeDeploy::DeploymentGroup").values()
        assert group["AlarmConfiguration"]["Alarms"] == [
            {"Name": "<HttpErrors>"},
            {"Name": "<HttpFailures>"},
            {"Name": "<HttpSlow>"},
        ]
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        assert not any(item["Type"].startswith("AWS::CodeDeploy") for item in stack().resources.values())
