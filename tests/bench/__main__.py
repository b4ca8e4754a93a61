"""`python -m tests.bench [NAME ...]`: run the measurements (all of them, or those named) and print one JSON object."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from tests.bench import startup

if TYPE_CHECKING:
    from collections.abc import Callable

MEASUREMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    # name in the result: what measures it
    "archive": startup.archive,
    "startup": startup.ratios,
    "memory": startup.memory,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in MEASUREMENTS]
    if unknown:
        print(f"no measurement {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}", file=sys.stderr)
        return 2
    print(json.dumps({name: MEASUREMENTS[name]() for name in names or MEASUREMENTS}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
