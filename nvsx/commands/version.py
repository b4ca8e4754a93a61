"""`nvsx version`: which nvsx this is, what runs it, and whether the file is still as it was built."""

from __future__ import annotations

import sys

from nvsx import __version__
from nvsx.terminal import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any
    from zipfile import ZipFile

    from nvsx.settings import Settings

WHOLE_FILE = "the file's head or directory"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--verify", action="store_true", help="compare every byte of the archive with its manifest")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="form of the answer")


def run(args: argparse.Namespace, _settings: Settings) -> int:
    damaged = verify() if args.verify else None
    if args.output == "json":
        _say_json(damaged)
    elif damaged is None:
        show()
    elif damaged:
        say("\n".join(f"damaged: {name}" for name in damaged))
        say("copy nvsx.pyz anew from where it is whole")
    else:
        say(f"nvsx {__version__}: every byte is as it was built")
    return int(bool(damaged))


def show() -> int:
    """Print what there is to know without reading the whole file."""
    known = facts()
    rows = [f"nvsx {__version__}", f"python {known['python']} ({known['executable']})"]
    rows.append(f"{known['layout']} {known['location']}")
    if "pythons" in known:
        code = "bytecode" if known["bytecode"] else "sources"
        rows.append(f"built for Python {', '.join(known['pythons']) or 'any'}; runs its {code}")
    say("\n".join(rows))
    return 0


def facts() -> dict[str, Any]:
    """What this nvsx is and where it runs."""
    from nvsx import assets

    known: dict[str, Any] = {
        "version": __version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "executable": sys.executable,
        "layout": assets.layout(),
        "location": assets.location(),
    }
    built = assets.build_facts()
    if built:
        known["pythons"] = built.get("pythons", "").split()
        known["bytecode"] = assets.runs_bytecode()
    return known


def _say_json(damaged: list[str] | None) -> None:
    import json

    answer = {"v": 1, **facts()}
    if answer["layout"] == "archive":
        from hashlib import sha256

        answer["sha256"] = sha256(_archive_bytes()).hexdigest()
    if damaged is not None:
        answer["damaged"] = damaged
    say(json.dumps(answer, ensure_ascii=False, indent=2))


def _archive_bytes() -> bytes:
    from nvsx import assets
    from nvsx.arguments import usage_error
    from nvsx.errors import EnvironmentUnusable

    if assets.layout() != "archive":
        usage_error(f"this nvsx runs from {assets.location()}; only an archive has a manifest", hint="make build")
    try:
        with open(assets.location(), "rb") as stream:  # noqa: PTH123
            return stream.read()
    except OSError as error:
        raise EnvironmentUnusable(f"cannot read {assets.location()}: {error.strerror}") from error


def verify() -> list[str]:
    """The names of the entries that differ from what was built; `WHOLE_FILE` for a difference outside the entries."""
    return damages(_archive_bytes())


def damages(data: bytes) -> list[str]:
    """As `verify`, of an archive's bytes."""
    from hashlib import sha256
    from io import BytesIO
    from zipfile import BadZipFile, ZipFile

    try:
        archive = ZipFile(BytesIO(data))
        names = archive.namelist()
        facts, _, lines = _read(archive, "MANIFEST").decode().partition("\n\n")
    except (BadZipFile, KeyError, UnicodeDecodeError):
        return [WHOLE_FILE]
    if not facts:
        return ["MANIFEST"]
    modes = {"MANIFEST": 0o644}
    damaged = sorted({*names} - {"MANIFEST"})
    for line in lines.splitlines():
        digest, mode, name = line.split(" ", 2)
        modes[name] = int(mode, 8)
        if name not in names:
            damaged.append(name)
        elif sha256(_read(archive, name)).hexdigest() == digest:
            damaged.remove(name)
    if damaged:
        return sorted(damaged)
    start = archive.getinfo("MANIFEST").header_offset
    whole = f"\nhead {sha256(data[:start]).hexdigest()}" in facts and data.endswith(_directory(data, archive, modes))
    return [] if whole else [WHOLE_FILE]


def _read(archive: ZipFile, name: str) -> bytes:
    """An entry's content, b"" if it is too damaged to be unpacked."""
    from zipfile import BadZipFile
    from zlib import error

    try:
        return archive.read(name)
    except (BadZipFile, error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError):
        return b""


def _directory(data: bytes, archive: ZipFile, modes: dict[str, int]) -> bytes:
    """The directory at the file's end, made anew from the entries' own headers; it is all that no hash covers."""
    from struct import pack

    records = b""
    end = 0
    for info in archive.infolist():
        start = info.header_offset
        header = data[start + 4 : start + 28]  # from the version needed to the length of the name
        records += b"PK\1\2\x14\3" + header + pack("<4H2L", 0, 0, 0, 0, (0o100000 | modes[info.filename]) << 16, start)
        records += data[start + 30 : start + 30 + len(info.filename)]
        end = start + 30 + len(info.filename) + info.compress_size
    count = len(modes)
    return records + pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(records), end, 0)
