"""Run events as lines for logs: every line says when, which run and which node, and can be read alone at 3 a.m."""

from __future__ import annotations

from time import gmtime, strftime
from typing import TYPE_CHECKING, Any

from nvsx.cells import printable
from nvsx.durations import format_duration
from nvsx.events import Chain, Finish, Hook, Note, Output, Prerequisite, StageBegin, StageEnd, Start, Watch
from nvsx.sinks.tally import STATUS_COLORS, TONE_COLORS, Tally, outcome_text, summary
from nvsx.terminal import PLAIN, to_ascii

if TYPE_CHECKING:
    from collections.abc import Callable

    from nvsx.events import RunEvent
    from nvsx.sinks.writer import Writer
    from nvsx.terminal import Paint

_STATUS_GLYPHS = {"pass": "●", "skipped": "○", "blind": "?"}
_LEVEL_COLORS = {"info": "", "warning": "yellow", "error": "red"}


TOLD_TIMES = 3
"""How often one reason for not being able to look is told in one stage; reminders go on."""


class Text:
    """Draws events as lines onto a writer."""

    def __init__(self, writer: Writer, lines: TextLines, *, encoding: str = "utf-8", ascii_only: bool = False) -> None:
        self._writer = writer
        self._lines = lines
        self._encoding = encoding
        self._ascii_only = ascii_only

    def emit(self, event: RunEvent) -> None:
        lines = self._lines.draw(event)
        if lines:
            self._writer.put(self._encoded("\n".join(lines) + "\n"), droppable=isinstance(event.body, Output))

    def close(self) -> None:
        self._writer.close()

    def _encoded(self, text: str) -> bytes:
        return (to_ascii(text) if self._ascii_only else text).encode(self._encoding, "backslashreplace")


def gap_notice(count: int) -> bytes:
    """What stands in the text where lines are missing."""
    return f"... {count} lines are missing here: whoever reads this fell behind\n".encode("ascii")


