"""Draws every golden frame anew, and the README's picture, which is one. Read the difference before you commit."""

from __future__ import annotations

import re

from tests.frames.runs import RUNS
from tests.frames.sizes import SIZES, drawn, file_of
from tests.readme import PICTURE, README

for name in RUNS:
    for size in SIZES:
        file_of(name, size).write_text("\n".join(line.rstrip() for line in drawn(name, size)) + "\n", "utf-8")
picture = f"```text\n{file_of(*PICTURE).read_text('utf-8')}```\n"
README.write_text(
    re.sub(r"^```text\n.*?^```\n", lambda _: picture, README.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL),
    "utf-8",
)
