import pytest

from onnxlet_cli.package.target import Target, parse_target, warnings
from onnxlet_publishing.errors import UsageError


def test_each_cloud_has_its_own_default_processor() -> None:
    assert parse_target("aws", None, "3.13") == Target("aws", "arm64", "3.13")
    assert parse_target("gcp", None, "3.13") == Target("gcp", "x86_64", "3.13")


@pytest.mark.parametrize(
    ("cloud", "arch", "python", "text"),
    [
        ("azure", None, "3.13", "--cloud azure: expected aws or gcp"),
        ("aws", "aarch64", "3.13", "--arch aarch64: expected arm64 or x86_64"),
        ("gcp", "arm64", "3.13", "--arch arm64: GCP's functions run on x86_64 only"),
        ("aws", "arm64", "3.13.1", "--python 3.13.1: expected a minor version"),
        ("aws", "arm64", "3.10", "--python 3.10: expected a minor version from 3.11 on"),
    ],
)
def test_what_cannot_be_packaged_is_refused(cloud: str, arch: str | None, python: str, text: str) -> None:
    with pytest.raises(UsageError, match=text.replace(".", r"\.")):
        parse_target(cloud, arch, python)


def test_every_tag_between_the_oldest_and_the_newest_is_named_and_none_that_is_newer_than_the_cloud() -> None:
    tags = Target("aws", "arm64", "3.13").platform_tags
    assert tags[0] == "manylinux_2_34_aarch64"
    assert {"manylinux_2_28_aarch64", "manylinux_2_24_aarch64", "manylinux2014_aarch64"} < set(tags)
    assert "manylinux_2_35_aarch64" not in tags


def test_a_python_whose_lambda_is_too_old_for_the_wheels_is_told() -> None:
    assert warnings(Target("aws", "x86_64", "3.12")) == []
    assert "deploy on 3.12 or newer" in warnings(Target("aws", "x86_64", "3.11"))[0]
