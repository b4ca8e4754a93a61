"""The forms that texts of a runbook may have. The schema says the same to editors; a test compares the two."""

from __future__ import annotations

import re
from typing import NamedTuple

_CONTROL = r"\x00-\x1f\x7f-\x9f"


class Form(NamedTuple):
    """A pattern for the whole text, and its longest length in characters."""

    pattern: str
    longest: int

    def fits(self, text: str) -> bool:
        return len(text) <= self.longest and re.fullmatch(self.pattern, text) is not None


_EXPECT = r"(phase=(Pending|Running|Succeeded|Failed|Unknown)|count=[0-9]{1,6})"
_QUOTED = rf"\['[^'{_CONTROL}]+'\]" + rf'|\["[^"{_CONTROL}]+"\]'
_STEP = rf"(\.[A-Za-z_][A-Za-z0-9_-]*|\[[0-9]{{1,4}}\]|{_QUOTED})"
_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"

FORMS = {
    "slug": Form(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", 63),
    "duration": Form(r"([0-9]+(\.[0-9]+)?(ms|d|h|m|s))+", 40),
    "line": Form(rf"(?=[^{_CONTROL}]*[^\s{_CONTROL}])[^{_CONTROL}]+", 500),
    "word": Form(rf"[^\s{_CONTROL}]+", 253),
    "path": Form(rf"(?!/)(?!~)(?!(.*/)?\.\.(/|$))[^{_CONTROL}]*[^/{_CONTROL}]", 500),
    "code": Form(rf"[^\s{_CONTROL}]+", 200),
    "namespace": Form(_NAME, 63),
    "selector": Form(r"[A-Za-z0-9!][A-Za-z0-9_./=!,() -]*", 500),
    "actionName": Form(r"[A-Z][A-Z0-9_]*", 100),
    "podExpect": Form(rf"{_EXPECT}(,\s*{_EXPECT})*", 100),
    "field": Form(rf"[A-Za-z_][A-Za-z0-9_-]*{_STEP}*", 500),
    "group": Form(rf"{_NAME}(\.{_NAME})+", 253),
    "resource": Form(r"[a-z][a-z0-9-]*", 63),
    "version": Form(r"v[0-9]+((alpha|beta)[0-9]+)?", 20),
    "collection": Form(r"[A-Za-z_][A-Za-z0-9_.-]*", 120),
}
"""Every form by its name in the schema's `$defs`."""
