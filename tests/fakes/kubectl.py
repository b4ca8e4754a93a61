"""A kubectl that says what a test wrote down, lies included.

`FAKE_KUBECTL` names a directory with `script.json`: a list of rules, of which the first whose `match` occurs in the
command line answers. A rule with `once` is used up by its first use. `calls` collects the command lines.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main() -> int:
    home = Path(os.environ["FAKE_KUBECTL"])
    line = " ".join(sys.argv[1:])
    with (home / "calls").open("a") as calls:
        calls.write(line + "\n")
    for number, rule in enumerate(json.loads((home / "script.json").read_text())):
        used = home / f"used{number}"
        if rule["match"] not in line or (rule.get("once") and used.exists()):
            continue
        used.touch()
        return answer(rule)
    print(f"error: the fake knows no {line}", file=sys.stderr)
    return 1


def answer(rule: dict[str, object]) -> int:
    sys.stderr.write(str(rule.get("stderr", "")))
    sys.stderr.flush()
    if rule.get("echo"):
        sys.stdout.buffer.write(sys.stdin.buffer.read())
    if rule.get("env"):
        sys.stdout.write(os.environ.get(str(rule["env"]), ""))
    sys.stdout.buffer.write(str(rule.get("stdout", "")).encode("utf-8", "surrogateescape"))
    sys.stdout.flush()
    time.sleep(float(str(rule.get("sleep", 0))))
    return int(str(rule.get("code", 0)))


sys.exit(main())
