"""`python -m tests.faults`: do the laws hold, whatever the store does? Seeded runs, and a storm of events."""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from rich.console import Console

import tests.conftest  # noqa: F401 - it takes the machine's own credentials out of the environment
from tests.faults.laws import LAWS
from tests.faults.run import SCHEMES, Outcome, run_seeds
from tests.faults.storm import Storm, run_storm

CONSOLE = Console(soft_wrap=True, highlight=False, markup=False)

PORTION = 20
"""Seeds that a process runs before it says how they went."""


def main() -> int:
    """Run; returns 1 where a law is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many runs on each cloud's store")
    parser.add_argument("--first", type=int, default=0, help="the first seed; with --seeds 1 to repeat one run")
    parser.add_argument("--clouds", nargs="+", choices=SCHEMES, default=list(SCHEMES))
    parser.add_argument("--objects", type=int, default=10_000, help="in the storm; 0 for none")
    arguments = parser.parse_args()
    started_s = time.monotonic()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    context = multiprocessing.get_context("spawn")  # obstore does not survive a fork
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        storms = [pool.submit(run_storm, arguments.objects, arguments.first)] if arguments.objects else []
        portions = [
            pool.submit(run_seeds, scheme, seeds[start : start + PORTION])
            for start in range(0, len(seeds), PORTION)
            for scheme in arguments.clouds
        ]
        outcomes: list[Outcome] = []
        for portion in as_completed(portions):
            outcomes += portion.result()
            tell_broken(portion.result())
        is_broken = summarize(outcomes, time.monotonic() - started_s) if outcomes else False
        for each in storms:
            is_broken |= tell_storm(each.result())
    return int(is_broken)


def tell_broken(outcomes: Sequence[Outcome]) -> None:
    """Say of each run that broke a law how, and how to repeat it."""
    for outcome in outcomes:
        for violation in outcome.violations:
            CONSOLE.print(f"{outcome.scheme} seed {outcome.seed}: {violation}")
        if outcome.violations:
            CONSOLE.print(f"  again: {repeat(outcome)}")


def repeat(outcome: Outcome) -> str:
    """The command that repeats a run."""
    return f"python -m tests.faults --seeds 1 --first {outcome.seed} --clouds {outcome.scheme} --objects 0"


def summarize(outcomes: Sequence[Outcome], seconds: float) -> bool:
    """Add the runs up; gives whether any broke a law."""
    faults = sum((outcome.faults for outcome in outcomes), Counter[str]())
    requests = sum(outcome.requests for outcome in outcomes)
    broken = sum(len(outcome.violations) for outcome in outcomes)
    CONSOLE.print(
        f"{len(outcomes)} runs in {seconds:.0f} s: {requests} requests, {faults.total()} faults, "
        f"{sum(outcome.acknowledged for outcome in outcomes)} changes acknowledged, "
        f"{sum(outcome.answers for outcome in outcomes)} answers"
    )
    CONSOLE.print("  " + ", ".join(f"{kind} {count}" for kind, count in faults.most_common()))
    CONSOLE.print(f"  {len(LAWS)} laws after each run: {broken} violations")
    return broken > 0


def tell_storm(found: Storm) -> bool:
    """Add a storm up; gives whether it broke a law."""
    CONSOLE.print(
        f"storm of {found.objects} objects in {found.seconds:.0f} s: {found.deliveries} deliveries, "
        f"{found.requests} requests, {found.error_rate:.1%} of them failed, {found.laid_aside} messages laid aside: "
        f"{found.results} results, {found.errors} errors, {len(found.violations)} violations"
    )
    CONSOLE.print("".join(f"  {violation}\n" for violation in found.violations[:20]), end="")
    return bool(found.violations)


if __name__ == "__main__":
    sys.exit(main())
