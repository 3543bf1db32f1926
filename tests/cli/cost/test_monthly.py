import pytest

from onnxlet_cli.cost.monthly import estimate
from onnxlet_cli.cost.offers import Extras
from onnxlet_publishing.errors import UsageError


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
    assert "free tier not subtracted" in lines[2]


def test_other_platforms_and_what_is_free() -> None:
    assert estimate(1_000_000, milliseconds=20, platform="cloud-run", has_free_tier=True).monthly_usd == 0
    assert estimate(0, milliseconds=20, extras=Extras(provisioned=1)).monthly_usd == pytest.approx(
        730 * 3600 * 0.0000033334 * 1769 / 1024
    )


@pytest.mark.parametrize("wrong", [{"platform": "azure"}, {"architecture": "riscv"}])
def test_what_is_not_known_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="expected one of lambda, cloud-run"):
        estimate(
            1, milliseconds=1, platform=wrong.get("platform", "lambda"), architecture=wrong.get("architecture", "arm64")
        )


GB = 1769 / 1024
MONTH_S = 730 * 3600


def test_a_snapshot_is_billed_whether_it_is_used_or_not_and_each_start_from_it() -> None:
    idle = estimate(0, milliseconds=20, extras=Extras(has_snapshots=True))
    assert idle.parts_usd["snapshot"] == pytest.approx(GB * MONTH_S * 0.0000015046)
    assert idle.monthly_usd == idle.idle_usd == pytest.approx(6.83, abs=0.01)
    busy = estimate(1_000_000, milliseconds=20, extras=Extras(has_snapshots=True), cold_share=0.02)
    assert busy.parts_usd["restores"] == pytest.approx(20_000 * GB * 0.0001397998)
    assert "init" not in busy.parts_usd, "which a snapshot takes the place of"


def test_an_api_is_billed_by_the_request() -> None:
    found = estimate(2_000_000, milliseconds=20, extras=Extras(has_api=True))
    assert found.parts_usd["API Gateway"] == pytest.approx(7.0)
    assert found.idle_usd == 0


def test_an_empty_queue_is_polled_all_month() -> None:
    """Five connections that each ask again every 20 seconds: 657,000 requests."""
    assert estimate(0, milliseconds=20, extras=Extras(queues=1)).parts_usd == pytest.approx(
        {"queue polling": 0.2628, "requests": 0, "duration": 0, "init": 0, "logs": 0, "metrics": 0}
    )
    assert estimate(0, milliseconds=20, extras=Extras(queues=1), has_free_tier=True).idle_usd == 0
    two = estimate(0, milliseconds=20, extras=Extras(queues=2), has_free_tier=True)
    assert two.idle_usd == pytest.approx(0.314 * 0.40)


def test_alarms_and_dashboards_are_billed_while_idle() -> None:
    found = estimate(0, milliseconds=20, extras=Extras(alarms=10, dashboards=1))
    assert found.parts_usd["alarms"] == pytest.approx(1.0)
    assert found.parts_usd["dashboards"] == pytest.approx(3.0)
    assert estimate(0, milliseconds=20, extras=Extras(alarms=10, dashboards=1), has_free_tier=True).idle_usd == 0


@pytest.mark.parametrize(("memory_mib", "vcpus"), [(1024, 1), (8192, 2)])
def test_minimum_instances_are_billed_at_the_idle_rate(memory_mib: int, vcpus: int) -> None:
    found = estimate(0, milliseconds=20, memory_mib=memory_mib, platform="cloud-run", extras=Extras(min_instances=2))
    assert found.idle_usd == pytest.approx(2 * MONTH_S * 0.0000025 * (vcpus + memory_mib / 1024))
    assert found.parts_usd["minimum instances"] == found.monthly_usd


@pytest.mark.parametrize(("platform", "architecture"), [("lambda", "arm64"), ("cloud-run", "x86_64")])
def test_traffic_and_extras_are_billed_on_both_clouds(platform: str, architecture: str) -> None:
    few, many = (
        estimate(requests, milliseconds=20, platform=platform, architecture=architecture)
        for requests in (1000, 10_000_000)
    )
    assert few.monthly_usd < many.monthly_usd


def test_what_is_billed_while_idle_does_not_depend_on_the_traffic() -> None:
    extras = Extras(min_instances=1)
    few, many = (
        estimate(requests, milliseconds=20, memory_mib=1024, platform="cloud-run", extras=extras)
        for requests in (1, 1_000_000)
    )
    assert few.idle_usd == many.idle_usd > 0
