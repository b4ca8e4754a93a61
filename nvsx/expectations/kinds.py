"""What a test can expect of a rehearsal. Each kind says what was seen instead, or nothing when it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nvsx.durations import format_duration
from nvsx.expectations.ranges import ONCE, Range
from nvsx.messages import is_for
from nvsx.model import DRILL_STAGES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nvsx.errors import Place
    from nvsx.expectations.seen import Firing, Seen
    from nvsx.messages import Message

_LISTED = 6


class Mismatch(NamedTuple):
    """An expectation that did not hold: where it stands, what it wanted, and what was seen."""

    place: Place
    path: str
    expected: str
    seen: str


class Wanted(Protocol):
    """One kind of expectation."""

    def judge(self, seen: Seen, others: Mapping[str, MessageSent]) -> tuple[str, str] | None:
        """What was expected and what was seen; None when it holds. `others` are the messages that have an id."""
        ...


class Expectation(NamedTuple):
    """Something expected, and where in its file it stands."""

    wanted: Wanted
    place: Place
    path: str


def judge(expectations: Sequence[Expectation], seen: Seen) -> Iterator[Mismatch]:
    """Every expectation that does not hold, in the file's order."""
    named = {e.wanted.id: e.wanted for e in expectations if isinstance(e.wanted, MessageSent) and e.wanted.id}
    for expectation in expectations:
        told = expectation.wanted.judge(seen, named)
        if told:
            yield Mismatch(expectation.place, expectation.path, *told)


class ExitCode(NamedTuple):
    code: int

    def judge(self, seen: Seen, others: Mapping[str, MessageSent]) -> tuple[str, str] | None:
        if seen.finish.exit_code == self.code:
            return None
        return str(self.code), f"{seen.finish.exit_code} ({_ending(seen)})"


class VerdictIs(NamedTuple):
    words: str

    def judge(self, seen: Seen, others: Mapping[str, MessageSent]) -> tuple[str, str] | None:
        return None if seen.finish.verdict == self.words else (self.words, _ending(seen))


class AllStagesEnd(NamedTuple):
    """How every stage ends; those that only a drill runs apart."""

    status: str

    def judge(self, seen: Seen, others: Mapping[str, MessageSent]) -> tuple[str, str] | None:
        ends = [end for end in seen.stages.values() if end.stage not in DRILL_STAGES]
        other = [end for end in ends if end.status != self.status]
        if ends and not other:
            return None
        words = [f"{end.stage} {end.status}{f': {end.reason}' if end.reason else ''}" for end in other]
        return f"every stage {self.status}", "; ".join(words) or "no stage at all"


class StageEnds(NamedTuple):
    """How a stage ends; empty fields ask for nothing."""

    stage: str
    status: str = ""
    reason: str = ""
    lasts: Range | None = None
    inferred: bool | None = None

    def judge(self, seen: Seen, others: Mapping[str, MessageSent]) -> tuple[str, str] | None:
        end = seen.stages.get(self.stage)
        if end is None:
            return self.status or "a stage that ran", f"no stage {self.stage} in this run ({_ending(seen)})"
        why = f": {end.reason}" if end.reason else ""
        if self.status and end.status != self.status:
            return self.status, f"{end.status}{why}"
        if self.reason and self.reason not in end.reason:
            return f"a reason with {self.reason!r}", end.reason or "no reason"
        if self.lasts and end.elapsed_s not in self.lasts:
            return f"to last {self.lasts.text}", f"{format_duration(end.elapsed_s)} ({end.status})"
        if self.inferred is not None and end.inferred != self.inferred:
            return ("inferred", "seen") if self.inferred else ("seen", "inferred")
        return None


class HookFires(NamedTuple):
    """How often a hook (or action) is started; empty fields fit every one."""

    hook: str = ""
    stage: str = ""
    script: str = ""
    outcome: str = ""
    times: Range = ONCE
    since_fault: Range | None = None

    def judge(self, seen: Seen, others: Mapping[str, MessageSent]) -> tuple[str, str] | None:
        started = [firing for firing in seen.firings if self._fits(firing)]
        found = [firing for firing in started if self.outcome in ("", firing.outcome)]
        if len(found) not in self.times:
            about = f" of {_times(len(started))} in all" if len(started) != len(found) else ""
            return f"{self._what()} {_often(self.times)}", f"{_times(len(found))}{about}{_list(started)}"
        if self.since_fault:
            late = [firing for firing in found if firing.at - seen.fault_time not in self.since_fault]
            if late:
                return f"{self._what()} {self.since_fault.text} after the fault", seen.since_fault(late[0].at)
        return None

    def _fits(self, firing: Firing) -> bool:
        pairs = ((self.hook, firing.hook), (self.stage, firing.stage), (self.script, firing.script))
        return all(wanted in ("", found) for wanted, found in pairs)

    def _what(self) -> str:
        words = [self.stage, self.hook, self.script, f"({self.outcome})" if self.outcome else ""]
        return " ".join(word for word in words if word) or "any hook"


