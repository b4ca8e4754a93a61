"""`python -m tests.trust.trials`, in a copy of the checkout: runs tests in forks of a process that has loaded pytest.

One JSON object a line asks (see `tried`), one a line answers. Only pytest is loaded before: every fork imports the code
under test anew, so that a changed file is what is tried. It is killed with all that its tests left behind.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HANGS = "hangs"
PLUGINS = ("pytest_timeout", "_hypothesis_pytestplugin")
"""Those that the tests need; others that happen to be installed cost more than most tests."""


class Watcher:
    """Runs the wanted tests in the order asked for, and notes what failed first, how long each took, what it ran."""

    def __init__(self, limits: dict[str, float] | None, lines_of: list[str]) -> None:
        self.limits = limits
        self.now = self.failed = self.error = ""
        self.times: dict[str, float] = {}
        self.starters: set[str] = set()  # tests that start processes, whose lines are not seen
        self.coverage: Any = None
        if lines_of:
            sys.addaudithook(self._audit)
            import coverage

            self.coverage = coverage.Coverage(data_file=None, include=lines_of, config_file=False)
            self.coverage.start()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.limits is not None:
            places = {name: place for place, name in enumerate(self.limits)}
            items[:] = sorted((one for one in items if one.nodeid in places), key=lambda one: places[one.nodeid])
            for item in items:
                item.add_marker(pytest.mark.timeout(self.limits[item.nodeid]))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.now = item.nodeid
        if self.coverage:
            self.coverage.switch_context(item.nodeid)
        yield

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.times[report.nodeid] = self.times.get(report.nodeid, 0.0) + report.duration

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        outcome = yield
        if outcome.get_result().failed and not self.failed:  # type: ignore[attr-defined]
            self.failed = item.nodeid
            self.error = call.excinfo.typename if call.excinfo else ""
            if call.excinfo and "Timeout" in str(call.excinfo.value)[:40]:
                self.error = HANGS

    def _audit(self, event: str, _: object) -> None:
        if event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
            self.starters.add(self.now)

    def lines(self) -> dict[str, dict[int, list[str]]]:
        """The tests that ran each line, by module."""
        if not self.coverage:
            return {}
        self.coverage.stop()
        data = self.coverage.get_data()
        return {name: data.contexts_by_lineno(name) for name in data.measured_files()}


def tried(request: dict[str, Any]) -> dict[str, Any]:
    """Answer one request: {files, limits, module, lines_of, seed, patience_s}.

    `limits` are the tests to run, in order, with the seconds that each may take; None: all.
    """
    source, target = os.pipe()
    child = os.fork()
    if not child:
        os.close(source)
        _child(request, target)
    os.close(target)
    told = b""
    with contextlib.closing(os.fdopen(source, "rb", buffering=0)) as answer:
        while select.select([answer], [], [], request["patience_s"])[0]:
            part = answer.read(1 << 16)
            told += part
            if not part:
                break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found: dict[str, Any] = json.loads(told) if told.endswith(b"\n") else {"code": 1, "failed": "", "error": HANGS}
    return found


def _child(request: dict[str, Any], target: int) -> None:
    os.setsid()
    os.set_inheritable(target, False)
    nothing = os.open(os.devnull, os.O_RDWR)
    log = os.open("trial.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number, handle in enumerate((nothing, log, log)):
        os.dup2(handle, number)
    try:
        answer = _answer(request)
    except BaseException:  # whatever it is, it is told
        answer = {"code": -1, "failed": "", "error": traceback.format_exc()}
    with os.fdopen(target, "wb") as told:
        told.write(json.dumps(answer).encode() + b"\n")
    os._exit(0)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    watcher = Watcher(request["limits"], request["lines_of"])
    if request["module"]:
        name = request["module"].removesuffix(".py").replace("/", ".")
        try:
            module = importlib.import_module(name)
        except Exception:  # a mutant that cannot be imported tells nothing about the tests
            return {"code": -1, "failed": "", "error": traceback.format_exc()}
        if not Path(str(module.__file__)).is_relative_to(Path.cwd()):
            return {"code": -1, "failed": "", "error": f"{module.__file__} is not the copy's"}
    options = ["-x", "-q", f"--hypothesis-seed={request['seed']}", *(f"-p{plugin}" for plugin in PLUGINS)]
    code = pytest.main(
        [*options, f"--basetemp={Path.cwd().parent / 'pytest-tmp'}", *request["files"]], plugins=[watcher]
    )
    told = {"failed": watcher.failed, "error": watcher.error, "times": watcher.times}
    return {"code": int(code), **told, "lines": watcher.lines(), "starters": sorted(watcher.starters)}


def main() -> None:
    import hypothesis.stateful

    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in ("asyncio", "sqlite3", "jsonschema", "yaml", *PLUGINS):  # most of the time that a test needs to start
        importlib.import_module(name)
    # That a story fails is enough here; and what one mutant taught must not kill another.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("trial", phases=phases, database=None)
    hypothesis.settings.load_profile("trial")
    for line in sys.stdin:
        print(json.dumps(tried(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
