"""T9: what admission should answer, as a plain list of incidents that anyone can check by reading it.

It shares no code with nvsx: the random sequences of `tests/test_admission_model.py` compare it with the real ledger.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Fault:
    """One incident. Times are seconds; 0 is "not yet"."""

    node: str
    runbook: str
    run: str
    session: str = ""
    run_ended: float = 0.0
    closed: float = 0.0
    reports: int = 1


@dataclass
class Said:
    """What a source said."""

    source: str
    node: str = ""
    runbook: str = ""
    firing: bool = True
    delivery: str = ""
    key: str = ""
    page: str = ""  # a paging key of nvsx
    about: float = 0.0
    session: str = ""
    anonymous: bool = False
    elsewhere: bool = False


@dataclass
class Hush:
    node: str
    runbook: str
    until: float


@dataclass
class Model:
    """`cooldown` and `most` are by runbook, `room` is how many runs may be unfinished in all."""

    cooldown: dict[str, float]
    most: dict[str, int]
    room: int
    now: float = 1000.0
    faults: list[Fault] = field(default_factory=list)
    answered: dict[tuple[str, str], str] = field(default_factory=dict)
    keys: dict[tuple[str, str], Fault] = field(default_factory=dict)
    pages: dict[str, Fault] = field(default_factory=dict)
    hushes: dict[int, Hush] = field(default_factory=dict)
    unfinished: dict[str, str] = field(default_factory=dict)  # run -> runbook

    def hears(self, said: Said, run: str) -> tuple[str, str]:
        """The verdict, and the run it is about ("" for none). `run` is the id that a new run gets."""
        verdict, fault, told = self._judge(said)
        if verdict in ("start", "queue"):
            for old in self._of(said.node, said.runbook):
                old.closed = old.closed or self.now
            fault = Fault(said.node, said.runbook, run, said.session)
            self.faults.append(fault)
            self.unfinished[run] = said.runbook
        elif verdict == "attach" and fault:
            fault.session = fault.session or said.session
            fault.reports += 1
        if fault:
            told = fault.run
        if said.delivery and verdict != "refuse" and (verdict != "ignore" or said.source == "poll"):
            self.answered.setdefault((said.source, said.delivery), told)
        if said.key and verdict in ("start", "queue", "attach") and fault:
            self.keys[said.source, said.key] = fault
        return verdict, told

    def _judge(self, said: Said) -> tuple[str, Fault | None, str]:
        if said.delivery and (said.source, said.delivery) in self.answered:
            return "duplicate", None, self.answered[said.source, said.delivery]
        if said.elsewhere:
            return "ignore", None, ""
        if said.page:
            page = self.pages.get(said.page)
            return ("attach", page, "") if page else ("ignore", None, "")
        if said.anonymous or not said.firing:
            ours = self.keys.get((said.source, said.key)) if said.key else None
            ours = ours or self._open_on(said.node)
            if ours:
                return "attach", ours, ""
        if not said.firing or not said.runbook or self._hushed(said):
            return "ignore", None, ""
        last = next(iter(self._of(said.node, said.runbook)[::-1]), None)
        if last:
            known = self._is_known(said, last)
            if known:
                return known, last, ""
        if len(self.unfinished) >= self.room:
            return "refuse", None, ""
        most = self.most.get(said.runbook, 0)
        if most and sum(runbook == said.runbook for runbook in self.unfinished.values()) >= most:
            return "queue", None, ""
        return "start", None, ""

    def _is_known(self, said: Said, last: Fault) -> str:
        """What is said about a fault that nvsx knows, "" where it is a new one."""
        if not last.closed:
            anew = last.session and said.session and last.session != said.session and last.run_ended
            if not anew:
                return "attach"
        elif said.about and said.about <= last.closed:
            return "attach"
        rest = self.cooldown.get(said.runbook, 0.0)
        return "ignore" if rest and last.run_ended and self.now < last.run_ended + rest else ""

    def _of(self, node: str, runbook: str) -> list[Fault]:
        return [fault for fault in self.faults if (fault.node, fault.runbook) == (node, runbook)]

    def _open_on(self, node: str) -> Fault | None:
        open_ones = [fault for fault in self.faults if node and fault.node == node and not fault.closed]
        return open_ones[-1] if open_ones else None

    def _hushed(self, said: Said) -> bool:
        return any(
            self.now < hush.until and hush.node in ("", said.node) and hush.runbook in ("", said.runbook)
            for hush in self.hushes.values()
        )

    def ends(self, run: str) -> None:
        del self.unfinished[run]
        for fault in self.faults:
            if fault.run == run:
                fault.run_ended = self.now

    def closes(self, run: str) -> None:
        for fault in self.faults:
            if fault.run == run and fault.run_ended:
                fault.closed = fault.closed or self.now

    def pages_with(self, run: str, page: str) -> None:
        self.pages.setdefault(page, next(fault for fault in self.faults if fault.run == run))
