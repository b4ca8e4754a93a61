"""The assets' door: the same files in a checkout, an archive and a pip install; scripts written out safely."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from nvsx import assets
from nvsx.errors import EnvironmentUnusable, NotFoundHere
from tests.archives import ROOT, inside

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = "schemas/runbook.schema.json"
FACTS = """
import json
from nvsx import assets
print(json.dumps([assets.layout(), {name: [assets.mode(name), len(assets.read(name))] for name in assets.names()}]))
"""


def facts() -> dict[str, list[int]]:
    return {name: [assets.mode(name), len(assets.read(name))] for name in assets.names()}


def test_a_checkout_serves_its_own_files() -> None:
    assert assets.layout() == "checkout"
    assert assets.read(SCHEMA) == (ROOT / SCHEMA).read_bytes()
    assert json.loads(assets.text(SCHEMA))
    names = assets.names("nvsx/sim/scenarios/")
    assert names == sorted(names)
    assert "nvsx/sim/scenarios/xid-79.yaml" in names
    assert {name.split("/")[0] for name in assets.names()} <= set(assets.ROOTS)
    assert not [name for name in assets.names("nvsx/") if name.endswith(".py") or "_vendor" in name]


def test_the_archive_has_the_same_files(pyz: Path) -> None:
    assert inside(sys.executable, pyz, FACTS) == ["archive", facts()]


def test_a_pip_install_has_the_same_files(tmp_path: Path) -> None:
    if int(version("setuptools").split(".")[0]) < 77:
        pytest.skip("building a wheel without the network needs setuptools 77 here")
    source = tmp_path / "source"
    for name in ("nvsx", "runbooks", "schemas", "scripts"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--target", tmp_path / "site", source], check=True, timeout=120)
    assert not (tmp_path / "site/nvsx/_vendor").exists()
    code = "import sys; sys.path.insert(0, sys.argv[1])\n" + FACTS
    done = subprocess.run([sys.executable, "-I", "-c", code, tmp_path / "site"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    layout, installed = json.loads(done.stdout)
    assert (layout, installed) == ("installed", facts())
    assert {path.relative_to(tmp_path / "site") for path in (tmp_path / "site/nvsx").rglob("*.py")} == {
        path.relative_to(source) for path in (source / "nvsx").rglob("*.py") if "_vendor" not in path.parts
    }
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for words in (["list"], ["show", "gpu-off-bus"], ["demo", "--speed", "2000", "--output", "quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "nvsx", *words],
            cwd=elsewhere,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "site"), "HOME": str(elsewhere)},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name", ["schemas/none.json", "", "/etc/passwd", "../build.py", "schemas/../build.py", "schemas", "schemas//x", "."]
)
def test_what_does_not_ship_is_not_found(name: str, pyz: Path) -> None:
    with pytest.raises(NotFoundHere, match="ships no file"):
        assets.read(name)
    code = (
        "import json\nfrom nvsx import assets, errors\n"
        "try:\n    assets.read(sys.argv[2])\nexcept errors.NotFoundHere:\n    print(json.dumps('not found'))"
    )
    assert inside(sys.executable, pyz, code, name) == "not found"


def test_importing_the_door_is_cheap() -> None:
    code = "import sys; from nvsx import assets; assets.names('schemas/'); print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True).stdout.split()
    heavy = {"pathlib", "hashlib", "importlib.resources", "zipfile", "json", "typing", "tempfile", "linecache"}
    assert heavy & set(loaded) == set()
    assert "nvsx.assets" in loaded


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own, with one script that can be executed and one file that cannot."""
    (tmp_path / "nvsx").mkdir()
    for name, mode in {"scripts/run.sh": 0o755, "scripts/lib/data.txt": 0o644, "runbooks/a.yaml": 0o644}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        path.chmod(mode)
    monkeypatch.setattr(assets, "_package", str(tmp_path / "nvsx"))
    return tmp_path


def test_scripts_are_written_out_for_their_owner_alone(shipped: Path, tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        root = assets.unpack("scripts/", tmp_path / "state/bundled")
    finally:
        os.umask(umask)
    assert root == tmp_path / "state/bundled"
    found = {path.relative_to(root).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}
    assert found == {"scripts": 0o700, "scripts/lib": 0o700, "scripts/run.sh": 0o700, "scripts/lib/data.txt": 0o600}
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert (root / "scripts/run.sh").read_text() == "scripts/run.sh"


@pytest.mark.parametrize("change", ["content", "longer", "mode", "link", "gone", "fifo"])
def test_a_script_that_was_changed_is_written_anew(change: str, shipped: Path, tmp_path: Path) -> None:
    root = assets.unpack("scripts/", tmp_path / "bundled")
    script = root / "scripts/run.sh"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("scripts/run.sh")
    elsewhere.chmod(0o700)
    if change == "content":
        script.write_text("scripts/rum.sh")
    elif change == "longer":
        script.write_text("scripts/run.sh; evil")
    elif change == "mode":
        script.chmod(0o777)
    else:
        script.unlink()
        if change == "link":
            script.symlink_to(elsewhere)
        elif change == "fifo":
            os.mkfifo(script)
    assets.unpack("scripts/", root)
    assert script.read_text() == "scripts/run.sh"
    assert stat.S_IMODE(script.lstat().st_mode) == 0o700
    assert not script.is_symlink()
    assert elsewhere.read_text() == "scripts/run.sh"
    assert not list(root.rglob(".nvsx-*"))


def test_a_script_that_is_as_it_should_be_is_left_alone(shipped: Path, tmp_path: Path) -> None:
    root = assets.unpack("scripts/", tmp_path / "bundled")
    before = (root / "scripts/run.sh").stat().st_ino
    assets.unpack("scripts/", root)
    assert (root / "scripts/run.sh").stat().st_ino == before


def test_a_directory_that_others_could_enter_is_closed_first(shipped: Path, tmp_path: Path) -> None:
    (tmp_path / "bundled").mkdir(mode=0o777)
    root = assets.unpack("scripts/", tmp_path / "bundled")
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


def test_a_directory_of_somebody_else_is_refused(shipped: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(EnvironmentUnusable, match="not a directory of this user"):
        assets.unpack("scripts/", tmp_path / "link")
    if os.getuid() == 0:
        os.chown(tmp_path / "real", 65534, 65534)
        with pytest.raises(EnvironmentUnusable, match="not a directory of this user"):
            assets.unpack("scripts/", tmp_path / "real")
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentUnusable, match="cannot write"):
        assets.unpack("scripts/", tmp_path / "file")


def test_a_damaged_script_is_never_written_out(pyz: Path, tmp_path: Path) -> None:
    """The archive's manifest says another hash than the content has."""
    code = """
import json
from nvsx import assets, errors
name = assets.names("schemas/")[0]
assets._listed()[name] = ("0" * 64, 0o644)
try:
    assets.unpack("schemas/", sys.argv[2])
except errors.EnvironmentUnusable as error:
    print(json.dumps([error.message.startswith(name), "--verify" in error.hint]))
"""
    assert inside(sys.executable, pyz, code, str(tmp_path / "bundled")) == [True, True]
    assert not any(path.is_file() for path in (tmp_path / "bundled").rglob("*"))
