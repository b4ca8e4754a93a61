"""How wide text is on a terminal, so that columns line up whatever a cluster's names contain."""

from __future__ import annotations

from unicodedata import category, combining, east_asian_width

ELLIPSIS = "…"
_JOINER = "\u200d"
_EMOJI_STYLE = "\ufe0f"
_WITHOUT_WIDTH = ("Mn", "Me", "Cf", "Cc")


def width(text: str) -> int:
    """Terminal cells that `text` takes. Control characters count as nothing: see `printable`."""
    if text.isascii():
        return len(text) if text.isprintable() else sum(char.isprintable() for char in text)
    return sum(size for _, size in clusters(text))


def clip(text: str, cells: int, mark: str = ELLIPSIS) -> str:
    """`text` cut to at most `cells` cells, ending in `mark` where something was cut (and the mark itself fits)."""
    if width(text) <= cells:
        return text
    room = cells - width(mark)
    if room < 0:
        mark, room = "", cells
    kept, used = [], 0
    for cluster, size in clusters(text):
        if used + size > room:
            break
        kept.append(cluster)
        used += size
    return "".join(kept) + mark


def wrap(text: str, cells: int) -> list[str]:
    """The words of `text` in lines of at most `cells` cells; a longer word has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        if lines and width(lines[-1]) + 1 + width(word) <= cells:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def pad(text: str, cells: int, align: str = "left", mark: str = ELLIPSIS) -> str:
    """`text` made exactly `cells` cells wide: clipped, or filled with spaces. `align` is left, right or center."""
    text = clip(text, cells, mark)
    missing = cells - width(text)
    if align == "right":
        return " " * missing + text
    if align == "center":
        return " " * (missing // 2) + text + " " * (missing - missing // 2)
    return text + " " * missing


def printable(text: str, keep: str = "") -> str:
    r"""`text` with control characters, bidirectional overrides, lone surrogates and unassigned characters written as
    \xNN or \uNNNN.

    What a cluster or a script says must not move the cursor or recolour the terminal, and of an unassigned character
    nobody knows the width. Characters in `keep` stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char in keep or _harmless(char) else _escaped(char) for char in text)


def _harmless(char: str) -> bool:
    kind = category(char)
    if kind == "Cf":
        return char in (_JOINER, "\u200c", "\u00ad")
    return kind not in ("Cc", "Cn", "Cs", "Zl", "Zp")


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def clusters(text: str) -> list[tuple[str, int]]:
    """Characters with what attaches to them, each with its width: cutting between two of them tears nothing apart."""
    found: list[tuple[str, int]] = []
    joining = False
    for char in text:
        size = _char_width(char)
        if found and (size == 0 or joining):
            before, total = found[-1]
            found[-1] = (before + char, 2 if char == _EMOJI_STYLE and total == 1 else total)
        else:
            found.append((char, size))
        joining = char == _JOINER and found[-1][1] == 2
    return found


def _char_width(char: str) -> int:
    if char.isascii():
        return int(char.isprintable())
    if char == "\u00ad":
        return 1
    if combining(char) or category(char) in _WITHOUT_WIDTH or "\u1160" <= char <= "\u11ff":
        return 0
    if "\U0001f3fb" <= char <= "\U0001f3ff":  # skin tones recolour the emoji before them
        return 0
    return 2 if east_asian_width(char) in "WF" else 1
