"""`nvsx setup`: the first-run wizard. It looks, asks, shows every file, and writes what was agreed to; nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.terminal import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from nvsx.app.answers import Answers
    from nvsx.app.firstfiles import Proposal
    from nvsx.app.interview import Interview
    from nvsx.app.survey import Survey
    from nvsx.settings import Settings
    from nvsx.terminal import Paint

DRILL_SPEED = 600.0
SHOWN_NODES = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="ask nothing: every question is answered with its default")
    parser.add_argument("--answers", metavar="FILE", help="ask nothing: answers come from this YAML file")


def run(args: argparse.Namespace, settings: Settings) -> int:
    from pathlib import Path

    from nvsx.app.answers import Answers, read_answers
    from nvsx.app.interview import Interview, mode_for
    from nvsx.terminal import paint_for

    answers = read_answers(Path(args.answers)) if args.answers else Answers()
    interview = Interview(mode_for(unattended=args.yes or bool(args.answers)))
    paint = paint_for(1, settings.color, deep=settings.deep_color)
    try:
        return _Setup(settings, interview, answers, paint).run()
    except KeyboardInterrupt:
        say("")  # the terminal stands behind a question
        raise


class _Chosen(NamedTuple):
    """What the first three steps have settled."""

    survey: Survey
    context: str  # where it is not kubectl's current one, so that it must be kept


class _Setup:
    """The five steps of one wizard."""

    def __init__(self, settings: Settings, interview: Interview, answers: Answers, paint: Paint) -> None:
        self.settings = settings
        self.interview = interview
        self.answers = answers
        self.paint = paint
        self.written: list[str] = []

    def run(self) -> int:
        self._greet()
        chosen = self._cluster()
        root = self._root()
        names = self._starters(root, chosen)
        self._channels(root)
        failed = self._drill(root, names)
        self._farewell(root, names)
        return failed

    # The steps.

    def _greet(self) -> None:
        if self.interview.asks:
            say("Five steps. Nothing is written before you say yes; Ctrl-C ends it at any time.")
        elif self.interview.mode == "tell":
            say("Nobody can be asked here (no terminal): this is what setup would do. Nothing is written.")

    def _cluster(self) -> _Chosen:
        """Steps 1 to 3: where it is, what NVSentinel does there, and on which nodes."""
        self._step(1, "cluster")
        current = self._context()
        survey, elsewhere = self._look()
        self._good(f"{survey.context or 'in a pod'}, Kubernetes {survey.probe.version}, {_answering(survey)}")
        if self.interview.asks and not self.interview.yes("  Use this cluster?"):
            from nvsx.errors import Refused

            raise Refused("nothing was written", hint="nvsx setup --context CONTEXT")
        self._step(2, "NVSentinel")
        survey = self._nvsentinel(survey, elsewhere)
        self._step(3, "GPU nodes")
        self._nodes(survey)
        return _Chosen(survey, self.settings.context if self.settings.context != current else "")

    def _context(self) -> str:
        """Settle the context; returns kubectl's current one."""
        from nvsx.app.looking import contexts

        known, current = contexts(self.settings)
        wanted = self.settings.context or self.answers.context or current
        if self.interview.asks and len(known) > 1 and not self.settings.context:
            for number, name in enumerate(known, 1):
                say(f"  {number:>3}  {name}{self.paint('  current', 'grey') if name == current else ''}")
            wanted = self.interview.pick("  Which context?", known, default=wanted)
        self.settings = self.settings._replace(
            context=wanted, namespace=self.answers.namespace or self.settings.namespace
        )
        return current

    def _look(self) -> tuple[Survey, tuple[str, ...]]:
        from nvsx.app.looking import look

        return look(self.settings)

    def _nvsentinel(self, survey: Survey, elsewhere: Sequence[str]) -> Survey:
        from nvsx.app.fitting import chain_in_words, drain_in_words, repairs_in_words
        from nvsx.doctor.finding import count, some

        if not survey.install.found:
            survey = self._elsewhere(elsewhere)
        install = survey.install
        ready = f"{count(len(install.components), 'workload')} in namespace {install.namespace}"
        if install.unready:
            self._bad(f"{ready}, not ready: {some([one.text for one in install.unready])}")
        else:
            self._good(f"{ready}, all ready")
        self._fact("chain", chain_in_words(survey))
        if install.acts:
            self._fact("drain", drain_in_words(survey))
            self._fact("repairs", repairs_in_words(survey))
        for note in survey.notes:
            self._bad(note)
        return survey

    def _elsewhere(self, elsewhere: Sequence[str]) -> Survey:
        """NVSentinel was not where it is expected: in the one other namespace that has it, or nowhere."""
        from nvsx.errors import EnvironmentUnusable

        self._bad(f"NVSentinel is not in the namespace {self.settings.namespace}")
        if len(elsewhere) != 1 or not self.interview.yes(f"  It is in {elsewhere[0]}. Use that?"):
            where = f"there are monitors in {', '.join(elsewhere)}" if elsewhere else "no namespace has its monitors"
            raise EnvironmentUnusable(
                f"NVSentinel was not found: {where}",
                hint="nvsx setup --namespace NS; how to install it: https://github.com/NVIDIA/NVSentinel",
            )
        self.settings = self.settings._replace(namespace=elsewhere[0])
        return self._look()[0]

    def _nodes(self, survey: Survey) -> None:
        from nvsx.doctor.cluster import product
        from nvsx.doctor.finding import count, some
        from nvsx.names import aliases
        from nvsx.watches.target import node_name

        if not survey.gpu_nodes:
            self._bad(f"none of {count(survey.nodes, 'node')} has the label nvidia.com/gpu.present=true")
            return
        kinds = sorted({product(node) for node in survey.gpu_nodes} - {""})
        self._good(f"{len(survey.gpu_nodes)} of {count(survey.nodes, 'node')}{': ' + some(kinds, 2) if kinds else ''}")
        names = aliases(map(node_name, survey.gpu_nodes))
        for name in list(names)[:SHOWN_NODES]:
            self._fact(names[name], name, 16)
        if len(names) > SHOWN_NODES:
            say(self.paint(f"    and {len(names) - SHOWN_NODES} more; every name has its alias", "grey"))

    def _root(self) -> Path:
        """The project root; where there is none yet, the working directory unless another is named."""
        from pathlib import Path

        from nvsx.catalog.library import ProjectLibrary

        self._step(4, "starter runbooks")
        if self.settings.project:
            root = self.settings.project
        else:
            named = self.answers.project or self.interview.text("  Where should they be kept?", default="./")
            root = Path(named).expanduser().absolute()
        if root.exists():
            ProjectLibrary(root)  # refuses what belongs to somebody else, or what everybody may write to
        return root

    def _starters(self, root: Path, chosen: _Chosen) -> tuple[str, ...]:
        from nvsx.app.firstfiles import config_file, starter_files
        from nvsx.app.fitting import fitted, offered

        fitting = offered(chosen.survey)
        names = self._chosen_names(fitting, [fitted(name, chosen.survey).title for name in fitting])
        proposals = starter_files(root, chosen.survey, names) if names else []
        proposals += config_file(root, context=chosen.context, namespace=self.settings.namespace)
        self._agree(root, proposals)
        return names

    def _chosen_names(self, names: Sequence[str], titles: Sequence[str]) -> tuple[str, ...]:
        from nvsx.errors import UsageError

        for number, (name, title) in enumerate(zip(names, titles, strict=True), 1):
            say(f"  {number:>3}  {name:<17} {self.paint(title, 'grey')}")
        if self.answers.runbooks is None:
            return self.interview.pick_some("  Which?", names)
        unknown = [name for name in self.answers.runbooks if name not in names]
        if unknown:
            raise UsageError(f"there is no starter {unknown[0]} for this cluster", hint=f"one of {', '.join(names)}")
        return self.answers.runbooks

    def _channels(self, root: Path) -> None:
        from nvsx.app.firstfiles import CHANNELS, env_file

        self._step(5, "who is told")
        values = dict(self.answers.channels)
        there = env_file(root, values)
        if there.state == "kept":
            self._good(f"{there.file.path} is there already and stays as it is")
            return
        if self.interview.asks:
            say(self.paint("  Return alone leaves one out. What is secret is not shown as you type.", "grey"))
        for channel in CHANNELS:
            if channel.variable in values or (channel.needs and not values.get(channel.needs)):
                continue
            value = self.interview.text(f"  {channel.title}", pattern=channel.pattern, secret=channel.secret)
            if value:
                values[channel.variable] = value
        self._agree(root, [env_file(root, values)])

    def _drill(self, root: Path, names: Sequence[str]) -> int:
        """Rehearse the first runbook that is there; 1 where it did not pass."""
        from nvsx.app.rehearsing import rehearse_quietly

        there = [name for name in names if (root / f"runbooks/{name}.yaml").is_file()]
        if not there or self.interview.mode == "tell" or self.answers.drill is False:
            return 0
        say("")
        if not self.interview.yes(
            f"  Rehearse {there[0]} now? It takes some seconds, and nothing leaves this machine."
        ):
            return 0
        verdict, lines, passed = rehearse_quietly(self.settings._replace(project=root), there[0], DRILL_SPEED)
        (self._good if passed else self._bad)(f"drill of {there[0]}: {verdict}")
        for line in lines:
            say(self.paint(f"    {line}", "grey"))
        return 0 if passed else 1

    def _farewell(self, root: Path, names: Sequence[str]) -> None:
        from nvsx.app.projects import invocation

        say("")
        if self.interview.mode == "tell":
            say("Nothing was written. To write it: nvsx setup --yes, or nvsx setup --answers FILE")
            return
        say(f"{len(self.written)} files written below {root}" if self.written else "Nothing was written.")
        nvsx = invocation(root)
        self._fact(f"{nvsx} doctor", "is everything in place?", 24)
        self._fact(f"{nvsx} list", "the runbooks at hand", 24)
        if len(names) > 1:
            self._fact(f"{nvsx} drill {names[1]}", "rehearse the others, too", 24)

    # What they share.

    def _agree(self, root: Path, proposals: Sequence[Proposal]) -> None:
        """Show the files, ask for leave, and write what is not there yet: all of it or nothing."""
        from nvsx.app.files import write_files
        from nvsx.app.firstfiles import to_write
        from nvsx.doctor.finding import count

        for proposal in proposals:
            for line in _shown(proposal, self.paint):
                say(line)
        files = to_write(proposals)
        if not files:
            if proposals:
                self._good("all of them are there already")
            return
        question = f"  Write {'this file' if len(files) == 1 else f'these {len(files)} files'} to {root}?"
        while (answer := self.interview.consent(question)) == "view":
            for proposal in proposals:
                for line in _whole(proposal, self.paint):
                    say(line)
        if answer == "no":
            if self.interview.asks:
                say(self.paint("  not written", "grey"))
            return
        write_files(root, files)
        self.written += [file.path for file in files]
        self._good(f"{count(len(files), 'file')} written")

    def _step(self, number: int, title: str) -> None:
        say("")
        say(self.paint(f"{number} of 5  {title}", bold=True))

    def _good(self, text: str) -> None:
        self._line("✓", "green", text)

    def _bad(self, text: str) -> None:
        self._line("!", "yellow", text)

    def _line(self, sign: str, color: str, text: str) -> None:
        from nvsx.cells import printable

        say(f"  {self.paint(sign, color, bold=True)} {printable(text)}")

    def _fact(self, name: str, text: str, cells: int = 8) -> None:
        from nvsx.cells import pad, printable, width

        say(f"    {self.paint(pad(name, max(cells, width(name))), 'grey')} {printable(text)}")


