"""Where runbooks and their scripts lie: in a project directory, or in nvsx itself."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Protocol

from nvsx.errors import EnvironmentUnusable, NotFoundHere

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "runbooks"
SUFFIX = ".yaml"


class Library(Protocol):
    """A root with `runbooks/` in it. Paths are relative to the root, with `/`."""

    @property
    def where(self) -> str:
        """For people: where the runbooks are looked for."""
        ...

    @property
    def root(self) -> Path | None:
        """The project root; None for the bundled library."""
        ...

    def files(self, folder: str = FOLDER) -> tuple[str, ...]:
        """File names in a folder of the root, sorted; none where there is no such folder."""
        ...

    def label(self, path: str) -> str:
        """What to call a file in a message."""
        ...

    def read(self, path: str) -> bytes:
        """A file's content, at most 1 MiB and a byte; NotFoundHere, EnvironmentUnusable or DocumentInvalid."""
        ...

    def executable(self, path: str) -> bool:
        """Whether the file may be started."""
        ...


class ProjectLibrary:
    """A directory that people own. Refused where it belongs to somebody else or everybody may write to it: its scripts
    run with our rights.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        for folder in (self._root, self._root / FOLDER):
            facts = _refuse_open(folder, missing_is_fine=folder is not self._root)
            if facts:
                _refuse_foreign(folder, facts)

    @property
    def where(self) -> str:
        return str(self._root / FOLDER)

    @property
    def root(self) -> Path | None:
        return self._root

    def files(self, folder: str = FOLDER) -> tuple[str, ...]:
        where = self._root / folder
        try:
            return tuple(sorted(file.name for file in where.iterdir() if not file.is_dir()))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise EnvironmentUnusable(f"cannot read {where}: {error.strerror}", hint=f"ls -ld {where}") from None

    def label(self, path: str) -> str:
        from pathlib import Path

        file = self._root / path
        try:
            return str(file.relative_to(Path.cwd()))
        except (ValueError, OSError):
            return str(file)

    def read(self, path: str) -> bytes:
        from nvsx.documents import read_bounded

        return read_bounded(self.resolve(path), self.label(path))

    def executable(self, path: str) -> bool:
        return os.access(self.resolve(path), os.X_OK)

    def resolve(self, path: str) -> Path:
        """The file at a path, links followed. NotFoundHere where it is none; EnvironmentUnusable where it leads out of
        the project or everybody may write to it.
        """
        named = self._root / path
        try:
            file = named.resolve(strict=True)
            root = self._root.resolve(strict=True)
        except (OSError, RuntimeError):
            raise NotFoundHere(f"there is no file {named}", hint=f"ls -l {named.parent}") from None
        if not file.is_relative_to(root):
            raise EnvironmentUnusable(f"{named} leads out of the project, to {file}", hint=f"copy it into {root}")
        _refuse_open(file)
        return file


class BundledLibrary:
    """The runbooks that come with nvsx; nobody can change them."""

    @property
    def where(self) -> str:
        return "the bundled library"

    @property
    def root(self) -> Path | None:
        return None

    def files(self, folder: str = FOLDER) -> tuple[str, ...]:
        from nvsx import assets

        below = (name.removeprefix(f"{folder}/") for name in assets.names(f"{folder}/"))
        return tuple(sorted(name for name in below if "/" not in name))

    def label(self, path: str) -> str:
        return f"bundled/{path}"

    def read(self, path: str) -> bytes:
        from nvsx import assets

        return assets.read(path)

    def executable(self, path: str) -> bool:
        from nvsx import assets

        return bool(assets.mode(path) & 0o100)


def _refuse_foreign(path: Path, facts: os.stat_result) -> None:
    if facts.st_uid not in (0, os.getuid()):
        raise EnvironmentUnusable(
            f"{path} belongs to another user (uid {facts.st_uid}), so nvsx runs nothing from it",
            hint=f"sudo chown {os.getuid()} {path}, or work on a copy of your own",
        )


def _refuse_open(path: Path, *, missing_is_fine: bool = False) -> os.stat_result | None:
    try:
        facts = path.stat()
    except FileNotFoundError:
        if missing_is_fine:
            return None
        raise NotFoundHere(f"there is no directory {path}", hint=f"mkdir -p {path}/{FOLDER}") from None
    except OSError as error:
        raise EnvironmentUnusable(f"cannot read {path}: {error.strerror}", hint=f"ls -ld {path}") from None
    if facts.st_mode & stat.S_IWOTH:
        raise EnvironmentUnusable(
            f"everybody may write to {path}, so nvsx runs nothing from it", hint=f"chmod o-w {path}"
        )
    return facts
