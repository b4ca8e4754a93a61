"""What can be wrong with the place or the file of a ledger, each said once with a next step."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from nvsx.errors import EnvironmentUnusable

if TYPE_CHECKING:
    from pathlib import Path

NETWORK_FILE_SYSTEMS = frozenset(
    (
        "9p",
        "acfs",
        "afs",
        "beegfs",
        "ceph",
        "cephfs",
        "cifs",
        "davfs",
        "fuse.beegfs",
        "fuse.blobfuse",
        "fuse.blobfuse2",
        "fuse.ceph",
        "fuse.davfs",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.juicefs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "fuse.weed",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "panfs",
        "pvfs2",
        "smb2",
        "smb3",
        "smbfs",
        "wekafs",
    )
)
"""Types, as mountinfo spells them, on which locks or shared memory cannot be relied on."""

MOUNTS = "/proc/self/mountinfo"

_FULL = ("full", "disk I/O error")
_DAMAGED = ("malformed", "not a database", "corrupt", "decode")


def refuse_network_file_system(directory: Path, mounts: str = MOUNTS) -> None:
    """Raise EnvironmentUnusable where two hosts could share the directory: their locks would not hold."""
    kind, mount = file_system(os.path.realpath(directory), mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise EnvironmentUnusable(
            f"{directory} is on a network file system ({kind} at {mount}), where the ledger's locks do not hold",
            hint="nvsx --state-dir DIR …, with a directory on a disk of this machine",
        )


def file_system(path: str, mounts: str = MOUNTS) -> tuple[str, str]:
    """Type and mount point of the file system that holds a real path; ("", "") where that cannot be told."""
    best = ("", "")
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as lines:  # noqa: PTH123 - not always a file
            for line in lines:
                fields = line.split()
                point = _unescaped(fields[4])
                kind = fields[fields.index("-") + 1]
                inside = path == point or path.startswith(f"{point.rstrip('/')}/")
                if inside and len(point) >= len(best[1]):  # a later mount on the same point hides the earlier one
                    best = (kind, point)
    except (OSError, ValueError, IndexError):
        return best
    return best


def _unescaped(field: str) -> str:
    for code, sign in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, sign)
    return field


def unwritable(path: Path, error: OSError) -> EnvironmentUnusable:
    return EnvironmentUnusable(
        f"the ledger {path} cannot be kept: {error.strerror or error}",
        hint=f"nvsx --state-dir DIR …, or make {path.parent} writable for this user: ls -ld {path.parent}",
    )


def unreadable(path: Path, error: OSError) -> EnvironmentUnusable:
    return EnvironmentUnusable(
        f"the ledger {path} cannot be read: {error.strerror or error}", hint=f"ls -l {path}; id; or --state-dir DIR"
    )


def damaged(path: Path, what: str) -> EnvironmentUnusable:
    return EnvironmentUnusable(
        f"the ledger {path} is damaged: {what}",
        hint=f"keep it and go on with a new one: mkdir {path.parent}/damaged && mv {path.parent}/ledger.* {path.parent}"
        "/damaged/ (what it remembers can then be read with: sqlite3 damaged/ledger.db .recover)",
    )


def foreign(path: Path) -> EnvironmentUnusable:
    return EnvironmentUnusable(
        f"{path} is not a ledger of nvsx", hint=f"move it away: mv {path} {path}.other, or: nvsx --state-dir DIR …"
    )


def vanished(path: Path, trace: Path) -> EnvironmentUnusable:
    return EnvironmentUnusable(
        f"the ledger {path} is gone, though {trace.name} beside it says that there was one: what nvsx knew is missing",
        hint=f"bring {path.name} back from a backup; to start with an empty memory instead: rm {path.parent}/ledger.*",
    )


def explained(path: Path, error: Exception) -> EnvironmentUnusable:
    """A failure of the database while it is in use, in words."""
    if isinstance(error, EnvironmentUnusable):
        return error
    text = str(error)
    if any(word in text for word in _DAMAGED):
        return damaged(path, text)
    if any(word in text for word in _FULL):
        return EnvironmentUnusable(f"the ledger {path} cannot be written: {text}", hint=f"df -h {path.parent}")
    if isinstance(error, sqlite3.OperationalError) and "locked" in text:
        return EnvironmentUnusable(
            f"the ledger {path} is locked by another process for too long", hint=f"see which: lsof {path}"
        )
    return EnvironmentUnusable(f"the ledger {path} cannot be used: {text}", hint=f"ls -l {path.parent}")
