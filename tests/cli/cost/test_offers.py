"""What is billed, beside numbers worked out by hand from the list prices of 2026-11-21."""

from dataclasses import replace

import pytest

from onnxlet_cli.cost import offers
from onnxlet_cli.cost.prices import Prices, load_prices
from onnxlet_cli.cost.workload import Workload

WORKLOAD = Workload(20.0, "by hand", cold_milliseconds=400.0, cold_share=0.01)


@pytest.fixture(scope="module")
def prices() -> Prices:
    return load_prices()


@pytest.fixture(scope="module")
def with_free_tier() -> Prices:
    return load_prices(has_free_tier=True)


class TestLambda:
    def test_a_million_requests_on_arm64_with_a_full_vcpu(self, prices: Prices) -> None:
        parts = offers.on_lambda(WORKLOAD, prices, "arm64", 1769).parts(1_000_000)
        gb = 1769 / 1024
        assert parts == {
            "requests": pytest.approx(0.20),
            "duration": pytest.approx(1e6 * 0.020 * gb * 0.0000133334),
            "init": pytest.approx(1e4 * 0.400 * gb * 0.0000133334),
            "logs": pytest.approx(1.2 * 0.50),
            "metrics": pytest.approx(4 * 0.30),
        }
        assert parts["duration"] == pytest.approx(0.46068, abs=1e-5)
        assert parts["init"] == pytest.approx(0.09214, abs=1e-5)

    def test_half_the_memory_takes_twice_as_long_and_costs_as_much(self, prices: Prices) -> None:
        half, whole = (offers.on_lambda(WORKLOAD, prices, "x86_64", size) for size in (885, 1770))
        assert half.milliseconds == pytest.approx(39.98, abs=0.01)
        assert half.parts(1e6)["duration"] == pytest.approx(1e6 * 0.040 * 885 / 1024 * 0.0000166667)
        assert half.parts(1e6)["duration"] == pytest.approx(whole.parts(1e6)["duration"], rel=1e-3)

    def test_time_is_rounded_up_to_a_millisecond(self, prices: Prices) -> None:
        tiny = replace(WORKLOAD, milliseconds=0.06)
        duration = offers.on_lambda(tiny, prices, "x86_64", 1024 * 2).parts(1e6)["duration"]
        assert duration == pytest.approx(1e6 * 0.001 * 2 * 0.0000166667)

    def test_few_requests_pay_for_the_metrics_of_their_hours_alone(self, prices: Prices) -> None:
        offer = offers.on_lambda(WORKLOAD, prices, "arm64", 1769)
        assert offer.parts(73)["metrics"] == pytest.approx(0.12)
        assert offer.parts(1_000)["metrics"] == pytest.approx(1.20)

    def test_provisioned_concurrency_is_paid_all_month_and_starts_nothing(self, prices: Prices) -> None:
        parts = offers.on_lambda(WORKLOAD, prices, "x86_64", 1024, offers.Extras(provisioned=2)).parts(1e6)
        milliseconds = 35  # 20 ms at 1,024 of 1,769 MiB, rounded up
        assert parts["provisioned"] == pytest.approx(2 * 730 * 3600 * 0.0000041667)
        assert parts["duration"] == pytest.approx(1e6 * milliseconds / 1000 * 0.0000097222)
        assert "init" not in parts

    def test_what_is_free_is_taken_off_once(self, with_free_tier: Prices) -> None:
        offer = offers.on_lambda(WORKLOAD, with_free_tier, "arm64", 1024)
        # 35 ms and 4 ms of init a request: 39,000 GB-seconds of 400,000 that are free.
        assert offer.monthly_usd(1_000_000) == 0
        parts = offer.parts(20_000_000)
        assert parts["requests"] == pytest.approx(19 * 0.20)
        assert parts["duration"] == pytest.approx((700_000 - 400_000) * 0.0000133334)
        assert parts["init"] == pytest.approx(80_000 * 0.0000133334)
        assert parts["logs"] == pytest.approx((24 - 5) * 0.50)
        assert parts["metrics"] == 0

    def test_each_further_million_costs_the_same(self, prices: Prices) -> None:
        offer = offers.on_lambda(WORKLOAD, prices, "arm64", 1769)
        assert offer.per_million_usd == pytest.approx(offer.monthly_usd(9e6) - offer.monthly_usd(8e6))
        assert offer.per_million_usd == pytest.approx(0.20 + 0.46068 + 0.09214 + 0.60, abs=1e-4)


