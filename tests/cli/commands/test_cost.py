"""`onnxlet cost`, as a user runs it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from onnxlet_cli.cost.prices import FILE
from onnxlet_cli.cost.report import usd
from onnxlet_cli.main import app
from onnxlet_publishing.errors import UsageError
from tests.helpers import forked


def onnxlet(*arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["cost", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_the_table_has_a_row_for_each_offer_and_a_column_for_each_traffic() -> None:
    lines = onnxlet("--milliseconds", "20", "--requests-per-month", "1000,10000000").splitlines()
    assert lines[0].startswith("20 ms at 1769 MiB: 20 ms a warm request on a full vCPU; 0.01 of the requests start")
    head = next(line for line in lines if "per million" in line)
    assert "at 1,000 a month" in head
    assert "at 10,000,000 a month" in head
    (row,) = [line.split() for line in lines if line.startswith("Lambda arm64") and "1,769" in line]
    assert row[2:] == ["1,769", "20.0", "$1.35", "$1.20", "$14.73", "18,701,001", "a", "month"]
    assert any("10,000,000 requests: requests $2.00, duration $4.67, init" in line for line in lines)
    assert any(line.startswith("c7g.medium arm64, always on") for line in lines)


def test_machines_get_all_of_it(tmp_path: Path) -> None:
    chart = tmp_path / "cost.png"
    text = onnxlet(
        "--milliseconds",
        "20",
        "--cold-share",
        "5%",
        "--cold-milliseconds",
        "900",
        "--free-tier",
        "--json",
        "--chart",
        str(chart),
    )
    document = json.loads(text)
    assert (document["workload"]["cold_share"], document["workload"]["cold_milliseconds"]) == (0.05, 900)
    assert document["offers"][0]["monthly_usd"] == {"1000000": 0}
    assert chart.read_bytes().startswith(b"\x89PNG")


def test_prices_of_another_date_are_named_and_used(tmp_path: Path) -> None:
    document = json.loads(FILE.read_text())
    document["date"] = "2027-01-31"
    document["prices"]["lambda_request"]["usd"] = 200
    (tmp_path / "mine.json").write_text(json.dumps(document))
    text = onnxlet("--milliseconds", "20", "--prices", str(tmp_path / "mine.json"))
    assert f"List prices in US dollars of 2027-01-31, sources in {tmp_path / 'mine.json'}" in " ".join(text.split())
    assert "1,000,000 requests: requests $200.00" in text
    with pytest.raises(UsageError, match=r"none\.json: cannot be read"):
        onnxlet("--milliseconds", "20", "--prices", str(tmp_path / "none.json"))


def test_memory_says_what_was_measured() -> None:
    document = json.loads(
        onnxlet("--milliseconds", "69.1", "--memory", "512", "--sizes", "1769", "--payload-kb", "2", "--json")
    )
    assert document["offers"][0]["milliseconds"] == pytest.approx(20, rel=1e-3)
    assert document["workload"]["payload_bytes"] == 2000


@pytest.mark.parametrize(
    "arguments",
    [[], ["--milliseconds", "1", "--logs", "x"], ["--bench", "none.json"], ["--milliseconds", "1", "--sizes", "64"]],
)
def test_what_cannot_be_worked_out_is_refused(arguments: list[str]) -> None:
    with pytest.raises(UsageError):
        onnxlet(*arguments)


def test_an_error_is_one_line(tmp_path: Path) -> None:
    done = forked.run(["cost"], tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "onnxlet: expected one of --milliseconds N, --bench FILE.json and --logs FILE\n"


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "$0.00"), (0.00358, "$0.00358"), (1.2, "$1.20"), (12345.678, "$12,345.68")]
)
def test_amounts_have_the_digits_that_tell_them_from_nothing(amount: float, text: str) -> None:
    assert usd(amount) == text
