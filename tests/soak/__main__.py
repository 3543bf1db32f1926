"""`python -m tests.soak`: many clients of one cloud's local runtime for minutes, while its models change under them."""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from onnxlet_cli.local.serve import CLOUDS
from tests.soak import catalogue
from tests.soak.drive import MAX_CLIENTS, MAX_SECONDS, Plan, drive
from tests.soak.report import draw, print_report, problems, to_document


def main() -> int:
    """Drive; returns 1 where a request failed or the memory grew."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help=f"at most {MAX_SECONDS // 60}")
    parser.add_argument("--clients", type=int, default=16, help=f"at most {MAX_CLIENTS}")
    parser.add_argument("--update-s", type=float, default=5, help="between two live updates")
    parser.add_argument("--cloud", choices=sorted(CLOUDS), default="gcp", help="whose local runtime serves")
    default_mib = catalogue.WHOLE.memory_mib
    parser.add_argument(
        "--memory-mib", type=int, default=default_mib, help=f"ONNXLET_MEMORY_MIB, {default_mib}; 0 for the default"
    )
    parser.add_argument("--json", type=Path, help="write all that was measured into this file")
    parser.add_argument("--chart", type=Path, help="draw the memory over time into this PNG")
    arguments = parser.parse_args()
    try:
        size = replace(catalogue.WHOLE, memory_mib=arguments.memory_mib or None)
        plan = Plan(arguments.cloud, arguments.minutes * 60, arguments.clients, arguments.update_s, size)
    except ValueError as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory() as folder:
        outcome = drive(plan, Path(folder))
    print_report(outcome)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(to_document(outcome)))
    if arguments.chart is not None:
        draw(outcome, arguments.chart)
    return 1 if problems(outcome) else 0


if __name__ == "__main__":
    sys.exit(main())
