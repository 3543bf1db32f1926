import json
from dataclasses import replace
from pathlib import Path

import pytest

from onnxlet_cli.cost import offers
from onnxlet_cli.cost.chart import draw
from onnxlet_cli.cost.compare import Comparison, break_even, cheapest, compare, to_document
from onnxlet_cli.cost.offers import Meter, Offer
from onnxlet_cli.cost.prices import load_prices
from onnxlet_cli.cost.workload import Workload

WORKLOAD = Workload(20.0, "by hand", cold_milliseconds=400.0, cold_share=0.01)
SIZES = [512, 1769]


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare(WORKLOAD, load_prices(), [1_000, 10_000_000], SIZES)


def offer(usd: float, *, fixed: float = 0.0, free: float = 0.0) -> Offer:
    """So much for each request after the free ones."""
    return Offer("any", "arm64", 1769, 20.0, (Meter("requests", 1, usd, "free"),), {"fixed": fixed}, {"free": free})


class TestBreakEven:
    # A c7g.medium costs 730 * 0.0363 = 26.499 dollars, and answers 65,700,000 requests.
    instance = offers.always_on(WORKLOAD, load_prices(), "arm64")

    def test_it_is_where_the_offer_costs_as_much_as_one_instance(self) -> None:
        assert break_even(offer(1e-6), self.instance) == pytest.approx(26_499_000)

    def test_what_is_free_moves_it(self) -> None:
        assert break_even(offer(1e-6, free=2e6), self.instance) == pytest.approx(28_499_000)

    def test_what_is_fixed_may_alone_cost_more(self) -> None:
        assert break_even(offer(1e-6, fixed=30), self.instance) == pytest.approx(0, abs=1)

    def test_a_full_instance_may_never_cost_less(self) -> None:
        # 26.499 / 65,700,000 = 4.03e-7 dollars a request.
        assert break_even(offer(4.0e-7), self.instance) is None
        assert break_even(offer(4.1e-7), self.instance) == pytest.approx(26.499 / 4.1e-7)

    def test_it_may_take_more_than_one_instance(self) -> None:
        # What one full instance answers costs 25.71 dollars with three million free, what two answer 52.64; what three
        # answer costs 79.58, and they cost 79.497.
        found = break_even(offer(4.1e-7, free=3e6), self.instance)
        assert found == pytest.approx(3 * 26.499 / 4.1e-7 + 3e6)
        assert self.instance.count(found or 0) == 3


def test_a_real_offer_breaks_even_where_both_cost_the_same(comparison: Comparison) -> None:
    for row in comparison.rows:
        assert row.break_even is not None
        assert row.offer.monthly_usd(row.break_even) == pytest.approx(
            row.instance.monthly_usd(row.break_even), rel=1e-6
        )
        assert row.instance.type.architecture == row.offer.architecture


def test_the_document_holds_every_part(comparison: Comparison) -> None:
    document = json.loads(json.dumps(to_document(comparison)))
    first = document["offers"][0]
    assert (first["platform"], first["architecture"], first["memory_mib"]) == ("Lambda", "arm64", 512)
    assert first["monthly_usd"]["10000000"] == pytest.approx(sum(first["parts_usd"]["10000000"].values()))
    assert document["workload"]["cold_share"] == 0.01
    assert {instance["type"] for instance in document["instances"]} == {"c7g.medium", "c7i.large"}
    assert document["prices"]["date"] == load_prices().date


def test_sizes_that_the_process_outgrows_are_left_out() -> None:
    found = compare(replace(WORKLOAD, peak_mib=600.0), load_prices(), [1_000], SIZES)
    assert found.too_small_mib == (512,)
    assert {row.offer.memory_mib for row in found.rows} == {1769, 2048}


def test_each_platform_is_drawn_once_in_its_cheapest_size(comparison: Comparison, tmp_path: Path) -> None:
    found = cheapest(comparison)
    assert list(found) == ["Lambda arm64", "Lambda x86_64", "Cloud Run x86_64", "SageMaker x86_64"]
    assert all(each.memory_mib in {512, 1024} for each in found.values())
    draw(comparison, tmp_path / "cost.png")
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")
