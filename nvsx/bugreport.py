"""What is written down when nvsx itself is at fault, so that a stranger can find the defect without asking back."""

from __future__ import annotations

import os
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nvsx.settings import Settings

_CREDENTIALS = re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s@]+@")
_HIDDEN = "<hidden>"
_SECRET_FLAGS = ("--mongo-uri",)


def write_report(error: BaseException, argv: Sequence[str]) -> tuple[str, str]:
    """Write the report where it can be written: (the file, or "" if nowhere; its text). Never raises."""
    settings = _settings(argv)
    text = report_text(error, argv, settings)
    for directory in _directories(settings):
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)  # noqa: PTH103 - a bug may be in anything; use little
            path = os.path.join(directory, f"nvsx-bug-{os.getpid()}.txt")  # noqa: PTH118
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(text.encode("utf-8", "backslashreplace"))
        except (OSError, ValueError):
            continue
        return os.path.abspath(path), text  # noqa: PTH100
    return "", text


def report_text(error: BaseException, argv: Sequence[str], settings: Settings | None = None) -> str:
    """The report: versions, command line, traceback with source lines, all without secrets."""
    import platform
    import traceback

    from nvsx import __version__

    _fill_source_lines()
    lines = [
        f"nvsx {__version__}, Python {sys.version}",
        f"{platform.platform()}, started as {sys.argv[0] if sys.argv else '?'}",
        "command line: nvsx " + " ".join(_without_values(argv)),
        "",
        "".join(traceback.format_exception(error)),
    ]
    return hide("\n".join(lines), _secrets(settings))


def hide(text: str, secrets: Iterable[str]) -> str:
    """`text` without the given secrets and without user:password parts of addresses."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return _CREDENTIALS.sub(rf"\1{_HIDDEN}@", text)


def _without_values(argv: Sequence[str]) -> Iterator[str]:
    hide_next = False
    for word in argv:
        name, joined, _ = word.partition("=")
        if hide_next:
            yield _HIDDEN
        elif joined and name in _SECRET_FLAGS:
            yield f"{name}={_HIDDEN}"
        else:
            yield word
        hide_next = word in _SECRET_FLAGS


def _settings(argv: Sequence[str]) -> Settings | None:
    try:
        from nvsx.arguments import split_flags
        from nvsx.settings import load

        return load(split_flags(argv)[0])
    except Exception:  # whatever is broken may break this as well
        return None


def _secrets(settings: Settings | None) -> Iterable[str]:
    try:
        from nvsx.settings import secret_values

        return secret_values(settings)
    except Exception:
        return ()


def _directories(settings: Settings | None) -> Iterator[str]:
    if settings:
        yield str(settings.state_dir)
    yield "."
    try:
        from tempfile import gettempdir

        yield gettempdir()
    except OSError:
        return


def _fill_source_lines() -> None:
    """Inside an archive a traceback has no source lines until the archive's text is handed to linecache."""
    try:
        from nvsx.assets import fill_linecache
    except ImportError:
        return
    try:
        fill_linecache()
    except Exception:  # a report without source lines is still a report
        return
