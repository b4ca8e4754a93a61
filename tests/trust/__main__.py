"""`python -m tests.trust NAME …`: measures, prints one JSON object, and exits 1 if something did not pass."""

from __future__ import annotations

import argparse
import json
import random
import sys

from tests.trust import deliveries, hardships, mutants, soak, stories, sweeps

MEASUREMENTS = {
    # name: (measures, says whether that will do, count where none is given)
    "kills": (sweeps.measure, sweeps.passed, 10_000),
    "deliveries": (deliveries.measure, deliveries.good, 1000),
    "hardships": (hardships.measure, hardships.passed, 0),
    "stories": (stories.measure, stories.passed, 100_000),
    "mutants": (mutants.measure, mutants.passed, 60),
    "soak": (soak.measure, soak.passed, 60),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.trust")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASUREMENTS)} (default: all)")
    parser.add_argument(
        "--count", type=int, help="random kills (10000), incidents (1000), stories (100000), mutants (60), minutes (60)"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="repeat what was measured")
    parser.add_argument("--points", choices=("all", "few"), default="all", help="kills: points of the journal to try")
    parser.add_argument("--only", default="", help="mutants: only modules whose path contains this")
    parser.add_argument("--jobs", type=int, default=2, help="mutants and stories: processes (2)")
    parser.add_argument("--kills", type=int, default=20, help="deliveries: how often the receiver is killed meanwhile")
    parser.add_argument("--hours", type=float, default=0.0, help="soak: how long (an hour)")
    parser.add_argument("--minutes", type=float, default=0.0, help="soak: the same in minutes")
    parser.add_argument("--restart-every", type=float, default=300.0, help="soak: seconds that a daemon lives (300)")
    parser.add_argument("--incident-every", type=float, default=0.0, help="soak: seconds (a 25th of that)")
    args = parser.parse_args()
    if unknown := set(args.names) - set(MEASUREMENTS):
        parser.error(f"no measurement {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    figures: dict[str, object] = {"seed": args.seed}
    well = True
    for name in args.names or MEASUREMENTS:
        measure, passed, count = MEASUREMENTS[name]
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        found = measure(args.count or count, args)
        figures[name] = {**found, "passed": passed(found)}
        well = well and passed(found)
    print(json.dumps(figures, indent=2))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
