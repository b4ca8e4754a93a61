"""`python -m tests.trust NAME …`: measures, prints one JSON object, and exits 1 if something did not pass."""

from __future__ import annotations

import argparse
import json
import random
import sys

from tests.trust import deliveries

MEASUREMENTS = {
    # name: (measures, says whether that will do)
    "deliveries": (deliveries.measure, deliveries.passed),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.trust")
    parser.add_argument("names", nargs="*", choices=[[], *MEASUREMENTS], help="default: all")
    parser.add_argument("--count", type=int, default=200, help="incidents, runs or kills: the size of each measurement")
    parser.add_argument("--kills", type=int, default=20, help="deliveries: how often the receiver is killed meanwhile")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="repeat what was measured")
    args = parser.parse_args()
    figures: dict[str, object] = {"seed": args.seed}
    well = True
    for name in args.names or MEASUREMENTS:
        measure, passed = MEASUREMENTS[name]
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        found = measure(args)
        figures[name] = {**found, "passed": passed(found)}
        well = well and passed(found)
    print(json.dumps(figures, indent=2))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
