"""Draws every golden frame anew. Look at the difference before you commit it."""

from __future__ import annotations

from tests.frames.runs import RUNS
from tests.frames.sizes import SIZES, drawn, file_of

for name in RUNS:
    for size in SIZES:
        file_of(name, size).write_text("\n".join(line.rstrip() for line in drawn(name, size)) + "\n", "utf-8")
