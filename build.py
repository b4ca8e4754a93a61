#!/usr/bin/env python3
"""Builds nvsx.pyz: nvsx, the libraries it needs and its runbooks in one file that runs wherever Python 3.11+ does.

The same sources, wheels and Pythons give the same bytes, whoever builds them and wherever. Needs the standard library,
and pip unless `--wheels DIR` holds the wheels that nvsx/_vendor/requirements.txt pins.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("error: build.py needs Python 3.11 or newer, and this is %d.%d" % sys.version_info[:2])  # noqa: UP031

import argparse
import ast
import hashlib
import io
import json
import marshal
import os
import re
import subprocess
import tempfile
import tokenize
import zipfile
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parent
LOCK = ROOT / "nvsx/_vendor/requirements.txt"
WHEELHOUSE = ROOT / "build/wheels"
VENDOR = "nvsx/_vendor/"
SUPPORTED = (11, 12, 13, 14)  # minor versions of Python 3 that get bytecode; any later one runs the sources
RELEASED_FOR = (11, 12, 13)  # those that a release must have been built with
ASSET_ROOTS = ("runbooks", "schemas", "scripts", "nvsx")
EPOCH = (1980, 1, 1, 0, 0, 0)
UNCHECKED = (0b01).to_bytes(4, "little") + bytes(8)  # bytecode by hash that is never checked: no source, no clock
SIZE_LIMIT, ENTRY_LIMIT = 4_000_000, 1_000

DROPPED = (
    # What the wheels hold beyond what nvsx can ever import.
    "*/tests/*",
    "*.pyi",
    "*/py.typed",
    "_yaml/*",
    "yaml/_yaml*.so",
    "yaml/cyaml.py",
    *(f"yaml/{part}.py" for part in ("composer", "constructor", "dumper", "emitter", "loader", "nodes")),
    *(f"yaml/{part}.py" for part in ("representer", "resolver", "serializer")),
    "jsonschema/__main__.py",
    "jsonschema/cli.py",
    "jsonschema/benchmarks/*",
    "prompt_toolkit/contrib/*",
    "prompt_toolkit/clipboard/pyperclip.py",
    "prompt_toolkit/eventloop/win32.py",
    "prompt_toolkit/input/win32*.py",
    "prompt_toolkit/output/conemu.py",
    "prompt_toolkit/lexers/pygments.py",
    "prompt_toolkit/output/win*.py",
    "prompt_toolkit/shortcuts/choice_input.py",
    "prompt_toolkit/shortcuts/dialogs.py",
    "prompt_toolkit/shortcuts/progress_bar/*",
    "prompt_toolkit/widgets/dialogs.py",
    "prompt_toolkit/widgets/menus.py",
    "prompt_toolkit/win32_types.py",
    "jsonschema_specifications/schemas/*",  # become a Python module
)
# Libraries that a bundled one would use if they were there. They never are: not even where the host has them.
ABSENT = {"_typeshed", "fqdn", "idna", "isoduration", "jsonpointer", "pygments", "pyperclip", "requests"}
ABSENT |= {"rfc3339_validator", "rfc3986_validator", "rfc3987", "rfc3987_syntax", "uri_template", "webcolors"}
STANDARD = sys.stdlib_module_names | {"annotationlib"}  # and what a later Python than this one has
HOST = {"nvsx/claude.py": {"anthropic"}}  # what nvsx takes from the host's Python, and where
NATIVE = (".so", ".pyd", ".dll", ".dylib", ".a", ".o", ".exe")
JUNK = ("__pycache__", "*.pyc", "*.swp", "*~", "#*", "*.orig", "*.rej")

# Modules of commands that are started rarely or by people who wait for more than a tenth of a second: the archive has
# their sources only, for the bytecode of three Pythons is most of its size.
SOURCES_ONLY = (
    *(f"nvsx/{package}/*" for package in ("conversion", "doctor", "expectations", "reporting", "sim")),
    *(f"nvsx/commands/{name}.py" for name in ("convert", "demo", "doctor", "drill", "init")),
    *(f"nvsx/commands/{name}.py" for name in ("manifest", "report", "setup", "test")),
    *(f"nvsx/app/{room}/*" for room in ("drafting", "manifests", "wizard")),
    *(f"nvsx/app/rehearsal/{name}.py" for name in ("drill", "rehearsing", "simulation", "testing", "workers")),
    *(f"nvsx/app/{name}.py" for name in ("asking", "checking/doctoring", "records/reporting", "records/statistics")),
)

PATCHES = {
    # file: (text, text instead), each found exactly once
    # an import without looking like one
    "attr/_make.py": ("__import__('attr._make')._make.", "__import__('sys').modules['nvsx._vendor.attr._make']."),
    # the same characters, said the short way: compiling the long one is a third of all that importing yaml takes
    "yaml/reader.py": (
        r"'[^\x09\x0A\x0D\x20-\x7E\x85\xA0-\uD7FF\uE000-\uFFFD\U00010000-\U0010ffff]'",
        r"'[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x84\x86-\x9F\uD800-\uDFFF\uFFFE\uFFFF]'",
    ),
}

REPLACED = {
    # file: all of its text, for what is large and never used
    "yaml/__init__.py": '"""PyYAML up to its parser; nvsx builds its own values from the events."""\n',
    "prompt_toolkit/__init__.py": "from .application import Application  # first, or the imports go in circles\n",
    "prompt_toolkit/key_binding/bindings/vi.py": """\
