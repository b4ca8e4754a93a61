"""View: what the person at the keyboard chose to see. Nothing in it changes the run."""

from __future__ import annotations

from typing import NamedTuple


class View(NamedTuple):
    """`unread` is how many output lines came since the scrolling was paused; -1 while it is not."""

    tall_output: bool = False
    help: bool = False
    unread: int = -1

    @property
    def paused(self) -> bool:
        return self.unread >= 0


KEYS = (("q", "leave"), ("o", "output"), ("p", "pause"), ("?", "help"))
"""Keys and their word in the footer."""

HELP = (
    ("q", "leave this view; the run goes on, as text"),
    ("o", "output at full height, and back"),
    ("p", "pause the output's scrolling, and go on"),
    ("?", "this help, and back"),
    ("Ctrl-C", "stop the run: its processes end, postmortem runs; twice skips postmortem"),
    ("Ctrl-Z", "put nvsx into the background; fg brings it back"),
)


def pressed(view: View, key: str) -> View:
    """The view after a key; `q` is not its business."""
    if key == "o":
        return view._replace(tall_output=not view.tall_output, help=False)
    if key == "p":
        return view._replace(unread=-1 if view.paused else 0)
    if key == "?":
        return view._replace(help=not view.help)
    return view
