import json
from pathlib import Path
from typing import Any

import pytest

from onnxlet.http import Request
from onnxlet.settings import Settings
from onnxlet.web.app import App
from onnxlet_cli.bench.report import to_document
from onnxlet_cli.bench.results import Section
from onnxlet_cli.bench.series import Series
from onnxlet_cli.cost import workload
from onnxlet_publishing.errors import UsageError

MEMORY = "Memory Size: 884 MB\tMax Memory Used: 120 MB"

REPORTS = f"""\
START RequestId: 1 Version: 7
REPORT RequestId: 1\tDuration: 30.00 ms\tBilled Duration: 431 ms\t{MEMORY}\tInit Duration: 400.50 ms\t
REPORT RequestId: 2\tDuration: 10.00 ms\tBilled Duration: 10 ms\t{MEMORY}\t
2026-11-21T10:00:00Z REPORT RequestId: 3\tDuration: 20.00 ms\tBilled Duration: 20 ms\t{MEMORY}\t
REPORT RequestId: 4\tDuration: 20.00 ms\tBilled Duration: 20 ms\t{MEMORY}\t
"""


def series(label: str, value: float, unit: str = "ms") -> Series:
    return Series(label, (value, value * 2, value / 2), unit)


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """What `onnxlet bench all --json` prints, with two models."""
    cold = Section(
        "cold",
        "",
        [
            series("mobile: onnxlet", 150),
            series("mobile: onnxlet, JSON", 190),
            series("mobile: onnxlet, peak memory", 90, "MiB"),
        ],
    )
    unthrottled = Section("cold-unthrottled", "", [series("mobile: onnxlet", 90)])
    warm = Section(
        "warm",
        "",
        [
            series("tiny: session.run", 10, "us"),
            series("tiny: aws_http binary", 60, "us"),
            series("mobile: aws_http binary", 8),
            series("mobile: aws_http json", 25),
        ],
    )
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(to_document({}, [cold, unthrottled, warm])))
    return path


class TestBench:
    def test_a_model_s_medians_are_taken(self, bench: Path) -> None:
        found = workload.read_bench(bench, "mobile")
        assert found.milliseconds == 8
        assert found.cold_milliseconds == 150 - 8
        assert found.peak_mib == 90
        in_json = workload.read_bench(bench, "mobile", "json")
        assert (in_json.milliseconds, in_json.cold_milliseconds) == (25, 190 - 25)

    def test_the_first_model_with_cold_starts_is_taken_where_none_is_named(self, bench: Path) -> None:
        assert workload.read_bench(bench) == workload.read_bench(bench, "mobile")

    def test_a_start_that_was_not_measured_is_assumed(self, bench: Path) -> None:
        found = workload.read_bench(bench, "tiny")
        assert found.milliseconds == pytest.approx(0.06)
        assert found.cold_milliseconds == workload.DEFAULT_COLD_MILLISECONDS

    def test_what_is_not_in_it_is_told(self, bench: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="model resnet50: expected one of tiny, mobile"):
            workload.read_bench(bench, "resnet50")
        only_cold = tmp_path / "cold.json"
        only_cold.write_text(json.dumps(to_document({}, [Section("cold", "")])))
        with pytest.raises(UsageError, match="onnxlet bench all"):
            workload.read_bench(only_cold)

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"sections": 1}'])
    def test_other_files_are_refused(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "other.json"
        path.write_text(text)
        with pytest.raises(UsageError, match=r"other\.json: expected a document of `onnxlet bench --json`"):
            workload.read_bench(path)
        with pytest.raises(UsageError, match="cannot be read"):
            workload.read_bench(tmp_path / "none.json")


class TestLogs:
    def test_lambda_s_own_lines_say_all(self, tmp_path: Path) -> None:
        path = tmp_path / "log.txt"
        path.write_text(REPORTS)
        found = workload.read_logs(path)
        # 20 ms on average at 884 of 1,769 MiB are 10 ms on a full vCPU.
        assert found.milliseconds == pytest.approx(20 * 884 / 1769)
        assert (found.cold_milliseconds, found.cold_share) == (400.5, 0.25)

    def test_the_functions_own_lines_say_how_long_and_how_often_cold(self, tmp_path: Path) -> None:
        lines: list[dict[str, Any]] = []
        app = App(Settings(f"memory://{tmp_path.name}"), write_line=lambda line: lines.append(dict(line)))
        for _ in range(4):
            app.handle(Request("GET", "/v2", b"", {}))
        path = tmp_path / "log.jsonl"
        path.write_text("".join(f"2026-11-21T10:00:00Z {json.dumps(line)}\n" for line in lines) + "not ours {\n")
        found = workload.read_logs(path)
        assert found.cold_share == 0.25
        assert found.milliseconds == pytest.approx(sum(line["milliseconds"] for line in lines[1:]) / 3)
        assert found.payload_bytes == lines[0]["response_bytes"]
        assert found.source == "4 requests in log.jsonl"

    def test_a_log_of_something_else_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "log.txt"
        path.write_text("GET / 200\n{}\n")
        with pytest.raises(UsageError, match="REPORT lines"):
            workload.read_logs(path)
        with pytest.raises(UsageError, match="cannot be read"):
            workload.read_logs(tmp_path / "none.txt")


class TestTime:
    def test_less_memory_is_less_cpu_and_more_is_no_more(self) -> None:
        found = workload.measured(20, 1769)
        assert found.milliseconds_at(1769) == 20
        assert found.milliseconds_at(884) == pytest.approx(20 * 1769 / 884)
        assert found.milliseconds_at(10_240) == 20

    def test_a_time_is_known_by_the_memory_that_it_was_measured_at(self) -> None:
        assert workload.measured(69.1, 512).milliseconds == pytest.approx(20, rel=1e-3)
        assert workload.measured(20, 3008).milliseconds == 20


class TestOptions:
    @pytest.mark.parametrize(("text", "share"), [("1%", 0.01), ("0.01", 0.01), ("0", 0), ("100%", 1)])
    def test_shares_are_read(self, text: str, share: float) -> None:
        assert workload.parse_share(text, "--cold-share") == share

    @pytest.mark.parametrize("text", ["", "some", "-1%", "101%", "nan"])
    def test_other_shares_are_refused(self, text: str) -> None:
        with pytest.raises(UsageError, match="--cold-share"):
            workload.parse_share(text, "--cold-share")

    def test_numbers_are_read_in_order(self) -> None:
        assert workload.parse_numbers("10_000_000, 1000,1000", "--n", 1, 10**8) == [1000, 10_000_000]

    @pytest.mark.parametrize("text", ["", "1e6", "-5", "0", "1,,2", "²", "9" * 20])
    def test_other_numbers_are_refused(self, text: str) -> None:
        with pytest.raises(UsageError, match="--n"):
            workload.parse_numbers(text, "--n", 1, 10**8)
