"""nvsx.pyz as a user meets it: on every Python, from every place, beside other libraries, replaced and damaged."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nvsx import __version__
from nvsx.commands.version import WHOLE_FILE, damages
from tests.archives import OLD, build, inside, old_pythons, pythons, run

if TYPE_CHECKING:
    from collections.abc import Iterator

SUPPORTED = sorted({"3.11", "3.12", "3.13", *pythons()})
PATHS = "/usr/bin:/bin"


@pytest.fixture(params=SUPPORTED)
def python(request: pytest.FixtureRequest) -> str:
    """Each supported Python in turn."""
    if request.param not in pythons():
        pytest.skip(f"there is no Python {request.param} here")
    return pythons()[request.param]


@pytest.fixture
def any_python() -> str:
    return pythons().get("3.11") or sys.executable


@pytest.fixture
def alone(pyz: Path, tmp_path: Path) -> Path:
    """The archive by itself in an empty directory."""
    directory = tmp_path / "bastion"
    directory.mkdir()
    return Path(shutil.copy(pyz, directory))


def folder(path: Path, **programs: str) -> str:
    """A directory with shell scripts of these names."""
    path.mkdir()
    for name, body in programs.items():
        script = path / name.replace("_", ".")
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
    return str(path)


def test_every_supported_python_runs_its_own_bytecode(python: str, alone: Path) -> None:
    done = run([python, "nvsx.pyz", "version", "--output", "json"], cwd=alone.parent)
    facts = json.loads(done.stdout)
    assert (facts["version"], facts["layout"], facts["bytecode"]) == (__version__, "archive", True)
    assert facts["python"] in facts["pythons"]
    assert facts["location"] == str(alone)
    assert run([python, str(alone), "version", "--verify"]).returncode == 0
    assert "usage: nvsx" in run([python, str(alone), "--help"]).stdout


def test_every_supported_python_runs_the_sources(python: str, sources_pyz: Path) -> None:
    facts = json.loads(run([python, str(sources_pyz), "version", "--output", "json"]).stdout)
    assert (facts["bytecode"], facts["pythons"]) == (False, [])
    listed = run([python, str(sources_pyz), "list"], cwd="/")
    assert (listed.returncode, "gpu-off-bus" in listed.stdout) == (0, True), listed.stderr


def test_bytecode_of_another_release_of_this_python_is_not_loaded(pyz: Path, tmp_path: Path, any_python: str) -> None:
    """A prerelease, or another implementation, has the same version and another format."""
    other = tmp_path / "nvsx.pyz"
    tree = f"cp3{sys.version_info[1]}"
    with zipfile.ZipFile(pyz) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, b"\0\0\r\n" + data[4:] if name.startswith(tree) and name.endswith(".pyc") else data)
    done = run([sys.executable, str(other), "version"])
    assert "runs its sources" in done.stdout, done.stderr


@pytest.mark.parametrize("version", OLD)
def test_an_old_python_says_so_in_one_line(version: str, pyz: Path) -> None:
    if version not in old_pythons():
        pytest.skip(f"there is no Python {version} here")
    done = run([old_pythons()[version], str(pyz), "list"])
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"error[environment]: nvsx needs Python 3.11 or newer, and this is {version} (")
    assert done.stderr.count("\n") == 1


def test_without_a_terminal_a_home_or_any_variable(alone: Path, any_python: str) -> None:
    done = run([any_python, str(alone), "list"], cwd=alone.parent, env={})
    assert (done.returncode, done.stderr) == (0, "")
    assert "gpu-off-bus" in done.stdout


def test_in_a_read_only_directory_as_another_user(pyz: Path, any_python: str, tmp_path: Path) -> None:
    if os.getuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can become another user, with setpriv")
    usable = "/usr/bin/python3"
    if run([usable, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]).returncode:
        pytest.skip("the Python that everybody may run is too old")
    import tempfile

    with tempfile.TemporaryDirectory() as place:  # below pytest's own directory nobody else may look
        directory = Path(place)
        file = Path(shutil.copy(pyz, directory))
        directory.chmod(0o555)
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        environment = {"PATH": PATHS}
        done = run([*nobody, str(file), "list"], cwd=directory, env=environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert "gpu-off-bus" in done.stdout
        assert list(directory.iterdir()) == [file]


# --- The shell's head of the file ------------------------------------------------------------------------------------


def test_started_by_itself_it_finds_a_python_that_runs(alone: Path, any_python: str, tmp_path: Path) -> None:
    """A newer name that leads nowhere (as pyenv's shims do) and a python3 that is too old are passed over."""
    programs = {
        "python3_14": "echo 'pyenv: python3.14: command not found' >&2; exit 127",
        "python3_13": "exit 1",
        "python3_12": f'exec {any_python} "$@"',
        "python3": "echo wrong; exit 0",
    }
    environment = {"PATH": f"{folder(tmp_path / 'bin', **programs)}:/bin"}
    done = run(["./nvsx.pyz", "version", "--output", "json"], cwd=alone.parent, env=environment)
    assert done.stderr == ""
    assert json.loads(done.stdout)["location"] == str(alone)


def test_arguments_reach_python_as_they_are(alone: Path) -> None:
    done = run([str(alone), "help", "no such 'topic' * $HOME"])
    assert "no such 'topic' * $HOME" in done.stderr


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "zsh"])
def test_any_shell_can_start_it(shell: str, alone: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell} here")
    assert run([shell, str(alone), "--version"]).stdout == f"nvsx {__version__}\n"


