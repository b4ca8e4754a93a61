"""`nvsx` and `nvsx shell`: a prompt that takes every command, remembers a runbook, and shows how the cluster is."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from nvsx import __version__
from nvsx.app.glance import Glances, glance_at, node_aliases
from nvsx.commands import COMMANDS
from nvsx.errors import NvsxError, UsageError
from nvsx.shapes import global_flags, read_shapes
from nvsx.terminal import is_terminal, paint_for, say, shows, to_ascii
from nvsx.typed import Things, offers, with_runbook, words_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from prompt_toolkit.completion import CompleteEvent, Completer
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.history import History
    from prompt_toolkit.shortcuts import PromptSession

    from nvsx.app.glance import Glance
    from nvsx.settings import Settings
    from nvsx.shells import Shape

OWN = {
    # the shell's own words: (what they take, meaning)
    "use": ("<runbooks>", "the runbook that `run`, `show`, `drill` and the like mean from now on"),
    "quit": ("", "leave (Ctrl-D)"),
    "exit": ("", "leave (Ctrl-D)"),
}
HISTORY_FILE = "history"
_MENU_ROWS = 6
_SHOWN_NODES = 2


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """It takes the global flags only; every command typed in it inherits them."""


def run(args: argparse.Namespace, settings: Settings) -> int:
    if not (is_terminal(0) and is_terminal(1)):
        code: int = args.dispatch(["help"])
        return code
    return Shell(settings, args.dispatch).loop()


class Shell:
    """The prompt and what it remembers. `dispatch` runs a command line as if nvsx had been started with it."""

    def __init__(self, settings: Settings, dispatch: Callable[[Sequence[str]], int]) -> None:
        self.runbook = ""
        self._settings = settings
        self._dispatch = dispatch
        self._paint = paint_for(1, settings.color, deep=settings.deep_color)
        self._shapes: dict[str, Shape] = {}
        self._common = global_flags()
        self._session = self._prompt_session()
        self._glances = Glances(lambda: glance_at(settings), self._session.app.invalidate)

    def loop(self) -> int:
        """Read and run lines until `quit` or Ctrl-D; returns 0, whatever the commands returned."""
        self._greet()
        try:
            while True:
                self._glances.look_out(on=True)
                try:
                    line = self._session.prompt()
                except KeyboardInterrupt:
                    continue  # Ctrl-C clears the line
                except EOFError:
                    return 0
                finally:
                    self._glances.look_out(on=False)
                if self.take(line):
                    return 0
        finally:
            self._glances.end()

    def take(self, line: str) -> bool:
        """Run one line; True when it is the last one."""
        line = line.strip()
        if line.startswith("!"):
            self._report(_in_bash(line[1:]))
            return False
        try:
            words = words_of(line)
            words = words[1:] if words[:1] == ["nvsx"] else words
            if not words:
                return False
            if words[0] in ("quit", "exit"):
                return True
            if words[0] == "use":
                self._use(words[1:])
            elif words[0] == "shell":
                raise UsageError("this is the shell already", hint="quit")
            else:
                self._report(self._dispatch(self._completed(words)))
        except NvsxError as error:
            self._complain(error)
        return False

    def _completed(self, words: list[str]) -> list[str]:
        shape = self.shapes().get(words[0])
        return with_runbook(words, shape, self._common, self.runbook) if shape else words

    def _use(self, words: list[str]) -> None:
        from nvsx.catalog import Catalog

        if len(words) > 1:
            raise UsageError(f"use takes one runbook, not {len(words)}", hint="use gpu-off-bus")
        if not words:
            say(f"in use: {self.runbook}" if self.runbook else "no runbook is in use: use RUNBOOK, see `list`")
            return
        self.runbook = "" if words[0] == "-" else Catalog.for_settings(self._settings).load(words[0]).name

    def _complain(self, error: NvsxError) -> None:
        say(f"error[{error.code}]: {error.message}")
        if error.hint:
            say(f"hint: {error.hint}")

    def _report(self, code: int) -> None:
        """Say how a command ended where it did not end well: a prompt shows no exit code by itself."""
        sys.stdout.flush()
        if code:
            say(self._paint(f"exit code {code}", "grey"))

    def shapes(self) -> dict[str, Shape]:
        """What every command takes; read when it is first needed, for it imports all of them."""
        if not self._shapes:
            from nvsx.topics import TOPICS

            self._shapes = read_shapes(COMMANDS, TOPICS)
        return self._shapes

    def things(self) -> Things:
        """What can be named on a line, without asking the cluster: the nodes are those of the last glance."""
        from nvsx.catalog import Catalog

        try:
            summaries = Catalog.for_settings(self._settings).summaries()
        except (NvsxError, OSError):
            summaries = ()
        return Things({one.name: one.nickname for one in summaries}, node_aliases(self._glances.latest))

    def offered(self, line: str) -> Iterator[tuple[str, str, str]]:
        """Word, meaning and kind of everything that may stand at the end of a line."""
        yield from offers(line, self.shapes(), self._common, self.things(), OWN)

    # what follows draws

    def _greet(self) -> None:
        from nvsx.catalog import Catalog

        try:
            catalog = Catalog.for_settings(self._settings)
            at_hand = f"{len(catalog.names())} runbooks in {catalog.where}"
        except (NvsxError, OSError) as error:
            at_hand = str(error)
        say(f"{self._paint(f'nvsx {__version__}', 'cyan', bold=True)}  {at_hand}")
        say(self._paint("list, use RUNBOOK, run, status, help, quit; Tab completes; !command goes to bash", "grey"))

    def _prompt_session(self) -> PromptSession[str]:
        from prompt_toolkit.output import ColorDepth
        from prompt_toolkit.shortcuts import PromptSession
        from prompt_toolkit.styles import Style

        plain = Style([("bottom-toolbar", "noreverse"), ("bottom-toolbar.text", "noreverse")])
        return PromptSession(
            self._prompt,
            history=_history(self._settings),
            completer=_completer(self),
            complete_while_typing=False,
            bottom_toolbar=self._toolbar,
            color_depth=None if self._paint.on else ColorDepth.DEPTH_1_BIT,
            style=plain,
            reserve_space_for_menu=_MENU_ROWS,
        )

    def _prompt(self) -> StyleAndTextTuples:
        in_use = [("", " ("), ("bold", self.runbook), ("", ")")] if self.runbook else []
        return [("", "nvsx"), *in_use, ("", "> ")]

    def _toolbar(self) -> StyleAndTextTuples:
        from nvsx.cells import printable

        parts = [*toolbar(self._glances.latest), *self._last_drill()]
        joined = [piece for part in parts for piece in (("", " · "), part)][1:]
        write = printable if shows(sys.stdout) else lambda text: to_ascii(printable(text))
        return [(style, write(text)) for style, text in joined]

    def _last_drill(self) -> list[tuple[str, str]]:
        if not self.runbook:
            return []
        from nvsx.app.rehearsal.drills import last_drill
        from nvsx.clock import RealClock
        from nvsx.durations import format_duration

        last = last_drill(self._settings, self.runbook)
        if not last or not last[0]:
            return [("", "never drilled")]
        return [("", f"drilled {format_duration(RealClock().now() - last[0])} ago")]


def toolbar(glance: Glance) -> list[tuple[str, str]]:
    """What the bar below the prompt says of the cluster, as (style, text) parts."""
    if glance.problem:
        return [("fg:ansiyellow bold", f"cannot look: {glance.problem}")]
    status = glance.status
    if status is None:
        return [("", "looking at the cluster …")]
    parts = [("", glance.context or "in a pod")]
    for what, error in status.blind.items():
        parts.append(("fg:ansiyellow bold", f"cannot look at {what}: {error.message}"))
    if "nodes" in status.blind:
        return parts
    parts.append(("", f"{status.gpu_nodes} GPU node{'' if status.gpu_nodes == 1 else 's'}"))
    held = [node.alias for node in status.nodes if node.held]
    if held:
        names = ", ".join(held[:_SHOWN_NODES]) + (" …" if len(held) > _SHOWN_NODES else "")
        parts.append(("fg:ansired bold", f"{len(held)} quarantined: {names}"))
    else:
        parts.append(("", "none quarantined"))
    if status.breaker == "TRIPPED":
        parts.append(("fg:ansired bold", "breaker TRIPPED"))
    return parts


def _completer(shell: Shell) -> Completer:
    from prompt_toolkit.completion import Completer, Completion, PathCompleter
    from prompt_toolkit.document import Document

    class ShellCompleter(Completer):  # made here: its base is imported when a shell starts
        def get_completions(self, document: Document, event: CompleteEvent) -> Iterator[Completion]:
            line = document.text_before_cursor
            word = document.get_word_before_cursor(WORD=True)
            for offered, meaning, kind in shell.offered(line):
                if kind:
                    paths = PathCompleter(only_directories=kind == "directories", expanduser=True)
                    yield from paths.get_completions(Document(word), event)
                else:
                    yield Completion(offered, -len(word), display_meta=meaning)

    return ShellCompleter()


def _history(settings: Settings) -> History:
    """Lines of earlier sessions, in the state directory; only this session's where nothing can be kept."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    from nvsx.settings import state_directory

    class QuietHistory(FileHistory):
        def store_string(self, string: str) -> None:
            if not string.startswith(" "):  # as in bash: a line that begins with a blank is not kept
                super().store_string(string)

    try:
        file = state_directory(settings) / HISTORY_FILE
        os.close(os.open(file, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600))
    except (NvsxError, OSError):
        return InMemoryHistory()
    return QuietHistory(str(file))


def _in_bash(command: str) -> int:
    """Run a line in bash on this terminal; Ctrl-C is for it alone."""
    import signal
    import subprocess

    if not command.strip():
        say("after ! comes a command for bash, such as !kubectl get nodes")
        return 0
    kept = signal.signal(signal.SIGINT, lambda *_: None)  # a handler, unlike SIG_IGN, is not inherited
    try:
        code = subprocess.run(["bash", "-c", command], check=False).returncode
        return code if code >= 0 else 128 - code  # as bash counts what a signal ended
    except OSError as error:
        say(f"error[environment]: bash cannot be started: {error.strerror}")
        return 3
    finally:
        signal.signal(signal.SIGINT, kept)
