"""build.py: imports are rewritten or refused, native files and wrong wheels are refused, the bytes are reproducible."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.archives import ROOT, build, pythons

if TYPE_CHECKING:
    from pathlib import Path

MOVED = {"yaml": "nvsx._vendor", "attr": "nvsx._vendor", "idna": "nvsx._vendor"}


@pytest.mark.parametrize(
    ("source", "rewritten"),
    [
        ("import yaml", "from nvsx._vendor import yaml"),
        ("import yaml as y", "from nvsx._vendor import yaml as y"),
        ("import yaml.nodes", "import nvsx._vendor.yaml.nodes; from nvsx._vendor import yaml"),
        ("import yaml.nodes as n", "import nvsx._vendor.yaml.nodes as n"),
        ("import os, yaml, sys as s", "import os; from nvsx._vendor import yaml; import sys as s"),
        ("if x: import yaml; y = 1", "if x: from nvsx._vendor import yaml; y = 1"),
        ("from yaml import load", "from nvsx._vendor.yaml import load"),
        (
            "from yaml.nodes import (\n    Node,\n    Scalar,\n)",
            "from nvsx._vendor.yaml.nodes import (\n    Node,\n    Scalar,\n)",
        ),
        ("def f():\n    from attr import x as y  # é\n", "def f():\n    from nvsx._vendor.attr import x as y  # é\n"),
        ("é = 1; import idna", "é = 1; from nvsx._vendor import idna"),
        ("from . import yaml", "from . import yaml"),
        ("from .yaml import x", "from .yaml import x"),
        ("import yamllint\nfrom yamllint import x", "import yamllint\nfrom yamllint import x"),
        ("text = 'import yaml'", "text = 'import yaml'"),
    ],
)
def test_imports_of_libraries_lead_into_the_archive(source: str, rewritten: str) -> None:
    assert build().rewrite(source, MOVED, "x.py") == rewritten
    ast.parse(rewritten)


def test_an_import_that_cannot_be_rewritten_fails_the_build() -> None:
    with pytest.raises(build().BuildError, match=r"x\.py:1: an import over several lines"):
        build().rewrite("import yaml, \\\n  os", MOVED, "x.py")


@pytest.mark.parametrize(
    ("name", "source", "problem"),
    [
        ("nvsx/a.py", "import yaml", "imports yaml from the host"),
        ("nvsx/a.py", "def f():\n    from attr import x", "imports attr from the host"),
        ("nvsx/a.py", "import anthropic", "imports anthropic from the host"),
        ("nvsx/claude.py", "import anthropic", ""),
        ("nvsx/a.py", "from nvsx.gone import x", "imports nvsx.gone, which is not in the archive"),
        ("nvsx/a.py", "from nvsx.b import x", ""),
        ("nvsx/a.py", "import os.path, json", ""),
        ("nvsx/_vendor/lib/__init__.py", "from . import part", ""),
        ("nvsx/_vendor/lib/__init__.py", "from .gone import x", "imports nvsx._vendor.lib.gone, which is not"),
        ("nvsx/_vendor/lib/part.py", "from .gone import x", "imports nvsx._vendor.lib.gone, which is not"),
        ("nvsx/_vendor/lib/part.py", "from nvsx._vendor import idna\nfrom nvsx._vendor.idna import x", ""),
    ],
)
def test_imports_that_lead_nowhere_fail_the_build(name: str, source: str, problem: str) -> None:
    sources = {"nvsx/__init__.py": "", "nvsx/b.py": "", "nvsx/_vendor/__init__.py": "", "nvsx/_vendor/lib/part.py": ""}
    sources |= {"nvsx/_vendor/lib/__init__.py": "", name: source}
    if problem:
        with pytest.raises(build().BuildError, match=problem.replace(".", r"\.")):
            build().check_imports(sources)
    else:
        build().check_imports(sources)


def wheel(path: Path, **names: str) -> zipfile.ZipFile:
    with zipfile.ZipFile(path, "w") as file:
        for name, text in names.items():
            file.writestr(name, text)
    return zipfile.ZipFile(path)


def test_a_native_file_in_a_wheel_is_refused(tmp_path: Path) -> None:
    native = wheel(tmp_path / "x.whl", **{"x/__init__.py": "", "x/_speed.cpython-311.so": "\x7fELF"})
    with pytest.raises(build().BuildError, match=r"x brings x/_speed\.cpython-311\.so"):
        build().unpack({"x": native, "jsonschema-specifications": wheel(tmp_path / "s.whl")})


def test_a_library_that_changed_under_a_patch_is_refused(tmp_path: Path) -> None:
    changed = wheel(tmp_path / "x.whl", **{"attr/_make.py": "pass"})
    with pytest.raises(build().BuildError, match=r"attr/_make\.py no longer says"):
        build().unpack({"attrs": changed, "jsonschema-specifications": wheel(tmp_path / "s.whl")})


def test_the_patched_yaml_refuses_the_same_characters() -> None:
    theirs, ours = (re.compile(ast.literal_eval(text)) for text in build().PATCHES["yaml/reader.py"])
    different = [code for code in range(0x110000) if bool(theirs.match(chr(code))) != bool(ours.match(chr(code)))]
    assert different == []


def test_a_wheel_with_another_hash_is_not_taken(wheelhouse: Path, tmp_path: Path) -> None:
    for path in wheelhouse.glob("*.whl"):
        shutil.copy(path, tmp_path)
    victim = next(tmp_path.glob("attrs-*.whl"))
    victim.write_bytes(victim.read_bytes()[:-1] + b"\1")
    with pytest.raises(build().BuildError, match="no wheel with the pinned hash of: attrs"):
        build().wheels(tmp_path)


def test_pythons_that_do_not_run_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, body in {"python3.11": "exit 127", "python3.12": 'echo \'["PyPy", [3,12,0], "final", "x"]\''}.items():
        shim = tmp_path / name
        shim.write_text(f"#!/bin/sh\n{body}\n")
        shim.chmod(0o755)
        assert not list(build().probe(str(shim)))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert all(not python.executable.startswith(str(tmp_path)) for python in build().interpreters().values())


def test_a_release_names_the_pythons_it_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build(), "interpreters", dict)
    with pytest.raises(build().BuildError, match=r"no CPython 3\.11, 3\.12, 3\.13"):
        build().chosen(None, release=True)
    assert build().chosen(None, release=False) == []


def test_links_and_native_files_of_the_project_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build(), "ROOT", tmp_path)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/tool").write_bytes(b"\x7fELF...")
    with pytest.raises(build().BuildError, match="scripts/tool"):
        build().files("scripts")
    (tmp_path / "scripts/tool").unlink()
    (tmp_path / "scripts/tool").symlink_to("/etc/passwd")
    with pytest.raises(build().BuildError, match="scripts/tool"):
        build().files("scripts")


def test_leftovers_are_not_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build(), "ROOT", tmp_path)
    for name in ("a.sh", "a.sh~", ".a.sh.swp", "#a.sh#", "a.pyc", ".hidden/a", "__pycache__/a", "b/c.sh"):
        path = tmp_path / "scripts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert [path.relative_to(tmp_path).as_posix() for path in build().files("scripts")] == [
        "scripts/a.sh",
        "scripts/b/c.sh",
    ]


def test_no_module_asks_for_what_the_bytecode_leaves_out() -> None:
    """Docstrings and the types of parameters are not in the archive."""
    asking = re.compile(r"__doc__|__annotations__|get_type_hints|singledispatch|inspect\.(signature|getdoc|getsource)")
    texts = {path: path.read_text() for path in (ROOT / "nvsx").rglob("*.py")}
    assert [str(path) for path, text in texts.items() if asking.search(text)] == []


@pytest.mark.timeout(600)  # two whole builds
def test_the_same_bytes_from_another_place_and_another_environment(pyz: Path, wheelhouse: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere é"
    for name in ("nvsx", "runbooks", "schemas", "scripts"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("build.py", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    environment = {
        "PATH": os.pathsep.join(reversed(os.environ["PATH"].split(os.pathsep))),
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONHASHSEED": "12345",
        "PYTHONOPTIMIZE": "1",
        "LC_ALL": "C",
        "TZ": "Asia/Kathmandu",
    }
    command = [
        sys.executable,
        str(copy / "build.py"),
        "--wheels",
        str(wheelhouse),
        "--output",
        str(tmp_path / "again.pyz"),
    ]
    umask = os.umask(0o077)
    try:
        done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=300)
    finally:
        os.umask(umask)
    assert done.returncode == 0, done.stderr
    again = (tmp_path / "again.pyz").read_bytes()
    first, second = zipfile.ZipFile(pyz), zipfile.ZipFile(tmp_path / "again.pyz")
    assert first.namelist() == second.namelist()
    assert [name for name in first.namelist() if first.read(name) != second.read(name)] == []
    assert hashlib.sha256(again).hexdigest() == hashlib.sha256(pyz.read_bytes()).hexdigest()
    assert stat.S_IMODE((tmp_path / "again.pyz").stat().st_mode) == 0o755


def test_the_limits_hold_with_three_pythons(pyz: Path) -> None:
    if len(pythons()) != len(build().RELEASED_FOR):
        pytest.skip(f"the limits are for three Pythons; here are {len(pythons())}")
    assert pyz.stat().st_size <= build().SIZE_LIMIT
    assert len(zipfile.ZipFile(pyz).namelist()) <= build().ENTRY_LIMIT


def test_what_ships_is_pure_dated_and_licensed(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as file:
        entries = file.infolist()
        assert {entry.date_time for entry in entries} == {build().EPOCH}
        assert {entry.external_attr >> 16 for entry in entries} <= {0o100644, 0o100755}
        assert [entry.filename for entry in entries[:-1]] == sorted(entry.filename for entry in entries[:-1])
        assert not [entry.filename for entry in entries if entry.filename.endswith((".so", ".pyi", "py.typed"))]
        assert not [entry.filename for entry in entries if "/tests/" in entry.filename.removeprefix("assets/runbooks/")]
        licensed = {entry.filename.split("/")[1] for entry in entries if entry.filename.startswith("licenses/")}
        assert licensed == set(build().wheels(build().WHEELHOUSE))
        tops = {entry.filename.split("/")[1] for entry in entries if entry.filename.startswith(("src/", "cp3"))}
        assert tops == {"nvsx"}
