"""Stands in for typing_extensions inside the archive: `referencing` needs nothing of it but type variables that have
a default, which only a type checker reads.
"""

from __future__ import annotations

import typing


def TypeVar(name: str, *constraints: typing.Any, default: object = None, **options: typing.Any) -> typing.Any:  # noqa: N802
    """A type variable without its default."""
    return typing.TypeVar(name, *constraints, **options)