from prompt_toolkit.key_binding.key_bindings import KeyBindings
load_vi_bindings = load_vi_search_bindings = KeyBindings  # the shell edits as Emacs does
""",
    "prompt_toolkit/key_binding/digraphs.py": "DIGRAPHS = {}  # vi's, behind Ctrl-K\n",
    "prompt_toolkit/lexers/__init__.py": "from .base import DynamicLexer, Lexer, SimpleLexer\n",
    "prompt_toolkit/shortcuts/__init__.py": "from .prompt import CompleteStyle, PromptSession, prompt\n",
    "prompt_toolkit/widgets/__init__.py": """\
from .base import Frame, Label, TextArea
from .toolbars import SearchToolbar, SystemToolbar, ValidationToolbar
""",
}

PRELUDE = """\
#!/bin/sh
# nvsx: this file is a zip archive that Python runs: python3 nvsx.pyz. Run by itself, it looks for a Python first, and
# whether its own end, which a copy that was cut off lacks, is there.
look='import sys; f = open(sys.argv[1], "rb"); f.seek(-22, 2); whole = f.read(4) == b"PK" + bytes([5, 6])
sys.version_info >= (3, 11) and print(sys.executable if whole else "cut off")'
for python in python3.14 python3.13 python3.12 python3.11 python3; do
  found=$("$python" -ISc "$look" "$0" 2>/dev/null) && [ -n "$found" ] || continue
  [ "$found" = "cut off" ] || exec "$found" "$0" "$@"
  echo "error[environment]: $0 is not whole: it was cut off while it was copied" >&2
  echo "hint: copy it again, then: python3 $0 version --verify" >&2
  exit 3
done
echo "error[environment]: nvsx needs Python 3.11 or newer, and there is none on PATH" >&2
echo "hint: install one (for example: sudo apt install python3), or run: /path/to/python3 $0" >&2
exit 3
"""

PROBE = """\
import json, platform, sys
info = sys.version_info
print(json.dumps([platform.python_implementation(), list(info[:3]), info[3], sys.executable]))
"""

COMPILER = """\
import ast, json, marshal, sys
from importlib.util import MAGIC_NUMBER

class Lean(ast.NodeTransformer):
    def visit_body(self, node):
        if ast.get_docstring(node, clean=False) is not None:
            first = node.body.pop(0)
            node.body = node.body or [ast.copy_location(ast.Pass(), first)]
        if not isinstance(node, (ast.Module, ast.ClassDef)):
            node.returns = None
        return self.generic_visit(node)

    visit_Module = visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = visit_body

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_If(self, node):
        self.generic_visit(node)
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            return node.orelse or ast.copy_location(ast.Pass(), node)
        return node

def compiled(name, text):
    tree = Lean().visit(ast.parse(text, name))
    return marshal.dumps(compile(tree, "nvsx.pyz/" + name, "exec", dont_inherit=True, optimize=0)).hex()