def _answering(survey: Survey) -> str:
    return f"answers in {survey.probe.latency_s * 1000:.0f} ms"


_STATES: Mapping[str, tuple[str, str, str]] = {
    # state of a proposal: sign, colour, words
    "new": ("+", "green", "new"),
    "same": ("=", "grey", "there already"),
    "kept": ("=", "yellow", "yours is another one, and stays"),
}


def _shown(proposal: Proposal, paint: Paint) -> Iterator[str]:
    """A file with what is particular about it: what was fitted, or the whole where it is all particular."""
    from nvsx.app.firstfiles import masked

    sign, color, word = _STATES[proposal.state]
    lines = proposal.file.text.count("\n")
    as_shipped = ", as it ships" if proposal.before and not proposal.diff() else ""
    mode = f", mode {proposal.file.mode:04o}" if proposal.file.mode & 0o077 in (0, 0o040) else ""
    about = f"{lines} lines{as_shipped}{mode}" + (f"; {word}" if proposal.state != "new" else "")
    yield f"  {paint(sign, color, bold=True)} {proposal.file.path}  {paint(about, 'grey')}"
    if proposal.state != "new":
        return
    if not proposal.before:
        yield from (f"      {line}" for line in masked(proposal.file))
    for line in proposal.diff():
        yield f"      {paint(line, 'green' if line.startswith('+') else 'red')}"


def _whole(proposal: Proposal, paint: Paint) -> Iterator[str]:
    from nvsx.app.firstfiles import masked

    yield ""
    yield paint(f"  {proposal.file.path}", bold=True)
    yield from (f"  {line}" for line in masked(proposal.file))
