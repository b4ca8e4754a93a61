"""Keeps secrets out of what is shown and recorded: their values become `***` wherever a process prints them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SHORTEST = 8
"""Shorter values are not masked: they would be found in innocent text."""

MASK = "***"

_TELLING_NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|_KEY\Z|WEBHOOK_URL", re.IGNORECASE)


def secrets_from(env: Mapping[str, str], env_file: Mapping[str, str]) -> set[str]:
    """What must not be shown: every value of the env file, and of variables whose names say so.

    nvsx's own variables are no secrets, except the password in a database address.
    """
    secrets = {value for name, value in env_file.items() if not name.startswith("NVSX_")}
    secrets |= {value for name, value in env.items() if _names_secret(name)}
    for address in (env.get("NVSX_MONGO_URI", ""), env_file.get("NVSX_MONGO_URI", "")):
        secrets |= _passwords(address)
    return {secret for secret in secrets if len(secret.strip()) >= SHORTEST}


class Masker:
    """Replaces secrets, as they are and as URLs and JSON write them. Without secrets it does nothing, fast."""

    def __init__(self, secrets: Iterable[str]) -> None:
        variants = {variant for secret in secrets for variant in _variants(secret) if len(variant) >= SHORTEST}
        self._variants = sorted(variants, key=lambda variant: (-len(variant), variant))
        self.reach = max((len(_bytes(variant)) for variant in variants), default=0)
        """Length in bytes of the longest thing it looks for."""

    def mask(self, text: str, start: int = 0, stop: int | None = None) -> str:
        """`text`, or its characters from `start` to `stop`, without the secrets that stand in the whole of `text`."""
        spans = self.spans(text)
        text = text[:stop]
        return _replace(text, [(begin, end) for begin, end in spans if end > start and begin < len(text)], start)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where secrets stand in `text`, in order, overlapping ones joined."""
        found = [(at, at + len(variant)) for variant in self._variants if variant in text for at in _all(variant, text)]
        joined: list[tuple[int, int]] = []
        for begin, end in sorted(found):
            if joined and begin < joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((begin, end))
        return joined

    def stream(self) -> MaskedStream:
        """A masker for text that comes in pieces."""
        return MaskedStream(self)


class MaskedStream:
    """Masks across the borders of chunks: holds back as much as could be the beginning of a secret."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._held = ""
        self._hidden = 0  # so many characters of `_held` belong to a secret whose mask has been given out

    def feed(self, chunk: str) -> str:
        """What can be shown now."""
        if not self._masker.reach:
            return chunk
        self._held += chunk
        return self._give(max(0, len(self._held) - self._masker.reach + 1))

    def end(self) -> str:
        """The rest."""
        return self._give(len(self._held))

    def _give(self, cut: int) -> str:
        if not cut:
            return ""
        spans = self._masker.spans(self._held)
        # `***` stands already for what is hidden; a secret that begins in it goes on under the same mask.
        hidden = self._hidden
        for begin, end in spans:
            if begin < hidden:
                hidden = max(hidden, end)
        due = [(begin, end) for begin, end in spans if hidden <= begin < cut]
        shown = _replace(self._held[:cut], due, hidden)
        self._hidden = max(hidden, due[-1][1] if due else 0, cut) - cut
        self._held = self._held[cut:]
        return shown


def _replace(text: str, spans: list[tuple[int, int]], start: int = 0) -> str:
    """`text` from `start` on; a span may begin before it or end behind the text."""
    parts: list[str] = []
    for begin, end in spans:
        parts += (text[start:begin], MASK)
        start = end
    return "".join([*parts, text[start:]])


def _all(variant: str, text: str) -> Iterable[int]:
    at = text.find(variant)
    while at >= 0:
        yield at
        at = text.find(variant, at + 1)


def _variants(secret: str) -> Iterable[str]:
    """A secret of several lines is also looked for line by line, since output is shown in lines."""
    whole = secret.strip()
    for part in {whole, *(line.strip() for line in whole.splitlines())}:
        if len(part) >= SHORTEST:
            yield part
            raw = _bytes(part)
            yield raw.decode("utf-8", "replace")  # as it is shown when it is no UTF-8
            yield from (quote(raw), quote(raw, safe=""), quote_plus(raw))
            yield from (json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1])
            yield json.dumps(part)[1:-1].replace("/", "\\/")


def _bytes(text: str) -> bytes:
    """As a process prints it: the environment's undecodable bytes stand in `text` as surrogates."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _names_secret(name: str) -> bool:
    return not name.startswith("NVSX_") and bool(_TELLING_NAMES.search(name))


def _passwords(address: str) -> set[str]:
    try:
        password = urlsplit(address).password if "@" in address else ""
    except ValueError:
        return {address}
    return {address, password, unquote(password)} if password else set()