class MessageSent(NamedTuple):
    """How often a message of this description is sent; empty fields fit every one.

    `key` is the deduplication key, or `incident` for the run's own; `same_key_as` and `other_key_than` name the id of
    another expected message.
    """

    to: str = ""
    id: str = ""
    method: str = ""
    contains: tuple[str, ...] = ()
    fields: Mapping[str, Any] = {}
    key: str = ""
    same_key_as: str = ""
    other_key_than: str = ""
    times: Range = ONCE

    def judge(self, seen: Seen, others: Mapping[str, MessageSent]) -> tuple[str, str] | None:
        found = self.found(seen)
        if len(found) not in self.times:
            near = [message for message in seen.messages if not self.to or is_for(message, self.to)]
            return f"{self._what()} {_often(self.times)}", f"{_times(len(found))}{_list(map(told, near))}"
        return self._keys(seen, found, others)

    def found(self, seen: Seen) -> list[Message]:
        """The messages that fit, whatever their keys."""
        return [message for message in seen.messages if self._fits(message)]

    def _fits(self, message: Message) -> bool:
        if (self.to and not is_for(message, self.to)) or self.method not in ("", message.method):
            return False
        if not all(text in message.body or text in message.gist for text in self.contains):
            return False
        return all(field_at(message.data, path) == value for path, value in self.fields.items())

    def _keys(self, seen: Seen, found: list[Message], others: Mapping[str, MessageSent]) -> tuple[str, str] | None:
        if self.key:
            incident = self.key == "incident"
            wanted = seen.finish.incident_key if incident else self.key
            wrong = [message for message in found if not _same(message.key, wanted)]
            if wrong:
                return f"key {wanted}{' (the incident)' if incident else ''}", _wrong_key(wrong[0])
        if self.same_key_as:
            keys = {message.key for message in others[self.same_key_as].found(seen)}
            wrong = [message for message in found if not any(_same(message.key, key) for key in keys)]
            if wrong:
                return f"the key of {self.same_key_as}, {_words(keys)}", _wrong_key(wrong[0])
        if self.other_key_than:
            keys = {message.key for message in others[self.other_key_than].found(seen)}
            wrong = [message for message in found if any(_same(message.key, key) for key in keys)]
            if wrong:
                return f"another key than {self.other_key_than}'s", _wrong_key(wrong[0])
        return None

    def _what(self) -> str:
        words = [f"{self.method or 'message'} to {self.to}" if self.to else self.method or "any message"]
        words += [f"with {text!r}" for text in self.contains]
        words += [f"{path}={value}" for path, value in self.fields.items()]
        return " ".join(words)


class Says(NamedTuple):
    """A text that hooks, actions and checks print, in one line."""

    text: str

    def judge(self, seen: Seen, others: Mapping[str, MessageSent]) -> tuple[str, str] | None:
        if any(self.text in line for line in seen.output):
            return None
        last = f", the last of them {seen.output[-1]!r}" if seen.output else ""
        return f"{self.text!r} in the output", f"{len(seen.output)} lines without it{last}"


class Keeps(NamedTuple):
    """A file that is in the artifact directory at the end."""

    name: str

    def judge(self, seen: Seen, others: Mapping[str, MessageSent]) -> tuple[str, str] | None:
        if self.name in seen.artifacts:
            return None
        return f"an artifact {self.name}", ", ".join(sorted(seen.artifacts)) or "no artifacts"


class Takes(NamedTuple):
    """How long the run takes (`total`), or fault and repair together (`mttr`)."""

    what: str
    range: Range

    def judge(self, seen: Seen, others: Mapping[str, MessageSent]) -> tuple[str, str] | None:
        value = seen.finish.total_s if self.what == "total" else seen.finish.mttr_s
        if value in self.range:
            return None
        return self.range.text, "unknown" if value is None else format_duration(value)


class Writes(NamedTuple):
    """Changes to the cluster that were made by actions, or (`refused`) tried by others."""

    times: Range
    refused: bool = False

    def judge(self, seen: Seen, others: Mapping[str, MessageSent]) -> tuple[str, str] | None:
        finish = seen.finish
        value = finish.refused_cluster_writes if self.refused else finish.action_cluster_writes
        return None if value in self.times else (self.times.text, str(value))


def field_at(data: Any, path: str) -> Any:
    """The value under a dotted path of keys and positions; None where there is none."""
    for step in path.split("."):
        if isinstance(data, list) and step.isdecimal() and int(step) < len(data):
            data = data[int(step)]
        elif isinstance(data, dict):
            data = data.get(step)
        else:
            return None
    return data


def told(message: Message) -> str:
    """A message in a line: where to, its key, and what people read of it."""
    key = f" [{message.key}]" if message.key else ""
    return f"{message.method} {message.where}{key} {message.gist[:100]}"


def _same(key: str, wanted: str) -> bool:
    """Whether two keys are one; a ticket's label cannot hold the slash of an incident's key."""
    return bool(key) and key in (wanted, wanted.replace("/", "-"))


def _wrong_key(message: Message) -> str:
    return f"{message.key or 'no key'} in {message.method} {message.where} {message.gist[:60]}"


def _often(times: Range) -> str:
    if times.high == 0:
        return "never"
    return "once" if times == ONCE else f"{times.text} times"


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _words(keys: set[str]) -> str:
    return " or ".join(sorted(key or "no key" for key in keys)) or "which was not sent"


def _list(things: Any) -> str:
    """What there was instead, one to a line."""
    lines = [str(thing) for thing in things]
    more = [f"… and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    return "".join(f"\n{line}" for line in [*lines[:_LISTED], *more])


def _ending(seen: Seen) -> str:
    return f"{seen.finish.verdict}: {seen.finish.reason}" if seen.finish.reason else seen.finish.verdict
