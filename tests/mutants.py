"""Mutation testing: small faults put into the contract and the registry one by one, each of which a test must find.

Every run begins anew, so that nothing counts that a test of yesterday found. `pyproject.toml` says what is mutated and
which tests are run; these folders and files stay for who asks about a mutant afterwards:

    cd .mutants && ../.venv/bin/mutmut show NAME      # what it changes
    cd .mutants && ../.venv/bin/mutmut run NAME       # and whether the tests find it now
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".mutants"
MUTMUT = Path(sys.executable).with_name("mutmut")

AT_LEAST = 0.85
"""The share of mutants that the tests must find."""


def main() -> int:
    """Make the mutants, test each, and say which live; 1 where these are too many."""
    make_folder()
    subprocess.run([MUTMUT, "run"], cwd=FOLDER, check=True)
    subprocess.run([MUTMUT, "results"], cwd=FOLDER, check=True)
    subprocess.run([MUTMUT, "export-cicd-stats"], cwd=FOLDER, check=True, stdout=subprocess.DEVNULL)
    counts: dict[str, int] = json.loads((FOLDER / "mutants/mutmut-cicd-stats.json").read_text())
    found = counts["killed"] / counts["total"]
    print(", ".join(f"{name} {count}" for name, count in counts.items() if count))
    print(f"{found:.1%} of the mutants were killed by a test, {AT_LEAST:.0%} must be")
    return int(found < AT_LEAST)


def make_folder() -> None:
    """Where mutmut finds the code as `src`: of other names for its folder it would test the original."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    for name, target in (("src", "functions"), ("tests", "tests"), ("pyproject.toml", "pyproject.toml")):
        (FOLDER / name).symlink_to(ROOT / target)


if __name__ == "__main__":
    sys.exit(main())
