"""T10, mutation: break dedup, journal and signature modules in small ways, and see that some test turns red.

A mutant is one change of one place: a comparison turned, a constant moved, a condition negated, a statement left out.
Each is tried in a copy of the checkout, with the tests of its module only.
"""

from __future__ import annotations

import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parents[2]
LEDGER_TESTS = ("tests/test_ledger.py", "tests/test_recovery.py", "tests/test_admission_model.py")
MODULES: dict[str, tuple[str, ...]] = {
    "nvsx/admission.py": ("tests/test_admission.py", "tests/test_admission_model.py"),
    "nvsx/triggers/signatures.py": ("tests/test_signatures.py",),
    **{f"nvsx/ledger/{name}.py": LEDGER_TESTS for name in ("entries", "admitting", "keeping", "owning", "writer")},
}
"""Which tests must notice a change of which module."""

REQUIRED = 0.9
_PATIENCE_S = 300
_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


class Mutant(NamedTuple):
    module: str
    line: int
    what: str
    text: str  # of the whole module


def mutants(module: str) -> list[Mutant]:
    """Every mutant of a module."""
    source = (CHECKOUT / module).read_text("utf-8")
    count = sum(1 for _ in _changes(ast.parse(source)))
    found = []
    for number in range(count):
        tree = ast.parse(source)
        for position, (line, what, change) in enumerate(_changes(tree)):
            if position == number:
                change()
                found.append(Mutant(module, line, what, ast.unparse(ast.fix_missing_locations(tree))))
                break
    return found


def _changes(tree: ast.Module) -> Iterator[tuple[int, str, object]]:
    """Each change that can be made: its line, what it is, and the call that makes it."""
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]:
        for node in ast.walk(function):
            yield from _of(node)


def _of(node: ast.AST) -> Iterator[tuple[int, str, object]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _TURNED:
        turned = _TURNED[type(node.ops[0])]
        yield node.lineno, f"{ast.unparse(node)}: {turned.__name__}", lambda: node.ops.__setitem__(0, turned())
    elif isinstance(node, ast.If | ast.IfExp):
        test = node.test
        yield node.lineno, f"not ({ast.unparse(test)})", lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), test))
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield node.lineno, f"and/or in {ast.unparse(node)}", lambda: setattr(node, "op", other)
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield node.lineno, f"{node.value} + 1", lambda: setattr(node, "value", node.value + 1)  # type: ignore[operator]
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield node.lineno, f"not {node.value}", lambda: setattr(node, "value", not node.value)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await):
        yield node.lineno, f"without {ast.unparse(node)[:70]}", lambda: setattr(node, "value", ast.Constant(None))


def measure(count: int, args: argparse.Namespace) -> dict[str, object]:
    """`python -m tests.trust mutants`: so many of all mutants, drawn by the seed."""
    everything = [mutant for module in MODULES for mutant in mutants(module)]
    drawn = random.Random(args.seed).sample(everything, min(count, len(everything)))
    survivors = []
    with tempfile.TemporaryDirectory(prefix="nvsx-mutants-") as directory:
        copy = Path(directory) / "checkout"
        ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", "*.pyz", "*.egg-info", ".hypothesis")
        shutil.copytree(CHECKOUT, copy, ignore=ignored, symlinks=True)
        for number, mutant in enumerate(drawn, 1):
            survived = _survives(mutant, copy)
            if survived:
                survivors.append(f"{mutant.module}:{mutant.line}: {mutant.what}")
            said = "SURVIVED" if survived else "killed"
            print(
                f"{number}/{len(drawn)} {said} {mutant.module}:{mutant.line} {mutant.what}", file=sys.stderr, flush=True
            )
    killed = len(drawn) - len(survivors)
    return {
        "mutants": len(everything),
        "tried": len(drawn),
        "killed": killed,
        "ratio": round(killed / max(1, len(drawn)), 3),
        "survivors": survivors,
    }


def passed(figures: dict[str, object]) -> bool:
    return float(str(figures["ratio"])) >= REQUIRED


def _survives(mutant: Mutant, copy: Path) -> bool:
    target = copy / mutant.module
    whole = target.read_text("utf-8")
    target.write_text(mutant.text, "utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider", *MODULES[mutant.module]]
    env = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=copy, env=env, capture_output=True, timeout=_PATIENCE_S, check=False)
        return done.returncode == 0
    except subprocess.TimeoutExpired:
        return False  # it hangs, which is noticed
    finally:
        target.write_text(whole, "utf-8")
