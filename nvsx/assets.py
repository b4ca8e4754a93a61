"""The one door to the files that ship with nvsx (schemas, runbooks, scripts, scenarios), wherever nvsx itself lies.

A file's name is its path from the project's root, `schemas/event.schema.json`, in all three layouts: a checkout (beside
the package), a pip install (inside the package) and the archive. Nothing heavy is imported here: every command that
touches a runbook comes through.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from nvsx.errors import EnvironmentUnusable, NotFoundHere

ROOTS = ("runbooks", "schemas", "scripts", "nvsx")
LIBRARIES = ("yaml", "jsonschema")  # what a long-lived process may import late
NAME_IN_TRACEBACKS = "nvsx.pyz/"

_loader: Any = __spec__.loader if __spec__ else None
_archive: str = getattr(_loader, "archive", "")
_package = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
_memory: dict[str, bytes] = {}
_manifest: dict[str, tuple[str, int]] = {}  # the archive's own assets: name -> (sha256, mode)


def layout() -> str:
    """`archive`, `installed` or `checkout`."""
    if _archive:
        return "archive"
    return "installed" if os.path.isdir(f"{_package}/_assets") else "checkout"  # noqa: PTH112


def location() -> str:
    """The archive file, or the directory of the package."""
    return _archive or _package


def build_facts() -> dict[str, str]:
    """How the archive was built: its `version`, and the `pythons` it has bytecode for. Empty elsewhere."""
    if not _archive:
        return {}
    head = _loader.get_data(f"{_archive}/MANIFEST").decode().partition("\n\n")[0]
    return dict(line.split(" ", 1) for line in head.splitlines())


def runs_bytecode() -> bool:
    """Whether this Python found its own bytecode in the archive; if not, it compiled the sources."""
    return __file__.endswith(".pyc")


def names(prefix: str = "") -> list[str]:
    """The names of the files that ship with nvsx and begin with `prefix`, sorted."""
    return sorted(name for name in (_listed() if _archive else _walk()) if name.startswith(prefix))


def read(name: str) -> bytes:
    """The content of one file; NotFoundHere if nvsx ships no such file."""
    if name in _memory:
        return _memory[name]
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise _unknown(name)
    try:
        if _archive:
            return bytes(_loader.get_data(f"{_archive}/assets/{name}"))
        with open(_path(name), "rb") as stream:  # noqa: PTH123
            return stream.read()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise _unknown(name) from None
    except OSError as error:
        if _archive and name not in _listed():
            raise _unknown(name) from None
        raise _unusable(f"cannot read {name}, which ships with nvsx: {error}", _REPAIR) from error


def text(name: str) -> str:
    """The content of one file as text; NotFoundHere if nvsx ships no such file."""
    return read(name).decode()


def mode(name: str) -> int:
    """The mode a file has when it is written out: 0o755 for what can be executed, else 0o644."""
    if _archive:
        if name not in _listed():
            raise _unknown(name)
        return _listed()[name][1]
    try:
        return 0o755 if os.stat(_path(name)).st_mode & 0o100 else 0o644  # noqa: PTH116
    except OSError:
        raise _unknown(name) from None


def unpack(prefix: str, directory: str | os.PathLike[str]) -> Path:
    """Write the files under `prefix` to `directory`/their names and return `directory`, made ours alone (0700).

    A file that is there already is compared with what nvsx ships and replaced when a byte or its mode differs, each
    time. EnvironmentUnusable if the directory is somebody else's, cannot be written, or nvsx itself is damaged.
    """
    from hashlib import sha256
    from pathlib import Path

    root = Path(directory)
    try:
        _make_private(root)
        for name in names(prefix):
            data = read(name)
            if _archive and sha256(data).hexdigest() != _listed()[name][0]:
                raise _unusable(f"{name} in {_archive} is damaged", _REPAIR)
            folder = root
            for word in name.split("/")[:-1]:
                folder /= word
                folder.mkdir(mode=0o700, exist_ok=True)
            _place(root / name, data, mode(name))
    except OSError as error:
        raise _unusable(f"cannot write nvsx's own scripts to {root}: {error.strerror}", _ELSEWHERE) from error
    return root


def preload() -> None:
    """Import every module and read every file now, so that replacing nvsx under a running process breaks nothing."""
    from importlib import import_module

    for name in names():
        _memory[name] = read(name)
    for module in _modules():
        import_module(module)
    for library in LIBRARIES:
        import_module(f"nvsx._vendor.{library}" if _archive else library)


def fill_linecache() -> None:
    """Give tracebacks the source lines of the modules that run from the archive's bytecode."""
    if not _archive:
        return
    import linecache

    from nvsx._vendor import Bundles

    sources = Bundles(f"{_archive}/src/nvsx", _loader, compiled=False)
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        if spec is None or not spec.name.startswith("nvsx"):
            continue
        is_package = spec.submodule_search_locations is not None
        file = spec.name.replace(".", "/") + ("/__init__.py" if is_package else ".py")
        try:
            at_the_top = file.count("/") == 1
            source = _loader.get_data(f"{_archive}/src/{file}").decode() if at_the_top else sources.source(spec.name)
        except (OSError, ImportError, KeyError):  # replaced underneath, or not there: the traceback stays as it is
            continue
        key = NAME_IN_TRACEBACKS + file
        linecache.cache[key] = (len(source), None, source.splitlines(keepends=True), key)