sources = json.loads(sys.stdin.buffer.read())
print(json.dumps([MAGIC_NUMBER.hex(), [[name, compiled(name, text)] for name, text in sources]]))
"""


class BuildError(Exception):
    """The archive cannot be built from what is here."""


class Python(NamedTuple):
    """An interpreter that compiles for its own minor version."""

    version: tuple[int, int, int]
    executable: str

    @property
    def tree(self) -> str:
        return f"cp3{self.version[1]}"

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


class Entry(NamedTuple):
    data: bytes
    mode: int = 0o644


def main() -> int:
    parser = argparse.ArgumentParser(description="Build nvsx.pyz.")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="take the pinned wheels from DIR; no network")
    parser.add_argument("--release", action="store_true", help="demand CPython 3.11, 3.12 and 3.13 to compile for")
    parser.add_argument("--output", type=Path, metavar="FILE", default=ROOT / "nvsx.pyz")
    parser.add_argument("--pythons", metavar="LIST", help="compile for these only, for example 3.11,3.13 (or none)")
    args = parser.parse_args()
    try:
        pythons = chosen(args.pythons, release=args.release)
        entries = collect(wheels(args.wheels), pythons)
        data = archive(entries, version(), pythons)
    except (BuildError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    write(args.output, data)
    count = len(zipfile.ZipFile(io.BytesIO(data)).namelist())
    compiled = " ".join(map(str, pythons)) or "none (sources only)"
    print(f"{args.output}: {len(data):,} bytes, {count} entries, bytecode for {compiled}")
    print(f"sha256 {hashlib.sha256(data).hexdigest()}")
    if len(data) > SIZE_LIMIT or count > ENTRY_LIMIT:
        print(f"warning: the limits are {SIZE_LIMIT:,} bytes and {ENTRY_LIMIT:,} entries", file=sys.stderr)
        return int(args.release)
    return 0


# --- Pythons ---------------------------------------------------------------------------------------------------------


def chosen(wanted: str | None, *, release: bool) -> list[Python]:
    """The interpreters to compile with, one a minor version, in order."""
    found = interpreters() if wanted != "none" else {}
    minors = list(RELEASED_FOR) if release else sorted(found)
    if wanted and wanted != "none":
        minors = [int(word.strip().partition(".")[2]) for word in wanted.split(",")]
    missing = [f"3.{minor}" for minor in minors if minor not in found]
    if missing:
        raise BuildError(f"no CPython {', '.join(missing)} on PATH, in ~/.pyenv/versions or in /usr/bin")
    return [found[minor] for minor in minors]


def interpreters() -> dict[int, Python]:
    """The newest released CPython of each supported minor version, wherever it lies."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/local/bin", "/usr/bin"]
    candidates = [sys.executable, *(f"{folder}/python3.{minor}" for folder in folders if folder for minor in SUPPORTED)]
    candidates += map(str, Path("~/.pyenv/versions").expanduser().glob("*/bin/python3"))
    found: dict[int, Python] = {}
    for path in dict.fromkeys(map(os.path.realpath, filter(os.path.exists, candidates))):
        for python in probe(path):
            minor = python.version[1]
            if minor not in found or python.version > found[minor].version:
                found[minor] = python
    return found


def probe(path: str) -> Iterator[Python]:
    """The interpreter at `path`, if it runs (a pyenv shim may not) and is one that nvsx supports."""
    try:
        answer = subprocess.run([path, "-I", "-S", "-c", PROBE], capture_output=True, timeout=20, check=True)
        implementation, numbers, level, executable = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return
    major, minor, micro = numbers
    if implementation == "CPython" and level == "final" and major == 3 and minor in SUPPORTED:
        yield Python((major, minor, micro), executable)


