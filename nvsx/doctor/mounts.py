"""Which file system a path lies on, and whether its disk is in this machine."""

from __future__ import annotations

import re
from typing import NamedTuple

_REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "ceph", "glusterfs", "lustre", "gpfs", "beegfs"}
)
_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """A line of /proc/mounts; empty where there is no such file."""

    point: str = ""
    kind: str = ""


def mount_of(path: str, table: str = "/proc/mounts") -> Mount:
    """The mount that holds an absolute path: the longest point that is above it, the last one mounted there."""
    best = Mount()
    try:
        with open(table, encoding="utf-8", errors="surrogateescape") as lines:  # noqa: PTH123 - no Path is needed
            for line in lines:
                words = line.split(" ")
                if len(words) < 3:
                    continue
                point = _ESCAPE.sub(lambda found: chr(int(found[1], 8)), words[1])
                above = path == point or path.startswith(point.rstrip("/") + "/")
                if above and len(point) >= len(best.point):
                    best = Mount(point, words[2])
    except OSError:
        return Mount()
    return best


def is_remote(kind: str) -> bool:
    """Whether a file system of this kind lies on another machine. What FUSE brings is known by its helper's name."""
    return kind in _REMOTE or kind in ("fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.ceph")
