"""`--metrics-file`: the metrics as a file for node_exporter's textfile collector: a cron job cannot be scraped."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from nvsx.errors import EnvironmentUnusable
from nvsx.metrics import exposition

if TYPE_CHECKING:
    from pathlib import Path

    from nvsx.metrics import Figures


def write_metrics(path: Path, figures: Figures) -> None:
    """Put the metrics in place of the file at once: whoever reads it sees the old ones or the new ones, whole.

    EnvironmentUnusable where it cannot be written; the old file then stays as it was.
    """
    # The collector takes every *.prom, so the part that is not whole has another ending.
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with fresh.open("w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), 0o644)  # node_exporter is another user
            stream.write(exposition(figures))
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(path)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        raise EnvironmentUnusable(
            f"cannot write the metrics file {path}: {error.strerror}",
            hint=f"ls -ld {path.parent}: it must be there, and yours to write to",
        ) from error