@pytest.mark.parametrize("python3", ["exit 127", "echo Python 2.7 >&2; exit 2", "exit 0"])
def test_without_any_usable_python_there_is_one_clear_line(python3: str, alone: Path, tmp_path: Path) -> None:
    programs = dict.fromkeys(("python3", "python3_11", "python3_12", "python3_13", "python3_14"), python3)
    done = run(["/bin/sh", str(alone), "list"], env={"PATH": folder(tmp_path / "bin", **programs)})
    assert (done.returncode, done.stdout) == (3, "")
    fact, hint = done.stderr.splitlines()
    assert fact == "error[environment]: nvsx needs Python 3.11 or newer, and there is none on PATH"
    assert hint.startswith("hint: ")


@pytest.mark.parametrize("kept", [100_000, -1_000_000, -1])
def test_a_copy_that_was_cut_off_says_so(kept: int, alone: Path) -> None:
    alone.write_bytes(alone.read_bytes()[:kept])
    done = run([str(alone), "list"])
    assert (done.returncode, done.stdout) == (3, "")
    fact, hint = done.stderr.splitlines()
    assert fact == f"error[environment]: {alone} is not whole: it was cut off while it was copied"
    assert hint.startswith("hint: copy it again")


def test_it_starts_through_a_link_and_from_a_strange_place(alone: Path, tmp_path: Path) -> None:
    strange = tmp_path / "a b $(x) 'é"
    strange.mkdir()
    (strange / "nvsx").symlink_to(alone)
    assert run(["./nvsx", "--version"], cwd=strange).stdout == f"nvsx {__version__}\n"
    assert run([str(strange / "nvsx"), "list"], cwd="/").returncode == 0


# --- Beside other libraries ------------------------------------------------------------------------------------------


def test_the_hosts_libraries_change_nothing(alone: Path, any_python: str, tmp_path: Path) -> None:
    """Wrong ones in the working directory and on PYTHONPATH, under every name that is bundled."""
    host = tmp_path / "host"
    host.mkdir()
    names = "yaml jsonschema referencing attr attrs rpds wcwidth prompt_toolkit typing_extensions idna"
    for name in names.split():
        (host / f"{name}.py").write_text("raise SystemExit('the host was asked')")
    runbook = host / "runbooks" / "mine.yaml"
    runbook.parent.mkdir()
    runbook.write_text("apiVersion: nvsx/v1\nkind: Nonsense\n")
    done = run([any_python, str(alone), "show", "mine"], cwd=host, env={"PYTHONPATH": str(host), "PATH": PATHS})
    assert "the host was asked" not in done.stderr + done.stdout
    assert done.returncode == 2, done.stderr


