"""`python -m tests.trust kills --count N`: the figures as one JSON object on stdout; exit code 1 if any is bad."""

from __future__ import annotations

import argparse
import json
import random
import sys
import time

from tests.trust import kills


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.trust")
    parser.add_argument("what", choices=("kills",))
    parser.add_argument("--count", type=int, default=1000, help="random kills")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--points", choices=("all", "few"), default="all", help="kill points of the journal to try")
    args = parser.parse_args()
    began = time.monotonic()
    if args.points == "all":
        swept = kills.at_every_point("fail")
        swept.add(kills.at_every_point("retry", lambda label: "action" in label))
    else:
        swept = kills.at_every_point("fail", lambda label: label in kills.FEW)
    mean_s = (time.monotonic() - began) / max(1, swept.kills)
    began = time.monotonic()
    found = kills.at_random(args.count, args.seed)
    answer = {
        "points": vars(swept) | {"good": swept.good, "seconds_per_kill": round(mean_s, 4)},
        "random": vars(found)
        | {
            "good": found.good,
            "seed": args.seed,
            "seconds_per_kill": round((time.monotonic() - began) / max(1, found.kills), 4),
        },
    }
    print(json.dumps(answer, indent=2))
    return 0 if swept.good and found.good else 1


sys.exit(main())
