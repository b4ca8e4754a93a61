"""Message: one delivery as it came in, with what every format asks of it."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST_ALERTS = 1000
"""Alerts read of one delivery; a sender that has more in one is misconfigured."""

_ISSUED = re.compile(r"(?<![\w/-])nvsx/[0-9a-f]{20}(?![0-9a-f])")


class Message(NamedTuple):
    """A delivery. Header names are lower case; `body` is decoded JSON."""

    headers: Mapping[str, str]
    body: Any

    def header(self, name: str) -> str:
        return self.headers.get(name.lower(), "").strip()


def issued_key(texts: Iterable[str]) -> str:
    """The paging key that nvsx itself issued, if one of the texts carries it: what comes back so is an echo."""
    return next((found[0] for text in texts if (found := _ISSUED.search(text))), "")


def digest(*parts: str) -> str:
    """A key for a delivery that has none of its own: the same parts give the same key."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def codes(*texts: str) -> tuple[str, ...]:
    """Error codes as NVSentinel writes them, from labels such as `79`, `xid-79`, `XID_79`, `79,94`."""
    words = (word for text in texts for word in re.split(r"[,;\s]+", text) if word)
    return tuple(dict.fromkeys(re.sub(r"(?i)^xid[-_ ]?(?=\d+$)", "", word) for word in words))


def milliseconds(text: str) -> float:
    return int(text) / 1000 if text.isascii() and text.isdigit() and len(text) <= 13 else 0.0