def test_the_bundled_libraries_are_not_the_hosts(python: str, alone: Path) -> None:
    code = (
        "import json\nfrom nvsx._vendor import jsonschema, prompt_toolkit\n"
        "import nvsx._vendor.prompt_toolkit.shortcuts, nvsx._vendor.prompt_toolkit.patch_stdout\n"
        "ours = {name.split('.')[2] for name in sys.modules if name.startswith('nvsx._vendor.')}\n"
        "from nvsx.documents import read_yaml\n"
        "print(json.dumps([sorted(ours & set(sys.modules)), read_yaml('a: [1]', 'x').data]))"
    )
    assert inside(python, alone, code) == [[], {"a": [1]}]


def test_the_hosts_anthropic_sdk_can_be_imported_beside_the_bundled_libraries(alone: Path) -> None:
    """The real SDK of this venv, with its native parts and its own typing_extensions."""
    code = (
        "import json\nfrom nvsx._vendor import jsonschema\nimport anthropic\n"
        "client = anthropic.Anthropic(api_key='none', base_url='http://127.0.0.1:9', max_retries=0)\n"
        "import typing_extensions, nvsx._vendor.typing_extensions as ours\n"
        "print(json.dumps([client.base_url.host, '_vendor' in anthropic.__file__, typing_extensions is ours]))"
    )
    pytest.importorskip("anthropic")
    assert inside(sys.executable, alone, code) == ["127.0.0.1", False, False]


def test_every_bundled_module_can_be_imported(python: str, alone: Path) -> None:
    with zipfile.ZipFile(alone) as file:
        names = file.read("HOT").decode().split()
    modules = [build().module_name(name) for name in names if name.startswith("nvsx/_vendor/")]
    assert len(modules) > 100
    code = (
        "import importlib, json\nprint(json.dumps([importlib.import_module(name).__name__ for name in sys.argv[2:]]))"
    )
    assert inside(python, alone, code, *modules) == modules


def test_the_bundled_prompt_reads_a_line(any_python: str, alone: Path) -> None:
    code = r"""
import json
from nvsx._vendor.prompt_toolkit.shortcuts import PromptSession
from nvsx._vendor.prompt_toolkit.input import create_pipe_input
from nvsx._vendor.prompt_toolkit.output import DummyOutput
with create_pipe_input() as typed:
    typed.send_text("lisr\x7ft --output\r")
    session = PromptSession(input=typed, output=DummyOutput())
    print(json.dumps(session.prompt("> ")))
"""
    assert inside(any_python, alone, code) == "list --output"


# --- The file replaced, the file damaged -----------------------------------------------------------------------------


def test_replacing_the_file_under_a_running_process_breaks_nothing(python: str, alone: Path) -> None:
    code = """
import json, os
from nvsx import assets
assets.preload()
size = os.path.getsize(archive)
with open(archive, "r+b") as stream:  # as cp does: the same file, other bytes
    stream.write(b"garbage " * (size // 8 + 1))
from importlib import import_module
from nvsx.commands import COMMANDS
from nvsx.documents import read_yaml
names = assets.names("schemas/")
schema = json.loads(assets.text("schemas/runbook.schema.json"))
from nvsx._vendor import jsonschema
jsonschema.Draft202012Validator(schema).is_valid({})
print(json.dumps([bool(names), read_yaml(b"a: 1", "x").data, assets.mode("schemas/runbook.schema.json")]))
"""
    assert inside(python, alone, code) == [True, {"a": 1}, 0o644]


def test_a_traceback_shows_source_lines(python: str, alone: Path) -> None:
    code = """
import json, traceback
from nvsx import assets
try:
    assets.read(None)
except Exception as error:
    assets.fill_linecache()
    print(json.dumps("".join(traceback.format_exception(error))))
"""
    text = inside(python, alone, code)
    assert 'File "nvsx.pyz/nvsx/assets.py", line ' in text
    assert 'name.split("/")' in text


