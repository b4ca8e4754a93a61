"""`python -m nvsx`."""

from __future__ import annotations

from nvsx.main import entry

if __name__ == "__main__":
    entry()
