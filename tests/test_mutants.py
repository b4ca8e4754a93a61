"""The mutants' own tests: what is changed, and that only a test that fails for the change counts as a kill."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from tests.rehearsing import CHECKOUT
from tests.trust import equivalents
from tests.trust.mutants import MODULES, Known
from tests.trust.operators import Mutant, keys, mutants, sql_changes
from tests.trust.trials import HANGS

if TYPE_CHECKING:
    from collections.abc import Iterator


def changed(body: str) -> set[str]:
    """The bodies of the mutants of a function with this body."""
    source = f"def f():\n    {body}\n"
    return {ast.unparse(ast.parse(one.text).body[0].body).strip() for one in mutants("m.py", source)}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return a < b <= c", {"return a <= b <= c", "return a < b < c"}),
        ("return a is None", {"return a is not None"}),
        ("return a and b and c", {"return a or b or c", "return b and c", "return a and c", "return a and b"}),
        ("return a or (b := c) or b", {"return a and (b := c) and b", "return (b := c) or b", "return a or (b := c)"}),
        ("return not a", {"return not not a"}),
        ("return a + 1", {"return a - 1", "return a + 2"}),
        ("return 'a' + b", set()),
        ("return True", {"return False"}),
        ("return row[0]", set()),
        ("a |= b", {"a &= b"}),
        ("call()", {"pass"}),
        ("self.a = b", {"pass"}),
        ("a = b", set()),
        ("raise E", {"pass"}),
        ("if a: return", {"if not a:\n    return", "if a:\n    pass"}),
        ("if a == b: c = d", {"if a != b:\n    c = d"}),
        ("return [a for a in b if c]", {"return [a for a in b if not c]"}),
        ("'''Docs with 1 AND 2.'''", set()),
    ],
)  # fmt: skip
def test_one_thing_is_changed_at_a_time(body: str, expected: set[str]) -> None:
    assert changed(body) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("UPDATE t SET a = ?, b = 1 WHERE c = ?", ["UPDATE t SET a = ?, b = 1 WHERE c != ?"]),
        (
            "DELETE FROM t WHERE a != 0 AND b < ?",
            [
                "DELETE FROM t WHERE a = 0 AND b < ?",
                "DELETE FROM t WHERE a != 0 OR b < ?",
                "DELETE FROM t WHERE a != 0 AND b <= ?",
            ],
        ),
        ("INSERT OR IGNORE INTO t VALUES (?)", ["INSERT INTO t VALUES (?)"]),
        ("AND runbook = ?", ["AND runbook != ?"]),
        ("one and another = text", []),
    ],
)  # fmt: skip
def test_sql_is_changed_where_it_decides(sql: str, expected: list[str]) -> None:
    assert [text for _, text in sql_changes(sql)] == expected


def test_whatever_is_listed_as_equivalent_is_there() -> None:
    known = {key for module in MODULES for key in keys(module, (CHECKOUT / module).read_text("utf-8"))}
    assert equivalents.unknown(known, set(MODULES)) == []


def test_every_test_that_can_notice_is_tried_and_the_quickest_first() -> None:
    module, (file, *_) = next(iter(MODULES.items()))
    mutant = Mutant(module, 5, (4, 6), "f", "x", "")
    a, b, c, d, e = (f"{file}::{name}" for name in "abcde")
    known = Known({a: 3.0, b: 2.0, c: 1.0, d: 0.1, e: 0.2, "tests/test_other.py::x": 0.0},
                  {module: {5: [a, b], 6: [c], 7: [e]}}, {d, "tests/test_other.py::x"})  # fmt: skip
    assert known.order(mutant) == [b, a, d, c]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Trials in a directory with a module and a test of it."""
    directory = tmp_path_factory.mktemp("project")
    (directory / "thing.py").write_text("def double(a):\n    return a * 2\n")
    (directory / "test_thing.py").write_text(
        dedent("""
        import subprocess, thing
        def test_double(): assert thing.double(2) == 4
        def test_process(): subprocess.run(["true"])
        """)
    )
    command = [sys.executable, "-m", "tests.trust.trials"]
    environment = {"PYTHONPATH": f"{directory}:{CHECKOUT}", "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        command, cwd=directory, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def tried(text: str, **more: Any) -> Any:
        (directory / "thing.py").write_text(text)
        request = {"files": ["test_thing.py"], "limits": None, "module": "thing.py", "lines_of": [], "seed": 1}
        assert process.stdin
        assert process.stdout
        print(json.dumps({**request, "patience_s": 60, **more}), file=process.stdin, flush=True)
        return json.loads(process.stdout.readline())

    yield tried
    assert process.stdin
    process.stdin.close()
    assert process.wait(30) == 0


GOOD = "def double(a):\n    return a * 2\n"


def test_a_test_that_fails_is_named_with_what_it_raised(ask: Any) -> None:
    assert ask(GOOD)["code"] == 0
    assert ask(GOOD.replace("*", "**"))["code"] == 0, "2 ** 2 is 4, too: a survivor"
    found = ask(GOOD.replace("* 2", "* 3"))
    assert (found["code"], found["failed"], found["error"]) == (1, "test_thing.py::test_double", "AssertionError")


def test_what_cannot_be_imported_or_selects_no_test_is_no_kill(ask: Any) -> None:
    found = ask("def double(a): return a *\n")
    assert found["code"] == -1
    assert "SyntaxError" in found["error"]
    assert ask(GOOD, limits={"test_thing.py::no_such_test": 9})["code"] == 5


def test_a_test_that_hangs_is_ended(ask: Any) -> None:
    hanging = "def double(a):\n    while True: pass\n"
    limits = {"test_thing.py::test_double": 0.2}
    found = ask(hanging, limits=limits)
    assert (found["code"], found["failed"], found["error"]) == (1, "test_thing.py::test_double", HANGS)
    deaf = "import signal\ndef double(a):\n    signal.pthread_sigmask(signal.SIG_BLOCK, {14})\n    while True: pass\n"
    found = ask(deaf, limits=limits, patience_s=3)
    assert (found["code"], found["failed"], found["error"]) == (1, "", HANGS)


def test_lines_are_learned_with_the_tests_that_run_them(ask: Any) -> None:
    found = ask(GOOD, lines_of=["*/thing.py"])
    assert found["code"] == 0
    ((_, lines),) = found["lines"].items()
    assert lines["2"] == ["test_thing.py::test_double"]
    assert found["starters"] == ["test_thing.py::test_process"]
    assert set(found["times"]) == {"test_thing.py::test_double", "test_thing.py::test_process"}
