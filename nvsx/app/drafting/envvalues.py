"""Adds variables to the project's env file; what stands in it stays."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nvsx.app.drafting.files import PRIVATE, File
from nvsx.envfile import parse_env
from nvsx.errors import EnvironmentUnusable
from nvsx.settings import ENV_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nvsx.settings import Settings

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")


def env_path(settings: Settings, root: Path) -> Path:
    """The env file of a project, there or not."""
    return settings.env_file or root / ENV_FILE


def with_values(file: Path, values: Mapping[str, str], why: str) -> tuple[File, tuple[str, ...]]:
    """The env file with what it lacks of these variables, and their names. One that has a value keeps it."""
    try:
        text = file.read_text("utf-8") if file.exists() else ""
        mode = file.stat().st_mode & 0o740 if file.exists() else PRIVATE
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentUnusable(f"cannot read {file}: {error}", hint=f"ls -l {file}") from error
    there = parse_env(text, str(file))
    missing = tuple(name for name in values if name not in there)
    lines = [f"{name}={_quoted(values[name])}\n" for name in missing]
    gap = "\n" if text and not text.endswith("\n\n") else ""
    end = "" if not text or text.endswith("\n") else "\n"
    added = f"{end}{gap}# {why}\n{''.join(lines)}" if missing else ""
    return File(file.name, text + added, mode, replace=True), missing


def _quoted(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else "'" + value.replace("'", "'\\''") + "'"