class TestCloudRun:
    def test_a_million_requests(self, prices: Prices) -> None:
        offer = offers.on_cloud_run(WORKLOAD, prices, 1024)
        # Each request is 100 ms, and each of 10,000 starts 400 ms, of one vCPU and one GiB.
        assert offer.parts(1e6) == {
            "requests": pytest.approx(0.40),
            "duration": pytest.approx(100_000 * 0.000024),
            "init": pytest.approx(4_000 * 0.000024),
            "memory": pytest.approx(104_000 * 0.0000025),
            "logs": pytest.approx(1.2e9 / 1024**3 * 0.50),
        }
        assert offer.architecture == "x86_64"

    def test_more_memory_needs_more_vcpus(self, prices: Prices) -> None:
        small, large = (offers.on_cloud_run(WORKLOAD, prices, size) for size in (4096, 4097))
        assert large.parts(1e6)["duration"] == pytest.approx(2 * small.parts(1e6)["duration"])

    def test_what_is_free_is_taken_off(self, with_free_tier: Prices) -> None:
        offer = offers.on_cloud_run(WORKLOAD, with_free_tier, 1024)
        assert offer.monthly_usd(1e6) == 0
        parts = offer.parts(10e6)
        assert parts["duration"] == pytest.approx((1_000_000 - 180_000) * 0.000024)
        assert parts["init"] == pytest.approx(40_000 * 0.000024)
        assert parts["memory"] == pytest.approx((1_040_000 - 360_000) * 0.0000025)


class TestSageMaker:
    def test_a_million_requests(self, prices: Prices) -> None:
        parts = offers.on_sagemaker(replace(WORKLOAD, payload_bytes=100_000), prices, 2048).parts(1e6)
        assert parts == {
            "duration": pytest.approx(1e6 * 2 * 0.020 * 0.00002),
            "data": pytest.approx(100 * 0.016),
            "logs": pytest.approx(0.60),
        }


class TestAlwaysOn:
    def test_instances_are_added_as_they_fill(self, prices: Prices) -> None:
        instance = offers.always_on(WORKLOAD, prices, "arm64")
        assert instance.type.name == "c7g.medium"
        # One vCPU, busy half of 2,628,000 seconds, 20 ms each.
        assert instance.capacity == pytest.approx(65_700_000)
        assert instance.monthly_usd(1_000) == pytest.approx(730 * 0.0363)
        assert instance.monthly_usd(65_700_001) == pytest.approx(2 * 730 * 0.0363)

    def test_an_instance_of_two_vcpus_answers_twice_as_many(self, prices: Prices) -> None:
        assert offers.always_on(WORKLOAD, prices, "x86_64").capacity == pytest.approx(131_400_000)


def test_every_platform_is_offered_in_the_sizes_that_it_has(prices: Prices) -> None:
    found = [
        (offer.platform, offer.architecture, offer.memory_mib)
        for offer in offers.all_offers(WORKLOAD, prices, [512, 1769, 10_240])
    ]
    assert found == [
        *(("Lambda", architecture, size) for architecture in ("arm64", "x86_64") for size in (512, 1769, 10_240)),
        *(("Cloud Run", "x86_64", size) for size in (512, 1769, 10_240)),
        *(("SageMaker", "x86_64", size) for size in (1024, 2048)),
    ]
