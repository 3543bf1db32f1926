from onnxlet_cli.cost.compare import compare
from onnxlet_cli.cost.prices import load_prices
from onnxlet_cli.cost.report import notes, usd
from onnxlet_cli.cost.workload import Workload


def test_small_amounts_differ_from_nothing() -> None:
    assert [usd(amount) for amount in (0, 0.00353, 0.01, 1234.5)] == ["$0.00", "$0.00353", "$0.01", "$1,234.50"]


def test_the_notes_name_the_sizes_that_were_left_out() -> None:
    workload = Workload(5.0, "given", peak_mib=600)
    lines = notes(compare(workload, load_prices(), [1000], [512, 1024]))
    assert lines[-1] == "Left out, because the process needs 600 MiB: 512 MiB."
    assert "free tier not subtracted (--free-tier subtracts it)" in lines[0]
