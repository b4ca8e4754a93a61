"""Reads a document's file without waiting for it: a FIFO, a device or a file without end cannot hold nvsx up."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from nvsx.documents.reading import MAX_BYTES, read_yaml
from nvsx.errors import DocumentInvalid, NotFoundHere, Place, Problem

if TYPE_CHECKING:
    from pathlib import Path

    from nvsx.source import Document


def load_document(file: Path, name: str = "") -> Document:
    """The document in a file; `name` is what problems call it (default: its path). Errors as `read_yaml` and
    `read_bounded` raise them.
    """
    return read_yaml(read_bounded(file, name), name or str(file))


def read_bounded(file: Path, name: str = "") -> bytes:
    """The bytes of a regular file, one more than `MAX_BYTES` at most (so that a reader can refuse it).

    NotFoundHere where there is no such file, DocumentInvalid where it cannot be read.
    """
    name = name or str(file)
    try:
        with open(file, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise DocumentInvalid(f"{name} cannot be read", (Problem(Place(name), "", "is not a regular file"),))
            return stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotFoundHere(f"there is no file {name}") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DocumentInvalid(f"{name} cannot be read", (Problem(Place(name), "", reason),)) from None
