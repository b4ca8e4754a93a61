"""Sorts every command of a page: NVSentinel's work is dropped, the team's own kept for a hook, the rest people's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from nvsx.conversion import marks, phases
from nvsx.conversion.markdown import Block, may_be_shell
from nvsx.conversion.placeholders import fill_node, gap, names_node
from nvsx.conversion.programs import CLUSTER_TOOLS, COLLECT, KUBECTL, NOTIFY, REBOOT
from nvsx.conversion.scan import LITERAL_BODY, Unreadable, scan
from nvsx.conversion.shell import bare, commands, function_name, joined, units
from nvsx.runbook.lint_scripts import WRITE_VERBS, kubectl_writes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from nvsx.conversion.markdown import Page, Section
    from nvsx.conversion.shell import Unit

DROPPED, KEPT, PEOPLE, DEFINES = "dropped", "kept", "people", "defines"

_PROMPT = re.compile(r"\s*(?:\[?[\w.-]+@[\w.-]+[^$#%]*\]?)?[$❯➜%]\s+(.*)")
_DECLARES = {"export", "declare", "readonly", "typeset"}
_SWITCHES = re.compile(r"\s*(?:set\s+[-+]|shopt\b|unset HISTFILE|cd\s|clear\b|exit\b|return\b|:\s*$)")
_SPELLED = re.compile(rf"\bkubectl\b[^|;&\n]*?\s(?:{'|'.join(sorted(WRITE_VERBS))})\b")
_POSITIONAL = re.compile(r"\$(?:[1-9]|\{[1-9]|[@*#])")
_FIRST_WORD = re.compile(r"(?:sudo\s+|\w+=\S*\s+)*([\w./-]+)")
_COMMON = (
    KUBECTL
    | NOTIFY
    | COLLECT
    | REBOOT
    | {*CLUSTER_TOOLS, "curl", "wget", "ssh", "sudo", "export", "aws", "gcloud", "az"}
)


class Entry(NamedTuple):
    """What becomes of one command. `first` and `last` are lines of the page; `text` is the command as a hook has it.

    `what` is the moment it is kept for (KEPT), why it is dropped or left (DROPPED, PEOPLE), or the name it defines
    (DEFINES): a variable, a function or an alias, which goes wherever it is used.
    """

    kind: str
    what: str
    text: str
    first: int
    last: int
    heading: str


class Sorted(NamedTuple):
    page: Page
    entries: tuple[Entry, ...]


def sort_page(page: Page, secrets: Collection[str] = ()) -> Sorted:
    """Every command of a page with its fate. `secrets` are the variables that stand for secrets in it."""
    blocks = [(section, _Read.of(block)) for section in page.sections for block in section.blocks]
    names = _names([read for _, read in blocks])
    sorter = _Sorter(names, frozenset(secrets))
    found: list[Entry] = []
    for section in page.sections:
        found += sorter.section(section, [read for other, read in blocks if other is section])
    return Sorted(page, tuple(found))


def writes_in(script: str) -> Iterator[tuple[int, str]]:
    """What in a script would change the cluster, or do NVSentinel's work by other means: line, and what it is."""
    try:
        found = units(script)
        names = _names([_Read(Block(1, "bash", ()), (), script, found)])
        for unit in found:
            body = names.functions.get(function_name(unit.text), unit.text)
            for mark in marks.marks_of(body, names):
                if mark.kind == marks.OWNED:
                    yield unit.first + 1, f"does NVSentinel's work ({mark.detail})"
                elif mark.writes:
                    yield unit.first + 1, mark.detail
    except Unreadable as fault:
        yield 1, f"cannot be read: {fault}"