def bytecode(sources: Mapping[str, str], python: Python) -> tuple[bytes, dict[str, bytes]]:
    """The magic number of that Python and the marshalled code of each source.

    Docstrings, the types of parameters and column positions are left out: more than a third of the size, and nothing
    at run time reads them.
    """
    answer = subprocess.run(
        [python.executable, "-S", "-s", "-X", "no_debug_ranges", "-c", COMPILER],
        input=json.dumps(sorted(sources.items())).encode(),
        capture_output=True,
        env={"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
    )
    if answer.returncode:
        raise BuildError(f"Python {python} cannot compile: {answer.stderr.decode(errors='replace').strip()}")
    magic, compiled = json.loads(answer.stdout)
    return bytes.fromhex(magic), {name: bytes.fromhex(code) for name, code in compiled}


# --- Libraries -------------------------------------------------------------------------------------------------------


def wheels(directory: Path | None) -> dict[str, zipfile.ZipFile]:
    """The pinned wheels by distribution name, from `directory` or else from the index by way of build/wheels."""
    hashes = {}
    for line in LOCK.read_text().splitlines():
        if match := re.fullmatch(r"([\w.-]+)==\S+ --hash=sha256:(\w{64})", line):
            hashes[match[2]] = match[1]
    wheelhouse = directory or WHEELHOUSE
    found = find_wheels(wheelhouse, hashes)
    if len(found) < len(hashes) and directory is None:
        download(wheelhouse)
        found = find_wheels(wheelhouse, hashes)
    if missing := sorted(set(hashes.values()) - set(found)):
        raise BuildError(f"{wheelhouse} holds no wheel with the pinned hash of: {', '.join(missing)}")
    return found


def find_wheels(directory: Path, hashes: Mapping[str, str]) -> dict[str, zipfile.ZipFile]:
    found = {}
    for path in sorted(directory.glob("*.whl")):
        data = path.read_bytes()
        if name := hashes.get(hashlib.sha256(data).hexdigest()):
            found[name] = zipfile.ZipFile(io.BytesIO(data))
    return found


def download(directory: Path) -> None:
    """Fetch the pinned wheels; the tags are fixed, so that every machine gets the same files."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--platform", "manylinux2014_x86_64"]
    command += ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"]
    if subprocess.run([*command, "--dest", directory, "--requirement", LOCK]).returncode:
        raise BuildError("pip could not fetch the libraries; where there is no network: build.py --wheels DIR")


def unpack(libraries: Mapping[str, zipfile.ZipFile]) -> tuple[dict[str, str], dict[str, Entry]]:
    """The libraries' sources by path, and their licences."""
    sources: dict[str, str] = {}
    licences: dict[str, Entry] = {}
    for distribution, wheel in libraries.items():
        for name in wheel.namelist():
            head, _, rest = name.partition("/")
            if head.endswith(".dist-info"):
                if rest.startswith("licenses/") and not rest.endswith("/"):
                    licences[f"licenses/{distribution}/{rest.rpartition('/')[2]}"] = Entry(wheel.read(name))
            elif any(fnmatch(name, pattern) for pattern in DROPPED) or name.endswith("/"):
                continue
            elif not name.endswith(".py"):
                raise BuildError(f"{distribution} brings {name}, which a zip archive cannot import")
            else:
                sources[name] = wheel.read(name).decode()
    sources["jsonschema_specifications/_core.py"] = metaschemas(libraries["jsonschema-specifications"])
    sources |= {name: text for name, text in REPLACED.items() if name in sources}
    for name, (old, new) in PATCHES.items():
        if sources[name].count(old) != 1:
            raise BuildError(f"{name} no longer says {old!r}: look at PATCHES in build.py")
        sources[name] = sources[name].replace(old, new)
    return sources, licences


def metaschemas(wheel: zipfile.ZipFile) -> str:
    """The specification's schemas as a module; as files they would be looked up through importlib.resources."""
    names = sorted(name for name in wheel.namelist() if fnmatch(name, "jsonschema_specifications/schemas/*"))
    contents = [json.loads(wheel.read(name)) for name in names if not name.endswith("/")]
    body = "".join(f"    {content!r},\n" for content in contents)
    return (
        '"""The schemas of the JSON Schema specification, as data."""\n\nfrom referencing import Resource\n\n'
        f"_CONTENTS = (\n{body})\n\n\ndef _schemas():\n    return map(Resource.from_contents, _CONTENTS)\n"
    )


# --- Imports ---------------------------------------------------------------------------------------------------------


def rewrite(source: str, moved: Mapping[str, str], name: str) -> str:
    """`source` with every import of a library in `moved` (library: its new parent package) leading there.

    Lines keep their numbers, so that tracebacks fit the library's published source.
    """
    lines = source.encode().splitlines(keepends=True)
    for node in sorted(imports(source, name), key=lambda node: (node.lineno, node.col_offset), reverse=True):
        line = lines[node.lineno - 1]
        before, rest = line[: node.col_offset], line[node.col_offset :]
        if isinstance(node, ast.ImportFrom):
            module = (node.module or "").encode()
            parent = moved.get(module.partition(b".")[0].decode()) if not node.level else None
            if parent:
                rest = re.sub(rb"^from(\s+)" + re.escape(module), rb"from\g<1>" + f"{parent}.".encode() + module, rest)
        elif any(alias.name.partition(".")[0] in moved for alias in node.names):
            if node.end_lineno != node.lineno or node.end_col_offset is None:
                raise BuildError(f"{name}:{node.lineno}: an import over several lines cannot be rewritten")
            statement = "; ".join(part for alias in node.names for part in moved_import(alias, moved))
            rest = statement.encode() + line[node.end_col_offset :]
        lines[node.lineno - 1] = before + rest
    return b"".join(lines).decode()


def imports(source: str, name: str) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in ast.walk(ast.parse(source, name)) if isinstance(node, ast.Import | ast.ImportFrom)]


