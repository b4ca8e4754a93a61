"""T10, mutation: break dedup, journal and signature modules in small ways, and see that some test turns red.

Each mutant is tried in a copy of the checkout with those tests of its module that run the changed function or start
processes which might: first those that run the changed line. The unmutated modules must pass before, twice; afterwards
every test that killed something must pass without a change, or nothing it killed counts.
"""

from __future__ import annotations

import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.trust import equivalents
from tests.trust.operators import Mutant, mutants, unchanged
from tests.trust.trials import HANGS

if TYPE_CHECKING:
    import argparse

CHECKOUT = Path(__file__).resolve().parents[2]
LEDGER_TESTS = ("ledger_rows", "ledger_writer", "owning", "ringing", "ledger", "recovery", "admission_model")
OWN_TESTS = {
    # a module of the ledger: the file of tests that is about it
    "entries": "ledger_rows",
    "admitting": "ledger_rows",
    "keeping": "ledger_rows",
    "owning": "owning",
    "writer": "ledger_writer",
}


def _files(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/test_{name}.py" for name in dict.fromkeys(names))


MODULES: dict[str, tuple[str, ...]] = {
    "nvsx/admission.py": _files("admission", "admission_model"),
    "nvsx/triggers/signatures.py": _files("signatures"),
    "nvsx/ledger/ringing.py": _files("ringing", "alarms"),
    **{f"nvsx/ledger/{name}.py": _files(own, *LEDGER_TESTS) for name, own in OWN_TESTS.items()},
}
"""Which tests must notice a change of which module. Those of the first file are tried first: they are about it, and say
what is wrong where others, which only use it, would wait for ever.
"""

REQUIRED = 0.9
HANGS_AFTER_S = 12.0
"""More than the 10 s after which the tests themselves give up what they wait for, and name it."""

_PATIENCE_S = 300.0  # of one trial; a single test that hangs is ended much sooner


def _file(test: str) -> str:
    return test.partition("::")[0]


class Unsound(Exception):
    """The measurement would say nothing: tests fail without any change, or a listed equivalent does not exist."""


class Known(NamedTuple):
    """What runs of the unmutated tests told: how long each test takes, which run each line of a module, and which start
    processes, whose lines are not seen.
    """

    times: dict[str, float]
    lines: dict[str, dict[int, list[str]]]
    starters: set[str]

    def order(self, mutant: Mutant) -> list[str]:
        """The tests that can notice a mutant: first those that run its line (the module's own before all), then those
        that run its function or start processes; the quickest first.
        """
        lines = self.lines.get(mutant.module, {})
        near = set(lines.get(mutant.line, ()))
        able = near | self.starters
        for line in range(mutant.within[0], mutant.within[1] + 1):
            able |= set(lines.get(line, ()))
        ours = [one for one in self.times if one in able and _file(one) in MODULES[mutant.module]]
        own = MODULES[mutant.module][0]
        return sorted(ours, key=lambda one: (one not in near, _file(one) != own, self.times[one]))


class Verdict(NamedTuple):
    mutant: Mutant
    killer: str = ""  # the test that failed; "" where none did
    error: str = ""  # what it raised
    broken: str = ""  # the mutant cannot even be imported, or no test could be run


class Copy:
    """A copy of the checkout in a directory of its own, and the process that tries tests in it."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.root = directory / "checkout"
        self.seed = seed
        directory.chmod(0o755)  # some tests read what they made as another user
        ignored = shutil.ignore_patterns(".*", "__pycache__", "*.pyz", "*.egg-info", "build", "dist")
        shutil.copytree(CHECKOUT, self.root, ignore=ignored, symlinks=True)
        self._real = {module: (self.root / module).read_text("utf-8") for module in MODULES}
        self._start(write_bytecode=True)

    def _start(self, *, write_bytecode: bool) -> None:
        env = {**os.environ, "PYTHONPATH": str(self.root), "TMPDIR": str(self.root.parent)}
        if not write_bytecode:  # of a mutant above all: a file of the same second and size is taken for the same
            env["PYTHONDONTWRITEBYTECODE"] = "1"
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.trust.trials"],
            cwd=self.root, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def close(self) -> None:
        assert self._server.stdin
        self._server.stdin.close()
        self._server.wait(_PATIENCE_S)

    def learn(self, files: list[str]) -> Known:
        """Run the unmutated tests twice: for their bytecode, times and lines. Raises Unsound if one fails."""
        for module in MODULES:
            self._put(module, unchanged(ast.parse(self._real[module])))
        plain = self._good(files)
        self.close()
        for module in MODULES:
            self._put(module, self._real[module])  # the lines are those of the real spelling
        self._start(write_bytecode=False)
        covered = self._good(files, lines_of=[str(self.root / module) for module in MODULES])
        lines = {
            str(Path(name).relative_to(self.root)): {int(line): tests for line, tests in found.items()}
            for name, found in covered["lines"].items()
        }
        return Known(plain["times"], lines, set(covered["starters"]))

    def warm(self, files: list[str]) -> None:
        """Have everything but the mutated modules compiled once."""
        self._good(files)
        self.close()
        self._start(write_bytecode=False)

    def attempt(self, mutant: Mutant, known: Known) -> Verdict:
        order = known.order(mutant)
        first = [one for one in order if _file(one) == _file(order[0])]  # most end here, and only one file is imported
        self._put(mutant.module, mutant.text)
        try:
            for tests in (first, [one for one in order if one not in first]):
                if not tests:
                    continue
                limits = {one: HANGS_AFTER_S + 5 * known.times[one] for one in tests}
                found = self._ask(sorted({_file(one) for one in tests}), limits, mutant.module)
                if found["code"] == 1:
                    return Verdict(mutant, found["failed"] or tests[0], found["error"])
                if found["code"] != 0:
                    return Verdict(mutant, broken=found["error"] or f"pytest ended with {found['code']}")
            return Verdict(mutant)
        finally:
            self._put(mutant.module, self._real[mutant.module])

    def unreliable(self, tests: list[str]) -> str:
        """The first of these tests that fails although nothing is changed, "" if none does."""
        found = self._ask(sorted({_file(test) for test in tests}), dict.fromkeys(tests, _PATIENCE_S))
        return str(found["failed"]) if found["code"] else ""

    def _put(self, module: str, text: str) -> None:
        target = self.root / module
        target.write_text(text, "utf-8")
        for compiled in target.parent.glob(f"__pycache__/{target.stem}.*.pyc"):
            compiled.unlink()

    def _good(self, files: list[str], lines_of: list[str] | None = None) -> dict[str, Any]:
        found = self._ask(files, lines_of=lines_of or [])
        if found["code"] != 0:
            log = (self.root / "trial.log").read_text("utf-8", "replace")
            raise Unsound(f"{found['failed'] or 'the tests'} fails though nothing is changed: {log[-2000:]}")
        return found

    def _ask(
        self,
        files: list[str],
        limits: dict[str, float] | None = None,
        module: str = "",
        lines_of: list[str] | None = None,
    ) -> dict[str, Any]:
        request: dict[str, Any] = {
            "files": files,
            "limits": limits,
            "module": module,
            "lines_of": lines_of or [],
            "seed": self.seed,
        }
        assert self._server.stdin
        assert self._server.stdout
        request["patience_s"] = _PATIENCE_S
        print(json.dumps(request), file=self._server.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._server.stdout.readline())
        return answer


def measure(count: int, args: argparse.Namespace) -> dict[str, object]:
    """`python -m tests.trust mutants`: so many of all mutants, drawn by the seed."""
    wanted = {module for module in MODULES if not args.only or args.only in module}
    everything = [one for module in sorted(wanted) for one in mutants(module, (CHECKOUT / module).read_text("utf-8"))]
    same = [one for one in everything if equivalents.reason(one)]
    if unknown := equivalents.unknown({(one.module, one.where, one.what) for one in everything}, wanted):
        raise Unsound(f"listed as equivalent, and no such mutant: {unknown}")
    open_ones = [one for one in everything if not equivalents.reason(one)]
    drawn = random.Random(args.seed).sample(open_ones, min(count, len(open_ones)))
    files = sorted({file for module in wanted for file in MODULES[module]})
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="pytest-mutants-", dir=memory) as directory:
        verdicts = _tried(drawn, files, Path(directory), args)
    return {"mutants": len(everything), "equivalent": len(same), **_figures(verdicts)}


def _tried(drawn: list[Mutant], files: list[str], directory: Path, args: argparse.Namespace) -> list[Verdict]:
    places = [directory / f"pytest-{number}" for number in range(args.jobs)]
    for place in places:
        place.mkdir()
    copies = [Copy(place, args.seed) for place in places]
    free: SimpleQueue[Copy] = SimpleQueue()
    try:
        known = copies[0].learn(files)
        for copy in copies[1:]:
            copy.warm(files)
        for copy in copies:
            free.put(copy)

        def attempt(mutant: Mutant) -> Verdict:
            copy = free.get()
            try:
                verdict = copy.attempt(mutant, known)
            finally:
                free.put(copy)
            _tell(verdict)
            return verdict

        with ThreadPoolExecutor(args.jobs) as pool:
            verdicts = list(pool.map(attempt, drawn))
        killers = sorted({one.killer for one in verdicts if one.killer})
        if killers and (test := copies[0].unreliable(killers)):
            raise Unsound(f"{test} killed mutants, and fails without one, too")
        return verdicts
    finally:
        for copy in copies:
            copy.close()


def _tell(verdict: Verdict) -> None:
    if verdict.broken:
        said = f"NO MUTANT ({verdict.broken.strip().splitlines()[-1]})"
    else:
        said = f"killed by {verdict.killer}: {verdict.error}" if verdict.killer else "SURVIVED"
    print(f"{verdict.mutant} - {said}", file=sys.stderr, flush=True)


def _figures(verdicts: list[Verdict]) -> dict[str, object]:
    valid = [one for one in verdicts if not one.broken]
    killed = [one for one in valid if one.killer]
    by_module = Counter(one.mutant.module for one in valid)
    killed_of = Counter(one.mutant.module for one in killed)
    return {
        "tried": len(valid),
        "killed": len(killed),
        "ratio": round(len(killed) / max(1, len(valid)), 3),
        "of these because a test hung": sum(one.error == HANGS for one in killed),
        "of these by an assertion": sum(one.error in ("AssertionError", "Failed") for one in killed),
        "without sense (not counted)": len(verdicts) - len(valid),
        "killed in": {module: f"{killed_of[module]} of {count}" for module, count in sorted(by_module.items())},
        "survivors": [str(one.mutant) for one in valid if not one.killer],
    }


def passed(figures: dict[str, object]) -> bool:
    return float(str(figures["ratio"])) >= REQUIRED