class _Read(NamedTuple):
    """A block as shell: its commands, where it can be read as such; the lines they count from."""

    block: Block
    lines: tuple[int, ...]  # the page's line of each line of the text
    text: str = ""
    units: tuple[Unit, ...] = ()
    problem: str = ""

    @classmethod
    def of(cls, block: Block) -> _Read:
        if not may_be_shell(block):
            return cls(block, (), problem=f"is {block.language}, not shell")
        numbered = list(_without_prompts(block))
        lines = tuple(number for number, _ in numbered)
        text = fill_node("\n".join(line for _, line in numbered))
        try:
            found = units(text)
        except Unreadable as fault:
            return cls(block, lines, problem=f"cannot be read: {fault}")
        if (block.inline or not block.language) and not _looks_like_shell(text, inline=block.inline):
            return cls(block, lines, problem="is not shell")
        return cls(block, lines, text, found)


def _without_prompts(block: Block) -> Iterator[tuple[int, str]]:
    """The lines of a block; where some begin with a prompt, only those and what continues them."""
    numbered = list(enumerate(block.lines, block.first))
    if not any(_PROMPT.match(line) for _, line in numbered):
        yield from numbered
        return
    going_on = False
    for number, line in numbered:
        prompted = _PROMPT.match(line)
        if prompted or going_on:
            text = prompted[1] if prompted and not going_on else re.sub(r"^> ", "", line)
            yield number, text
            going_on = text.endswith("\\") or not scan(text).complete