def moved_import(alias: ast.alias, moved: Mapping[str, str]) -> list[str]:
    """The statements that do for a moved library what `import NAME [as OTHER]` did."""
    top, _, rest = alias.name.partition(".")
    parent = moved.get(top)
    if parent is None:
        return [f"import {alias.name} as {alias.asname}" if alias.asname else f"import {alias.name}"]
    if rest and alias.asname:
        return [f"import {parent}.{alias.name} as {alias.asname}"]
    bind = f"from {parent} import {top}" + (f" as {alias.asname}" if alias.asname else "")
    return [f"import {parent}.{alias.name}", bind] if rest else [bind]


def check_imports(sources: Mapping[str, str]) -> None:
    """Refuse an import that leads out of the archive and the standard library, or to what is not in the archive."""
    modules = {module_name(name) for name in sources}
    for name, source in sources.items():
        package = module_name(name) if name.endswith("/__init__.py") else module_name(name).rpartition(".")[0]
        for node in imports(source, name):
            for target in targets(node, package):
                if problem := refused(target, name, modules):
                    raise BuildError(f"{name}:{node.lineno}: {problem}")


def refused(target: str, name: str, modules: set[str]) -> str:
    """What is wrong with importing the module `target` in the file `name`, or nothing."""
    top = target.partition(".")[0]
    if top != "nvsx":
        fine = top in STANDARD or top in HOST.get(name, ())
        return "" if fine else f"imports {target} from the host"
    library = target.removeprefix("nvsx._vendor.").partition(".")[0]
    path = target.replace(".", "/").removeprefix(VENDOR) + ".py"
    if target in modules or library in ABSENT or any(fnmatch(path, pattern) for pattern in DROPPED):
        return ""
    return f"imports {target}, which is not in the archive"