def places(data: bytes) -> Iterator[tuple[str, int, str]]:
    """One byte of every part of a zip file: (what it is, where it is, what verify must name)."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    yield "prelude", 40, WHOLE_FILE
    for name in ("assets/schemas/runbook.schema.json", "src/nvsx/main.py", "__main__.py", "MANIFEST"):
        info = archive.getinfo(name)
        body = info.header_offset + 30 + len(name)
        yield f"{name}: middle", body + info.compress_size // 2, name
        yield f"{name}: date in the header", info.header_offset + 12, WHOLE_FILE
        yield f"{name}: name in the header", info.header_offset + 30, name
    start = archive.start_dir
    yield "MANIFEST: last byte", start - 1, "MANIFEST"
    yield "directory: maker", start + 4, WHOLE_FILE
    yield "directory: date", start + 12, WHOLE_FILE
    yield "directory: mode", start + 40, WHOLE_FILE
    yield "end: number of entries", len(data) - 12, WHOLE_FILE
    yield "end: disk", len(data) - 18, WHOLE_FILE


def test_one_flipped_bit_is_found_wherever_it_is(pyz: Path) -> None:
    data = pyz.read_bytes()
    assert damages(data) == []
    found = {}
    for what, place, _ in places(data):
        damaged = bytearray(data)
        damaged[place] ^= 1
        found[what] = damages(bytes(damaged))
    assert found == {what: [named] for what, _, named in places(data)}


def test_a_file_that_was_cut_off_or_grew_is_damaged(pyz: Path) -> None:
    data = pyz.read_bytes()
    for changed in (b"", data[:1000], data[:-1], data + b"\n", data[:-22]):
        assert damages(changed) == [WHOLE_FILE]


def test_an_entry_that_was_added_or_taken_away_is_named(pyz: Path, tmp_path: Path) -> None:
    more = Path(shutil.copy(pyz, tmp_path / "more.pyz"))
    with zipfile.ZipFile(more, "a") as file:
        file.writestr("src/nvsx/evil.py", "")
    assert damages(more.read_bytes()) == ["src/nvsx/evil.py"]
    less = tmp_path / "less.pyz"
    with zipfile.ZipFile(pyz) as old, zipfile.ZipFile(less, "w") as new:
        for name in old.namelist():
            if name != "src/nvsx/errors.py":
                new.writestr(name, old.read(name))
    assert damages(less.read_bytes()) == ["src/nvsx/errors.py"]


def test_verify_names_the_damage_and_fails(alone: Path, any_python: str) -> None:
    data = bytearray(alone.read_bytes())
    info = zipfile.ZipFile(alone).getinfo("assets/schemas/runbook.schema.json")
    data[info.header_offset + 100] ^= 1
    alone.write_bytes(data)
    done = run([any_python, str(alone), "version", "--verify"])
    assert done.returncode == 1
    assert done.stdout.startswith("damaged: assets/schemas/runbook.schema.json\n")


def test_a_checkout_cannot_verify_itself() -> None:
    done = run([sys.executable, "-m", "nvsx", "version", "--verify"], cwd=build().ROOT)
    assert done.returncode == 2
    assert "only an archive has a manifest" in done.stderr


def test_a_pipe_can_carry_it(alone: Path, any_python: str) -> None:
    """As the README says for ssh: into a file first."""
    script = f'f=$(mktemp) && cat >"$f" && {any_python} "$f" --version; rm "$f"'
    done = subprocess.run(["sh", "-c", script], stdin=alone.open("rb"), capture_output=True, text=True, timeout=60)
    assert done.stdout == f"nvsx {__version__}\n"


def test_the_built_file_can_be_executed(pyz: Path) -> None:
    assert stat.S_IMODE(pyz.stat().st_mode) == 0o755