def _looks_like_shell(text: str, *, inline: bool) -> bool:
    """Whether a text that does not say what it is begins as commands do."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    firsts = [_FIRST_WORD.match(line) for line in lines]
    known = [first[1].rpartition("/")[2] in _COMMON for first in firsts if first]
    if inline:
        return bool(known) and known[0] and len(text.split()) > 1
    return any(known) or any(re.match(r"\w+=", line) for line in lines)


def _names(reads: Sequence[_Read]) -> marks.Names:
    """The aliases, functions and variables for commands that the page defines anywhere."""
    aliases: dict[str, str] = {}
    variables: dict[str, str] = {}
    functions: dict[str, str] = {}
    for unit in (unit for read in reads for unit in read.units):
        name = function_name(unit.text)
        if name:
            functions[name] = unit.text.partition("{")[2].rpartition("}")[0]
            continue
        for command in commands(unit.text):
            words = [word.text for word in command.words]
            for word in words[1:] if words[:1] == ["alias"] else ():
                aliases[word.partition("=")[0]] = word.partition("=")[2]
            for word in words[1:] if words and words[0] in _DECLARES else ():
                variables[word.partition("=")[0]] = word.partition("=")[2]
            variables.update((variable, bare(value).text) for variable, value in command.assignments)
    commanding = {name: value for name, value in variables.items() if value.strip() and not value.startswith("$")}
    return marks.Names(aliases, commanding, functions)


class _Sorter:
    """Goes through the page from top to bottom and remembers how far the page's own incident has come."""

    def __init__(self, names: marks.Names, secrets: frozenset[str]) -> None:
        self.names = names
        self.secrets = secrets
        self.reached = ""
        self.ahead: list[str] = []  # the stages whose work is still to come in this section

    def section(self, section: Section, reads: Sequence[_Read]) -> Iterator[Entry]:
        kinds = (self.kind_of(unit) for read in reads for unit in read.units)
        self.ahead = [what for kind, what in kinds if kind == "owned"]
        for read in reads:
            yield from self.block(section, read)

    def kind_of(self, unit: Unit) -> tuple[str, str]:
        if function_name(unit.text):
            return DEFINES, ""
        try:
            return _kind(marks.marks_of(unit.text, self.names), unit.text)
        except Unreadable as fault:
            return PEOPLE, f"cannot be read: {fault}"

    def block(self, section: Section, read: _Read) -> Iterator[Entry]:
        block = read.block
        if read.problem:
            if not block.inline:
                kind = DROPPED if read.problem.endswith("not shell") else PEOPLE
                yield Entry(kind, f"this block {read.problem}", block.text, block.first, block.last, section.title)
            return
        judged = [one for chain in _chains(read.units) for one in self.chain(chain, read, section)]
        for at, (unit, kind, what) in enumerate(judged):
            fate = self.beside(unit, judged, at) if kind == "neutral" else (kind, what)
            yield self.entry(unit, fate, read, section)

    def chain(self, chain: Sequence[Unit], read: _Read, section: Section) -> Iterator[tuple[Unit, str, str]]:
        """Commands joined by `&&` and `||`: one thing, unless NVSentinel does a part of it."""
        judged, before = [], ""
        for unit in chain:
            kind, what = self.unit(unit, read, section, before)
            judged.append((unit, kind, what))
            if kind == "owned":
                before = self.reached = what
                self.ahead = self.ahead[1:]
        if len(chain) > 1 and not before:
            whole = joined(read.text, chain)
            judged = [(whole, *self.unit(whole, read, section, ""))]
        for unit, kind, what in judged:
            if kind == "owned":
                yield unit, DROPPED, _owned(what)
            elif kind == "neutral" and len(judged) > 1:
                yield unit, DROPPED, "belongs to what NVSentinel does"
            else:
                yield unit, kind, what

    def beside(self, unit: Unit, judged: Sequence[tuple[Unit, str, str]], at: int) -> tuple[str, str]:
        """A command that does nothing by itself goes where the next one of its block goes, or the one before it."""
        problem = self.cannot_be_kept(unit.text)
        if problem:
            return PEOPLE, problem
        kept = [what for _, kind, what in (*judged[at:], *reversed(judged[:at])) if kind == KEPT]
        if not kept or unit.text.startswith("sleep"):
            return DROPPED, "does nothing by itself"
        return KEPT, kept[0]

    def entry(self, unit: Unit, fate: tuple[str, str], read: _Read, section: Section) -> Entry:
        first, last = read.lines[unit.first], read.lines[min(unit.last, len(read.lines) - 1)]
        return Entry(*fate, unit.text, first, last, section.title)

    def unit(self, unit: Unit, read: _Read, section: Section, before: str) -> tuple[str, str]:
        """The kind of a command and what goes with it; `owned` and `neutral` are settled once its block is read."""
        if function_name(unit.text):
            return self.definition(unit, function_name(unit.text))
        if _SWITCHES.match(unit.text):
            return DROPPED, "a hook has its own"
        kind, what = self.kind_of(unit)
        assigned = _assigned(unit.text) if kind != PEOPLE else ()
        if assigned:
            return self.assignment(unit, assigned, kind, what)
        if kind != KEPT:
            return kind, what
        problem = self.cannot_be_kept(unit.text, what)
        if problem:
            return PEOPLE, problem
        if read.block.inline and what != marks.NOTIFY:
            return PEOPLE, "stands in the prose"
        operator = {"&&": before, "||": phases.FAILURE}.get(unit.operator, "") if before else ""
        headings = (*section.path, section.title)
        moment = phases.moment_of(headings, unit.text, self.reached, of_operator=operator)
        still_to_come = moment in self.ahead and self.reached != moment and not operator
        return KEPT, phases.BEFORE.get(moment, moment) if still_to_come else moment

    def definition(self, unit: Unit, name: str) -> tuple[str, str]:
        try:
            found = marks.marks_of(self.names.functions.get(name, ""), self.names)
        except Unreadable as fault:
            return PEOPLE, f"cannot be read: {fault}"
        kind, what = _kind(found, unit.text)
        if kind == "owned":
            return DROPPED, _owned(what)
        if kind == PEOPLE:
            return PEOPLE, what
        problem = self.cannot_be_kept(unit.text, function=True)
        return (PEOPLE, problem) if problem else (DEFINES, name)

    def assignment(self, unit: Unit, assigned: Sequence[str], kind: str, what: str) -> tuple[str, str]:
        if unit.text.startswith("alias "):
            bodies = [self.names.aliases.get(name, "") for name in assigned]
            kind, what = next((found for found in map(self.alias, bodies) if found[0] != KEPT), (KEPT, ""))
        if kind == "owned":
            return kind, what
        if all(names_node(name) for name in assigned):
            return DROPPED, "nvsx knows the node"
        if all(re.search(rf"\b{name}=[\"']?\$\{{?{name}\b", unit.text) for name in assigned):
            return DROPPED, "comes from nvsx.env"
        problem = what if kind == PEOPLE else self.cannot_be_kept(unit.text)
        return (PEOPLE, problem) if problem else (DEFINES, " ".join(assigned))

    def alias(self, body: str) -> tuple[str, str]:
        """What an alias does; one for nothing but kubectl is told by what it is used for."""
        if len(body.split()) == 1:
            return KEPT, ""
        try:
            kind, what = _kind(marks.marks_of(body, self.names), body)
        except Unreadable as fault:
            return PEOPLE, f"cannot be read: {fault}"
        return (KEPT, "") if kind == PEOPLE and body.split()[0].rpartition("/")[2] in KUBECTL else (kind, what)

    def cannot_be_kept(self, text: str, what: str = "", *, function: bool = False) -> str:
        """Why a command that would be kept cannot run in a hook as it is. A message (`what` says that it is one) may
        speak of kubectl as it likes.
        """
        missing = gap(text)
        if missing:
            return f"{missing} has to be filled in"
        if not function and _POSITIONAL.search(text):
            return "uses arguments that a hook does not have"
        if any(True for line in text.splitlines() for _ in kubectl_writes(line)):
            return "has a kubectl command that writes in it"
        if what != marks.NOTIFY and _SPELLED.search(re.sub(r"['\"\\]", "", text)):
            return "spells a kubectl command that writes, for something to run it"
        states = scan(text).states
        for name in self.secrets:
            if any(states[found.start()] == LITERAL_BODY for found in re.finditer(rf"\${{?{name}\b", text)):
                return f"its here-document is quoted, so ${name} would stay as it is"
        return ""