def targets(node: ast.Import | ast.ImportFrom, package: str) -> list[str]:
    """The modules that must exist for an import to work."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    return [".".join([*base, *(node.module.split(".") if node.module else [])])]


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


# --- The archive -----------------------------------------------------------------------------------------------------


def version() -> str:
    match = re.search(r'^__version__ = "(.+)"$', (ROOT / "nvsx/__init__.py").read_text(), re.MULTILINE)
    if not match:
        raise BuildError("nvsx/__init__.py does not say __version__")
    return match[1]


def collect(libraries: Mapping[str, zipfile.ZipFile], pythons: list[Python]) -> dict[str, Entry]:
    """Everything in the archive by name, except its manifests."""
    bundled, entries = unpack(libraries)
    stand_ins = {path.name: path.read_text() for path in sorted((ROOT / VENDOR).glob("*.py"))}
    bundled |= {name: text for name, text in stand_ins.items() if name != "__init__.py"}
    moved = dict.fromkeys([*ABSENT, *(name.removesuffix(".py").partition("/")[0] for name in bundled)], "nvsx._vendor")
    sources = {f"{VENDOR}{name}": text for name, text in bundled.items()} | own_modules()
    sources = {name: rewrite(text, moved, name) for name, text in sources.items()}
    check_imports(sources)

    entries |= tree("src", {name: lean(text, name).encode() for name, text in sources.items()})
    hot = {name: text for name, text in sources.items() if not any(fnmatch(name, cold) for cold in SOURCES_ONLY)}
    entries["HOT"] = Entry("".join(f"{name}\n" for name in sorted(hot)).encode())
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        compiled = workers.map(lambda python: bytecode(hot, python), pythons)
        for python, (magic, code) in zip(pythons, compiled, strict=True):
            entries |= tree(python.tree, code, "c", magic + UNCHECKED)
    entries |= {f"assets/{name}": entry for name, entry in assets().items()}
    entries["__main__.py"] = Entry((ROOT / "nvsx/__main__.py").read_bytes())
    if (ROOT / "LICENSE").is_file():
        entries["LICENSE"] = Entry((ROOT / "LICENSE").read_bytes())
    return entries


def tree(top: str, modules: Mapping[str, bytes], suffix: str = "", head: bytes = b"") -> dict[str, Entry]:
    """Modules in a directory of the archive: nvsx's top ones as files (which get a suffix and a head), each of its
    packages and each library as a bundle, which takes less room and time than many entries.
    """
    entries: dict[str, Entry] = {}
    bundles: dict[str, dict[str, tuple[bool, bytes]]] = {}
    for name, content in sorted(modules.items()):
        inner = name.removeprefix("nvsx/")
        if "/" not in inner or name == f"{VENDOR}__init__.py":
            entries[f"{top}/{name}{suffix}"] = Entry(head + content)
        else:
            words = inner.removesuffix(".py").split("/")
            bundle = "/".join(words[:2] if name.startswith(VENDOR) else words[:1])
            bundles.setdefault(bundle, {})[module_name(name)] = (name.endswith("/__init__.py"), content)
    for bundle, inside in bundles.items():
        entries[f"{top}/nvsx/{bundle}.bundle"] = Entry(marshal.dumps(inside, 2))
    return entries


def lean(source: str, name: str) -> str:
    """`source` without docstrings and comments, each line where it was, so that tracebacks name the true ones."""
    lines = source.encode().split(b"\n")
    for node in ast.walk(ast.parse(source, name)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            said = node.body[0]
            first, last = said.lineno - 1, (said.end_lineno or said.lineno) - 1
            rest = lines[last][said.end_col_offset :]
            lines[first : last + 1] = [lines[first][: said.col_offset] + b'""', *[b""] * (last - first)]
            lines[last] += rest
    text = b"\n".join(lines).decode()
    lines_of_text = text.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines_of_text[row - 1] = lines_of_text[row - 1][:column].rstrip()
    return "\n".join(lines_of_text)


def own_modules() -> dict[str, str]:
    paths = [path for path in files("nvsx") if path.suffix == ".py"]
    names = {path.relative_to(ROOT).as_posix(): path for path in paths}
    return {
        name: path.read_text() for name, path in names.items() if not name.startswith(VENDOR) or path.stem == "__init__"
    }


def assets() -> dict[str, Entry]:
    """The files that nvsx ships beside its modules, with the only two modes there are."""
    entries = {}
    for root in ASSET_ROOTS:
        for path in files(root):
            name = path.relative_to(ROOT).as_posix()
            if (root == "nvsx" and path.suffix == ".py") or name.startswith(VENDOR):
                continue
            entries[name] = Entry(path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644)
    return entries


def files(root: str) -> list[Path]:
    """The files below a directory that belong to the project, in order."""
    found = []
    for directory, folders, names in os.walk(ROOT / root):
        folders[:] = [name for name in folders if name[0] != "." and name not in JUNK]
        for name in names:
            path = Path(directory, name)
            if name[0] == "." or any(fnmatch(name, pattern) for pattern in JUNK):
                continue
            if path.is_symlink() or path.suffix in NATIVE or path.open("rb").read(4) == b"\x7fELF":
                raise BuildError(f"{path} is a link or a native file, which an archive cannot carry")
            found.append(path)
    return sorted(found)


def archive(entries: dict[str, Entry], version: str, pythons: list[Python]) -> bytes:
    """The file: the prelude, the entries in order, and last the manifest with the hash of everything before it."""
    shipped = {name: entry for name, entry in entries.items() if name.startswith("assets/")}
    entries = entries | {"assets/MANIFEST": Entry(listing(shipped, "assets/").encode())}
    stream = io.BytesIO()
    stream.write(PRELUDE.encode())
    with zipfile.ZipFile(stream, "w") as file:
        for name in sorted(entries):
            add(file, name, entries[name])
        head = hashlib.sha256(stream.getvalue()).hexdigest()
        facts = f"version {version}\npythons {' '.join(map(str, pythons))}\nhead {head}\n\n"
        add(file, "MANIFEST", Entry((facts + listing(entries)).encode()))
    return stream.getvalue()


def listing(entries: Mapping[str, Entry], prefix: str = "") -> str:
    return "".join(
        f"{hashlib.sha256(entry.data).hexdigest()} {entry.mode:o} {name.removeprefix(prefix)}\n"
        for name, entry in sorted(entries.items())
    )


def add(file: zipfile.ZipFile, name: str, entry: Entry) -> None:
    # Stored are the first page, so that a Python without zlib can say what is wrong, and the manifest, because the
    # unused bits at the end of a deflated entry could change unnoticed, and nothing but the manifest vouches for it.
    stored = name in ("__main__.py", "MANIFEST")
    info = zipfile.ZipInfo(name, EPOCH)
    info.create_system = 3
    info.external_attr = (0o100000 | entry.mode) << 16
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    file.writestr(info, entry.data, compresslevel=9)


def write(path: Path, data: bytes) -> None:
    """Put the file in place in one step, so that a running nvsx.pyz is never half of each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
    Path(name).chmod(0o755)
    Path(name).replace(path)


if __name__ == "__main__":
    sys.exit(main())
