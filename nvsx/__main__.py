"""`python3 -m nvsx`, and the first page of nvsx.pyz: there it opens the modules that fit the Python at hand.

Any Python from 2.7 on can read this file, so that an old one says in one line that it is too old.
"""
# ruff: noqa: UP031, UP036, PTH100, PTH118, PTH120

import os
import sys

if sys.version_info < (3, 11):
    sys.stderr.write(
        "error[environment]: nvsx needs Python 3.11 or newer, and this is %d.%d (%s)\n"
        % (sys.version_info[0], sys.version_info[1], sys.executable or "python")
    )
    sys.exit(3)


def open_archive():  # type: () -> None
    """Import from the archive's bytecode for this Python, or else from its sources."""
    from importlib.util import MAGIC_NUMBER

    archive = os.path.dirname(os.path.abspath(__file__))
    tree = "cp%d%d" % sys.version_info[:2]
    try:
        magic = __spec__.loader.get_data(os.path.join(archive, tree, "nvsx", "__init__.pyc"))[:4]  # type: ignore
    except OSError:
        magic = b""
    sys.path[0] = os.path.join(archive, tree if magic == MAGIC_NUMBER else "src")
    import nvsx._vendor  # noqa: F401 - finds what is bundled


if __name__ == "__main__":
    if not __package__:
        open_archive()
    from nvsx.main import entry

    entry()