def _assigned(text: str) -> tuple[str, ...]:
    """The variables that a command sets, if that is all it does."""
    outer = [command for command in commands(text) if command.words or command.assignments]
    last = outer[-1] if outer else None
    if last is None or scan(text).tokens[0].raw in ("for", "while", "until", "if", "case", "(", "{"):
        return ()
    if any(token.raw in ("|", "&&", "||", ";") for token in scan(text).tokens):
        return ()
    words = [word.text for word in last.words]
    if not words:
        return tuple(name for name, _ in last.assignments)
    if words[0] == "alias":
        return tuple(word.partition("=")[0] for word in words[1:])
    if words[0] in _DECLARES:
        return tuple(word.partition("=")[0] for word in words[1:] if not word.startswith("-"))
    return ()


def _kind(found: Sequence[marks.Mark], text: str) -> tuple[str, str]:
    """What a command is as a whole: `owned` with its stage, KEPT with its mark, PEOPLE with the reason, `neutral`."""
    kinds = {mark.kind for mark in found}
    owned = next((mark.detail for mark in found if mark.kind == marks.OWNED), "")
    ours = kinds & {marks.NOTIFY}
    if owned and not ours and marks.PEOPLE not in kinds:
        return "owned", owned
    if owned:
        return PEOPLE, "has NVSentinel's work and other work in one command: take it apart"
    for mark in found:
        if mark.kind == marks.PEOPLE:
            return PEOPLE, mark.detail
    if re.match(r"(?:until|while)\b", text) and marks.READ in kinds and not ours and "sleep" in text:
        return "owned", "recover"
    for kind in (marks.NOTIFY, marks.COLLECT, marks.READ):
        if kind in kinds:
            return KEPT, kind
    return "neutral", ""


def _owned(stage: str) -> str:
    return f"NVSentinel does it; nvsx watches it in {stage}"


def _chains(found: Sequence[Unit]) -> Iterator[list[Unit]]:
    """The commands, those that `&&` and `||` join together in one list."""
    chain: list[Unit] = []
    for unit in found:
        if chain and not unit.operator:
            yield chain
            chain = []
        chain.append(unit)
    if chain:
        yield chain