class TextLines:
    """The text itself: events in, lines out, nothing else. Remembers per run what the next line depends on."""

    def __init__(self, *, paint: Paint = PLAIN, verbose: bool = False, table: bool = True) -> None:
        """`verbose` shows every change of a clause and of the chain; `table` ends each run with its summary."""
        self._paint = paint
        self._verbose = verbose
        self._table = table
        self._runs: dict[str, _Run] = {}

    def draw(self, event: RunEvent) -> list[str]:
        """The lines of one event; none, for what a reader need not know."""
        run = self._runs.setdefault(event.run_id, _Run())
        run.tally.fold(event.body)
        drawn = _DRAW[event.body.event](self, run, event.body)
        prefix = self._prefix(event, run)
        lines = [f"{prefix}  {line}" for line in drawn]
        if isinstance(event.body, Finish):
            del self._runs[event.run_id]
            if self._table:
                lines += summary(run.tally, event.body, event.run_id, self._paint)
        return lines

    def _prefix(self, event: RunEvent, run: _Run) -> str:
        stamp = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(event.t))
        start = run.tally.start
        node = (start.target_alias or start.target_node if start else "") or "-"
        return f"{self._paint(f'{stamp} {short_id(event.run_id)}', 'dim')} {self._paint(_clean(node), 'magenta')}"

    def _start(self, _: _Run, body: Start) -> list[str]:
        name = self._paint(f"#{_clean(body.runbook_nickname)}", "magenta", bold=True) if body.runbook_nickname else ""
        title = self._paint(_clean(body.title or body.runbook), "white", bold=True)
        target = f"{body.target_alias}  ({body.target_node})" if body.target_node else "no node"
        facts = [f"target: {target}"]
        if body.trigger_source:
            facts.append(f"started by {body.trigger_source}")
        if body.drill:
            facts.append("drill")
        return [f"▶ {title}  ({body.runbook}) {name}".rstrip(), "  " + _clean(" · ".join(facts))]

    def _prerequisite(self, _: _Run, body: Prerequisite) -> list[str]:
        glyph = self._paint("✓", "green") if body.ok else self._paint("✗", "red")
        detail = f": {_clean(body.detail)}" if body.detail else ""
        return [f"  {glyph} {_clean(body.name)}{detail}"]

    def _stage_begin(self, run: _Run, body: StageBegin) -> list[str]:
        run.clauses.clear()
        run.blinded_before.clear()
        run.origin = run.blinded = ""
        limit = self._paint(f"(up to {format_duration(body.timeout_s)})", "dim") if body.waiting_for else ""
        title = f"  {_clean(body.title)}" if body.title and body.title != body.stage else ""
        lines = [f"{self._paint('→ ' + _clean(body.stage), 'cyan', bold=True)}{title}  {limit}".rstrip()]
        return lines + [f"  waiting for {_clean(text)}" for text in body.waiting_for]

    def _watch(self, run: _Run, body: Watch) -> list[str]:
        before = run.clauses.get(body.clause, "unmet")
        run.clauses[body.clause] = body.state
        detail = f": {_clean(body.detail)}" if body.detail else ""
        inferred = " (inferred)" if body.inferred else ""
        text = f"{_clean(body.text)}{detail}{inferred}"
        if body.state == "blind":
            return self._blindness(run, body, text)
        lines = self._sight(run)
        if body.state == "met":
            return [*lines, f"  {self._paint('✓', 'green')} {text}"]
        if self._verbose or before == "met":
            lines.append(f"  {self._paint('○', 'grey')} not {'now' if before == 'met' else 'yet'}: {text}")
        return lines

    def _blindness(self, run: _Run, body: Watch, text: str) -> list[str]:
        """One line for a reason, however many clauses it blinds; a source that comes and goes is told a few times."""
        mark = self._paint("? cannot look:", "yellow")
        if self._verbose:
            return [f"  {mark} {text}"]
        if body.detail == run.blinded:
            return []
        run.blinded = body.detail
        count = run.blinded_before[body.detail] = run.blinded_before.get(body.detail, 0) + 1
        if count > TOLD_TIMES:
            return []
        last = "; it comes and goes, and is told no more in this stage" if count == TOLD_TIMES else ""
        return [f"  {mark} {_clean(body.detail or body.text)}{last}"]

    def _sight(self, run: _Run) -> list[str]:
        """The end of blindness, where its begin was told."""
        if not run.blinded or "blind" in run.clauses.values():
            return []
        count = run.blinded_before.get(run.blinded, 0)
        run.blinded = ""
        return [] if self._verbose or count >= TOLD_TIMES else [f"  {self._paint('✓', 'green')} looking again"]

    def _chain(self, _: _Run, body: Chain) -> list[str]:
        """Clauses tell most of the chain already; that people must come is told to everybody."""
        if not self._verbose and body.topic != "people":
            return []
        subject = f"  {_clean(body.subject)}" if body.topic == "repair" else ""
        return [f"  {self._paint('·', TONE_COLORS[body.tone])} {body.topic}: {_clean(body.text)}{subject}"]

    def _output(self, run: _Run, body: Output) -> list[str]:
        line = f"  {self._paint('│', 'dim')} {printable(body.text, keep=chr(9))}"
        if body.origin == run.origin:
            return [line]
        run.origin = body.origin
        return [f"  {self._paint('│ ' + _clean(body.origin) + ':', 'dim')}", line]

    def _hook(self, run: _Run, body: Hook) -> list[str]:
        again = f", attempt {body.attempt}" if body.attempt > 1 else ""
        if body.phase == "begin":
            run.origin = body.hook
            return [f"  {self._paint('│', 'dim')} {_clean(body.hook)}: {_clean(body.script)}{again}"]
        run.origin = ""
        good = body.outcome == "ok"
        unset = body.outcome == "not_configured"
        glyph = self._paint("✓", "green") if good else self._paint("○", "grey") if unset else self._paint("✗", "red")
        detail = f": {_clean(body.detail)}" if body.detail and not good else ""
        retried = "" if body.final else ", trying again"
        elapsed = format_duration(body.elapsed_s)
        return [f"  {glyph} {_clean(body.hook)} {outcome_text(body)}{again}  {elapsed}{retried}{detail}"]

    def _stage_end(self, _: _Run, body: StageEnd) -> list[str]:
        glyph = _STATUS_GLYPHS.get(body.status, "✗")
        word = self._paint(f"{glyph} {body.status.upper()}", STATUS_COLORS[body.status], bold=True)
        elapsed = "" if body.status == "skipped" else f"  {format_duration(body.elapsed_s)}"
        inferred = "  (inferred)" if body.inferred else ""
        reason = f"  {_clean(body.reason)}" if body.reason else ""
        return [f"{word}  {_clean(body.stage)}{elapsed}{inferred}{reason}"]

    def _note(self, _: _Run, body: Note) -> list[str]:
        text = _clean(body.text)
        if body.topic == "narration":
            return ["  " + self._paint(text, "grey", italic=True)]
        mark = {"reminder": "… ", "blind": "? "}.get(body.topic, "! " if body.level != "info" else "")
        color = _LEVEL_COLORS[body.level] or ("yellow" if body.topic in ("reminder", "blind") else "")
        return ["  " + self._paint(mark + text, color)]

    def _finish(self, _: _Run, body: Finish) -> list[str]:
        glyph = _STATUS_GLYPHS.get(body.status, "✗")
        color = "yellow" if body.status == "pass" and body.exit_code else STATUS_COLORS[body.status]
        mttr = f"  MTTR {format_duration(body.mttr_s)}" if body.mttr_s is not None else ""
        reason = f"  {_clean(body.reason)}" if body.reason else ""
        verdict = self._paint(f"{glyph} {_clean(body.verdict)}", color, bold=True)
        return [f"{verdict}  total {format_duration(body.total_s)}{mttr}{reason}"]


class _Run:
    """What the lines of one run depend on."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.clauses: dict[str, str] = {}
        self.origin = ""  # whose output the last line belonged to
        self.blinded = ""  # why it cannot look now, as it was told
        self.blinded_before: dict[str, int] = {}  # reason: how often it was told in this stage


def short_id(run_id: str) -> str:
    """The tail of a run's id: enough to tell runs apart in one log."""
    return printable(run_id.rpartition("-")[2][-8:]) or "-"


def _clean(text: str) -> str:
    """Text from outside as part of one line."""
    return printable(" ".join(text.splitlines()) if "\n" in text or "\r" in text else text)


_DRAW: dict[str, Callable[[TextLines, _Run, Any], list[str]]] = {
    Start.event: TextLines._start,
    Prerequisite.event: TextLines._prerequisite,
    StageBegin.event: TextLines._stage_begin,
    Watch.event: TextLines._watch,
    Chain.event: TextLines._chain,
    Output.event: TextLines._output,
    Hook.event: TextLines._hook,
    StageEnd.event: TextLines._stage_end,
    Note.event: TextLines._note,
    Finish.event: TextLines._finish,
}
