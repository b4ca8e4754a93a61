"""Writes files into a project, all of them or none, and never over or outside of what is there."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from nvsx.catalog.library import ProjectLibrary
from nvsx.errors import EnvironmentUnusable, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCRIPT = 0o755
PRIVATE = 0o600


class File(NamedTuple):
    """A file to be: `path` is relative to the project root, with `/`."""

    path: str
    text: str
    mode: int = 0o644
    replace: bool = False  # whether what is there may go


def write_files(root: Path, files: Sequence[File]) -> None:
    """Make these files below a root of ours, which is made too if it is not there.

    Each appears whole or not at all, and when one cannot be made those made before it go again. Refused where a file
    is there that may not be replaced; EnvironmentUnusable where the root is not ours, a link leads out of it, or the
    disk does not take them.
    """
    made: list[Path] = []
    fresh: list[tuple[Path, Path, File]] = []
    try:
        _make(root, made)
        ProjectLibrary(root)
        for file in files:
            target = _inside(root, file, made)
            fresh.append((_beside(target, file), target, file))
        for temporary, target, file in fresh:
            _appear(temporary, target, file, made)
        made.clear()
    except OSError as error:
        named = getattr(error, "filename", "") or root
        raise EnvironmentUnusable(f"cannot write {named}: {error.strerror}", hint=f"ls -ld {root}") from error
    finally:
        for temporary, _, _ in fresh:
            temporary.unlink(missing_ok=True)
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def _make(directory: Path, made: list[Path]) -> None:
    """The directory and its parents; the new ones are added to `made`, the outermost first."""
    if directory.is_dir():
        return
    _make(directory.parent, made)
    directory.mkdir(mode=0o755)
    made.append(directory)


def _inside(root: Path, file: File, made: list[Path]) -> Path:
    """Where the file will be. Directories on the way that are links may not lead out of the project."""
    target = root / file.path
    if target.is_symlink() or (target.exists() and not (file.replace and target.is_file())):
        raise Refused(f"{target} is there already, and nvsx overwrites nothing", hint=f"ls -l {target}")
    _make(target.parent, made)
    if not target.parent.resolve().is_relative_to(root.resolve()):
        raise EnvironmentUnusable(
            f"{target.parent} leads out of the project, to {target.parent.resolve()}", hint=f"ls -ld {target.parent}"
        )
    return target


def _beside(target: Path, file: File) -> Path:
    from pathlib import Path
    from tempfile import mkstemp

    descriptor, name = mkstemp(dir=target.parent, prefix=".nvsx-")
    with os.fdopen(descriptor, "wb") as stream:
        try:
            stream.write(file.text.encode("utf-8", "surrogateescape"))
            os.fchmod(descriptor, file.mode)
            stream.flush()
            os.fsync(descriptor)
        except BaseException:
            Path(name).unlink()
            raise
    return Path(name)


def _appear(temporary: Path, target: Path, file: File, made: list[Path]) -> None:
    if file.replace:
        temporary.replace(target)
        return
    try:
        target.hardlink_to(temporary)  # unlike a rename, it fails where somebody was faster
    except FileExistsError:
        raise Refused(f"{target} is there already, and nvsx overwrites nothing", hint=f"ls -l {target}") from None
    except PermissionError:  # a file system without hard links
        if target.exists():
            raise
        temporary.replace(target)
    made.append(target)
