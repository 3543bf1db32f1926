import pytest

from cli.cost import estimate
from onnxlet.errors import InvalidRequestError


def test_a_function_s_month_is_the_sum_of_its_parts() -> None:
    found = estimate(10_000_000, milliseconds=20)
    gb_second = 0.0000133334 * 1769 / 1024
    assert found.parts_usd == {
        "requests": pytest.approx(2.0),
        "duration": pytest.approx(200_000 * gb_second),
        "init": pytest.approx(40_000 * gb_second),
        "logs": pytest.approx(6.0),
        "metrics": pytest.approx(1.2),
    }
    assert found.monthly_usd == pytest.approx(sum(found.parts_usd.values()))
    assert found.monthly_usd == pytest.approx(14.728, abs=1e-3)


def test_what_the_figure_rests_on_is_told() -> None:
    lines = estimate(1_000, milliseconds=20, memory_mib=512, cold_share=0.05).assumptions
    assert "69.1 ms at 512 MiB" in lines[0]
    assert "0.05 of the requests" in lines[1]
    assert "left aside" in lines[2]


def test_other_platforms_and_what_is_free() -> None:
    assert estimate(1_000_000, milliseconds=20, platform="cloud-run", has_free_tier=True).monthly_usd == 0
    assert estimate(0, milliseconds=20, provisioned=1).monthly_usd == pytest.approx(
        730 * 3600 * 0.0000033334 * 1769 / 1024
    )


@pytest.mark.parametrize("wrong", [{"platform": "azure"}, {"architecture": "riscv"}])
def test_what_is_not_known_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidRequestError, match="expected one of lambda, cloud-run"):
        estimate(
            1, milliseconds=1, platform=wrong.get("platform", "lambda"), architecture=wrong.get("architecture", "arm64")
        )
