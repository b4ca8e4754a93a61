"""The shape of the program, read from its syntax trees: floors, doors, sizes and words."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

FLOORS = {
    6: "main __main__",
    5: "commands",
    4: "app topics",
    3: "conversion doctor engine sim sinks triggers",
    2: """
        assets
        bugreport
        catalog
        claude
        cluster
        documents
        httpd
        ledger
        mongo
        settings
        terminal
        tools
    """,
    1: """
        admission
        arguments
        deck
        envfile
        expectations
        healthevents
        metrics
        oracle
        reporting
        routing
        runbook
        shapes
        shells
        typed
        watches
    """,
    0: """
        alerts
        cells
        clock
        config
        durations
        errors
        events
        health
        hookvariables
        journal
        messages
        model
        names
        nearest
        ports
        relay
        rights
        selectors
        source
        words
    """,
}
NO_NEIGHBOURS = {3, 5}
"""Floors whose packages (on 5: modules) never import each other."""

DOORS = {
    # what: who may import it
    "yaml": "documents",
    "jsonschema": "documents",
    "prompt_toolkit": "commands/shell commands/setup",
    "anthropic": "claude",
    "sqlite3": "ledger",
    "http.server": "httpd",
    "socketserver": "httpd",
    "subprocess": "cluster/processes tools commands/shell",
    "multiprocessing": "app/rehearsal/workers",
    "pty": "cluster/processes",
    "importlib.metadata": "",
    "importlib.resources": "",
    "logging": "",
}
CALLS = {
    # a dotted name, or a pattern of one: who may use it
    r"os\.(fork|forkpty|exec\w*|posix_spawnp?|spawn\w*|system|popen)": "cluster/processes",
    r"asyncio\.(create_subprocess_\w+|subprocess(\.\w+)?)": "cluster/processes",
    r"\w+\.subprocess_(exec|shell)": "cluster/processes",
    r"os\.(environb?|getenvb?|putenv|unsetenv)": "settings engine/hooks engine/environment",
    r"sys\.(stdout|__stdout__)|print": "sinks terminal commands sim/shims",
    r"time\.(time|time_ns|monotonic|monotonic_ns|perf_counter|perf_counter_ns|sleep)": "clock sim/shims",
    r"(datetime\.)?(datetime|date)\.(now|utcnow|today)": "clock",
}
FORBIDDEN_WORDS = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")
MODULE_LINES = 400
FUNCTION_LINES = 50

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "nvsx"
MODULES = sorted(
    path.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("*.py")
    if "_vendor" not in path.relative_to(ROOT).parts
)
FLOOR_OF = {name: floor for floor, names in FLOORS.items() for name in names.split()}


class Import(NamedTuple):
    name: str  # dotted: the module, or `module.attribute` of a from-import
    line: int


def tree(module: str) -> ast.Module:
    return ast.parse((PACKAGE / module).read_text("utf-8"), module)


def imports(root: ast.AST, module: str = "") -> list[Import]:
    """Everything imported, at any depth of the code; relative imports are resolved (and frowned upon elsewhere)."""
    found = []
    for node in ast.walk(root):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"nvsx/{module}:{node.lineno}: relative import"
            found += [Import(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


def unit(dotted: str) -> str:
    """The part of nvsx that a dotted name belongs to: `nvsx.cluster.kubectl.X` is in `cluster`."""
    return dotted.split(".")[1] if dotted.count(".") else ""


def owner(module: str) -> str:
    return module.split("/")[0].removesuffix(".py")


def allowed(module: str, who: str) -> bool:
    return any(module in (one, f"{one}.py") or module.startswith(f"{one}/") for one in who.split())


def dotted_names(root: ast.AST) -> list[Import]:
    """Every `a.b.c` and every called plain name."""
    found = []
    for node in ast.walk(root):
        if isinstance(node, ast.Attribute):
            found.append(Import(ast.unparse(node), node.lineno))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if any(word.arg == "file" and ast.unparse(word.value) == "sys.stderr" for word in node.keywords):
                continue  # only stdout has its owners
            found.append(Import(node.func.id, node.lineno))
    return found


def floor_violations(module: str, root: ast.AST) -> list[str]:
    here = owner(module)
    floor = FLOOR_OF[here]
    problems = []
    for name, line in imports(root, module):
        if not name.startswith("nvsx."):
            continue
        there = unit(name)
        if there not in FLOOR_OF:  # `from nvsx import __version__`
            continue
        if FLOOR_OF[there] > floor:
            problems.append(f"nvsx/{module}:{line}: floor {floor} imports {name} of floor {FLOOR_OF[there]}")
        elif FLOOR_OF[there] == floor and floor in NO_NEIGHBOURS and foreign(module, name):
            problems.append(f"nvsx/{module}:{line}: imports its neighbour {name}")
    return problems


def foreign(module: str, name: str) -> bool:
    """Whether an import on one floor leaves its package; commands are strangers to each other, too."""
    if unit(name) != owner(module):
        return True
    return module.startswith("commands/") and (PACKAGE / "commands" / f"{name.split('.')[2]}.py").exists()


def door_violations(module: str, root: ast.AST) -> list[str]:
    problems = []
    for name, line in imports(root, module):
        for thing, who in DOORS.items():
            if (name == thing or name.startswith(f"{thing}.")) and not allowed(module, who):
                problems.append(f"nvsx/{module}:{line}: {thing} belongs to {who or 'nobody'}")
    for name, line in [*dotted_names(root), *imports(root, module)]:
        for pattern, who in CALLS.items():
            if re.fullmatch(pattern, name) and not allowed(module, who):
                problems.append(f"nvsx/{module}:{line}: {name} belongs to {who}")
    return sorted(set(problems))


def test_the_rooms_of_app_lead_one_way() -> None:
    rooms: dict[str, set[str]] = {}
    for module in MODULES:
        if owner(module) == "app" and module != "app/__init__.py":
            found = {name.split(".")[2] for name, _ in imports(tree(module), module) if name.startswith("nvsx.app.")}
            rooms.setdefault(module.split("/")[1].removesuffix(".py"), set()).update(found)
    assert len(rooms) > 10
    leads = {room: found - {room} for room, found in rooms.items()}
    TopologicalSorter(leads).prepare()  # raises CycleError, which names the circle


def test_every_module_stands_on_a_floor() -> None:
    assert [module for module in MODULES if module != "__init__.py" and owner(module) not in FLOOR_OF] == []


@pytest.mark.parametrize("module", [module for module in MODULES if module != "__init__.py"])
def test_imports_go_down(module: str) -> None:
    assert floor_violations(module, tree(module)) == []


@pytest.mark.parametrize("module", MODULES)
def test_outside_things_are_reached_through_their_doors(module: str) -> None:
    assert door_violations(module, tree(module)) == []


@pytest.mark.parametrize("module", MODULES)
def test_module_opens_with_its_reason(module: str) -> None:
    root = tree(module)
    docstring = ast.get_docstring(root)
    if not root.body:
        return  # an empty __init__.py only makes a package
    assert docstring, "no docstring"
    first = docstring.split("\n\n")[0]
    assert first.endswith((".", ":", "?")), f"not a sentence: {first!r}"


@pytest.mark.parametrize("module", MODULES)
def test_sizes(module: str) -> None:
    text = (PACKAGE / module).read_text("utf-8")
    assert text.count("\n") < MODULE_LINES
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 >= FUNCTION_LINES
    ]
    assert long == []


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_left_for_later(module: str) -> None:
    text = (PACKAGE / module).read_text("utf-8")
    assert re.findall(rf"\b(?:{'|'.join(FORBIDDEN_WORDS)})\b", text) == []


def test_imports_at_module_level_make_no_cycle() -> None:
    graph = {module: set(module_level(module)) for module in MODULES}
    done: set[str] = set()
    while ready := {module for module in graph if module not in done and graph[module] <= done}:
        done |= ready
    assert sorted(set(graph) - done) == []


def module_level(module: str) -> list[str]:
    """The modules of nvsx that are loaded when `module` is: imports outside functions and TYPE_CHECKING blocks."""
    body = [
        node
        for node in ast.iter_child_nodes(tree(module))
        if not isinstance(node, ast.If | ast.FunctionDef | ast.ClassDef)
    ]
    loaded = []
    for name, _ in imports(ast.Module(body, [])):
        parts = name.split(".")[1:] if name.startswith("nvsx.") else []
        for size in range(len(parts), 0, -1):
            path = "/".join(parts[:size])
            found = next((one for one in (f"{path}.py", f"{path}/__init__.py") if one in MODULES), "")
            if found:
                loaded.append(found)
                break
    return [one for one in loaded if one != module]


VIOLATIONS = {
    # code, as if it stood in that module: what is reported
    "engine/x.py: from nvsx.sinks.text import Text": "imports its neighbour nvsx.sinks.text.Text",
    "cells.py: import nvsx.settings": "floor 0 imports nvsx.settings of floor 2",
    "commands/x.py: from nvsx.commands.help import show": "imports its neighbour nvsx.commands.help.show",
    "engine/x.py: import yaml": "yaml belongs to documents",
    "engine/x.py: from subprocess import run": "subprocess belongs to cluster/processes tools commands/shell",
    "engine/x.py: os.execv(p, a)": "os.execv belongs to cluster/processes",
    "engine/x.py: x = os.environ['A']": "os.environ belongs to settings engine/hooks engine/environment",
    "engine/x.py: from os import environ": "os.environ belongs to settings engine/hooks engine/environment",
    "engine/x.py: print(1)": "print belongs to sinks terminal commands sim/shims",
    "engine/x.py: def f(): time.sleep(1)": "time.sleep belongs to clock sim/shims",
    "engine/x.py: now = datetime.datetime.now(UTC)": "datetime.datetime.now belongs to clock",
}


@pytest.mark.parametrize(("code", "report"), VIOLATIONS.items())
def test_the_rules_see_what_breaks_them(code: str, report: str) -> None:
    module, _, text = code.partition(": ")
    root = ast.parse(text)
    assert [report] == [
        problem.partition(": ")[2] for problem in floor_violations(module, root) + door_violations(module, root)
    ]