_REPAIR = "nvsx version --verify (and copy nvsx.pyz anew where it finds a damage)"
_ELSEWHERE = "nvsx --state-dir DIR"


def _unknown(name: str) -> NotFoundHere:
    from nvsx.errors import NotFoundHere

    return NotFoundHere(f"nvsx ships no file {name!r}")


def _unusable(fact: str, hint: str) -> EnvironmentUnusable:
    from nvsx.errors import EnvironmentUnusable

    return EnvironmentUnusable(fact, hint=hint)


def _listed() -> dict[str, tuple[str, int]]:
    """The archive's manifest of assets."""
    if not _manifest:
        for line in _loader.get_data(f"{_archive}/assets/MANIFEST").decode().splitlines():
            digest, octal, name = line.split(" ", 2)
            _manifest[name] = (digest, int(octal, 8))
    return _manifest


def _path(name: str) -> str:
    """Where a file lies outside an archive."""
    if layout() == "installed" and not name.startswith("nvsx/"):
        return f"{_package}/_assets/{name}"
    return f"{os.path.dirname(_package)}/{name}"  # noqa: PTH120


def _walk() -> Iterator[str]:
    for root in ROOTS:
        start = _path(root + "/").rstrip("/")
        for directory, folders, files in os.walk(start):
            inner = root + directory[len(start) :]
            folders[:] = [name for name in folders if _belongs(name, f"{inner}/{name}")]
            for name in files:
                if _belongs(name, f"{inner}/{name}"):
                    yield f"{inner}/{name}"


def _belongs(name: str, path: str) -> bool:
    """Whether a file or directory is one that ships: no leftovers, no modules of nvsx itself."""
    if name.startswith((".", "#", "__pycache__")) or name.endswith(("~", ".pyc", ".swp", ".orig", ".rej")):
        return False
    return not (
        path.startswith(("nvsx/_vendor", "nvsx/_assets")) or (path.startswith("nvsx/") and name.endswith(".py"))
    )


def _modules() -> Iterator[str]:
    """Every module of nvsx, but for the libraries and the one that starts it; of an archive, those that it has the
    bytecode of, for the others belong to commands that are over soon.
    """
    if _archive:
        paths = _loader.get_data(f"{_archive}/HOT").decode().splitlines()
    else:
        top = os.path.dirname(_package)  # noqa: PTH120
        paths = [
            f"{directory[len(top) + 1 :]}/{file}"
            for directory, _, files in os.walk(_package)
            for file in files
            if file.endswith(".py")
        ]
    for path in sorted(paths):
        name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        if not name.startswith(("nvsx._vendor", "nvsx._assets", "nvsx.__main__")):
            yield name


def _make_private(root: Path) -> None:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = root.lstat()
    if not root.is_dir() or root.is_symlink() or facts.st_uid != os.getuid():
        raise _unusable(f"{root} is not a directory of this user, so nothing is started from there", _ELSEWHERE)
    if facts.st_mode & 0o077:
        root.chmod(0o700)


def _place(path: Path, data: bytes, mode: int) -> None:
    """Make `path` a file of ours with this content; in one step, because another nvsx may be starting it."""
    mode &= 0o700
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # not there, or a link
        present = b""
        facts = None
    else:
        with os.fdopen(descriptor, "rb") as stream:
            facts = os.fstat(descriptor)
            present = stream.read(len(data) + 1)
    if facts and present == data and facts.st_mode & 0o7777 == mode and facts.st_uid == os.getuid():
        return
    from tempfile import mkstemp

    descriptor, fresh = mkstemp(dir=path.parent, prefix=".nvsx-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            os.fchmod(descriptor, mode)
        os.replace(fresh, path)  # noqa: PTH105
    except BaseException:
        os.unlink(fresh)  # noqa: PTH108
        raise
