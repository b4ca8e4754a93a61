"""What writing files would change in a project: nothing, something new, or a difference that somebody has to allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from nvsx.app.drafting.files import File


class Changes(NamedTuple):
    """Files that are not there, files that differ, files that are the same already."""

    new: tuple[File, ...]
    different: tuple[File, ...]
    same: tuple[File, ...]


def changes_in(root: Path, files: Sequence[File]) -> Changes:
    new, different, same = [], [], []
    for file in files:
        target = root / file.path
        if not target.exists() and not target.is_symlink():
            new.append(file)
        elif _is(target, file):
            same.append(file)
        else:
            different.append(file._replace(replace=True))
    return Changes(tuple(new), tuple(different), tuple(same))


def _is(target: Path, file: File) -> bool:
    try:
        return target.is_file() and target.read_bytes() == file.text.encode("utf-8", "surrogateescape")
    except OSError:
        return False


def difference(root: Path, file: File) -> Iterator[str]:
    """What would change in a file that is there, as `diff -u` says it."""
    from difflib import unified_diff

    target = root / file.path
    try:
        before = target.read_bytes().decode("utf-8", "replace").splitlines()
    except OSError as error:
        before = [f"(cannot be read: {error.strerror})"]
    after = file.text.splitlines()
    yield from unified_diff(before, after, f"{file.path} (as it is)", f"{file.path} (converted)", lineterm="")
