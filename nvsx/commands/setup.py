"""`nvsx setup`: the first-run wizard. It looks, asks, shows every file, and writes what was agreed to; nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from nvsx.app.wizard.answers import Answers
    from nvsx.app.wizard.firstfiles import Proposal
    from nvsx.app.wizard.interview import Interview
    from nvsx.app.wizard.page import Page
    from nvsx.app.wizard.survey import Survey
    from nvsx.settings import Settings

DRILL_SPEED = 600.0
SHOWN_NODES = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="ask nothing: every question is answered with its default")
    parser.add_argument("--answers", metavar="FILE", help="ask nothing: answers come from this YAML file")


def run(args: argparse.Namespace, settings: Settings) -> int:
    from pathlib import Path

    from nvsx.app.wizard.answers import Answers, read_answers
    from nvsx.app.wizard.interview import Interview, mode_for
    from nvsx.app.wizard.page import Page
    from nvsx.terminal import paint_for

    answers = read_answers(Path(args.answers)) if args.answers else Answers()
    interview = Interview(mode_for(unattended=args.yes or bool(args.answers)))
    page = Page(paint_for(1, settings.color, deep=settings.deep_color))
    try:
        return _Setup(settings, interview, answers, page).run()
    except KeyboardInterrupt:
        page.plain()  # the cursor stands behind a question
        raise


class _Setup:
    """The five steps of one wizard. `settings` become those that the steps settle on."""

    def __init__(self, settings: Settings, interview: Interview, answers: Answers, page: Page) -> None:
        self.settings = settings
        self.interview = interview
        self.answers = answers
        self.page = page
        self.written: list[str] = []

    def run(self) -> int:
        if self.interview.asks:
            self.page.plain("Five steps. Nothing is written before you say yes; Ctrl-C ends it at any time.")
        elif self.interview.mode == "tell":
            self.page.plain("Nobody can be asked here (no terminal): this is what setup would do.")
        survey, kept_context = self._cluster()
        self._nodes(survey)
        root = self._root()
        names = self._starters(root, survey, kept_context)
        self._channels(root)
        code = self._drill(root, names)
        self._farewell(root, names)
        return code

    # 1 of 5 and 2 of 5

    def _cluster(self) -> tuple[Survey, str]:
        """What is there, and the context where it must be kept because it is not kubectl's current one."""
        from nvsx.app.wizard.looking import look
        from nvsx.errors import Refused

        self.page.step(1, "cluster")
        current = self._context()
        survey, elsewhere = look(self.settings)
        server = f"Kubernetes {survey.probe.version}, answers in {survey.probe.latency_s * 1000:.0f} ms"
        self.page.good(f"{survey.context or 'in a pod'}, {server}")
        if not self.interview.yes("  Use this cluster?"):
            raise Refused("nothing was written", hint="nvsx setup --context CONTEXT")
        self.page.step(2, "NVSentinel")
        if not survey.install.found:
            survey = self._elsewhere(elsewhere)
        self._nvsentinel(survey)
        return survey, self.settings.context if self.settings.context != current else ""

    def _context(self) -> str:
        """Settle the context; returns kubectl's current one."""
        from nvsx.app.wizard.looking import contexts

        known, current = contexts(self.settings)
        wanted = self.settings.context or self.answers.context or current
        if self.interview.asks and len(known) > 1 and not self.settings.context:
            for number, name in enumerate(known, 1):
                self.page.numbered(number, name, "current" if name == current else "")
            wanted = self.interview.pick("  Which context?", known, default=wanted)
        namespace = self.answers.namespace or self.settings.namespace
        self.settings = self.settings._replace(context=wanted, namespace=namespace)
        return current

    def _elsewhere(self, elsewhere: Sequence[str]) -> Survey:
        """NVSentinel was not where it is expected: it is in the one other namespace that has it, or nowhere."""
        from nvsx.app.wizard.looking import look
        from nvsx.errors import EnvironmentUnusable

        self.page.bad(f"NVSentinel is not in the namespace {self.settings.namespace}")
        if len(elsewhere) != 1 or not self.interview.yes(f"  It is in {elsewhere[0]}. Use that?"):
            where = f"there are monitors in {', '.join(elsewhere)}" if elsewhere else "no namespace has its monitors"
            raise EnvironmentUnusable(
                f"NVSentinel was not found: {where}",
                hint="nvsx setup --namespace NS; how to install it: https://github.com/NVIDIA/NVSentinel",
            )
        self.settings = self.settings._replace(namespace=elsewhere[0])
        return look(self.settings)[0]

    def _nvsentinel(self, survey: Survey) -> None:
        from nvsx.app.wizard.fitting import chain_in_words, drain_in_words, repairs_in_words
        from nvsx.doctor.finding import count, some

        install = survey.install
        found = f"{count(len(install.components), 'workload')} in namespace {install.namespace}"
        if install.unready:
            self.page.bad(f"{found}, not ready: {some([one.text for one in install.unready])}")
        else:
            self.page.good(f"{found}, all ready")
        self.page.fact("chain", chain_in_words(survey))
        if install.acts:
            self.page.fact("drain", drain_in_words(survey))
            self.page.fact("repairs", repairs_in_words(survey))
        for note in survey.notes:
            self.page.bad(note)

    # 3 of 5

    def _nodes(self, survey: Survey) -> None:
        from nvsx.doctor.cluster import product
        from nvsx.doctor.finding import count, some
        from nvsx.names import aliases
        from nvsx.watches.target import node_name

        self.page.step(3, "GPU nodes")
        total = count(survey.nodes, "node")
        if not survey.gpu_nodes:
            self.page.bad(f"none of {total} has the label nvidia.com/gpu.present=true")
            return
        kinds = sorted({product(node) for node in survey.gpu_nodes} - {""})
        self.page.good(f"{len(survey.gpu_nodes)} of {total}{': ' + some(kinds, 2) if kinds else ''}")
        names = aliases(map(node_name, survey.gpu_nodes))
        for name in sorted(names)[:SHOWN_NODES]:
            self.page.fact(names[name], name, 16)
        if len(names) > SHOWN_NODES:
            self.page.plain(f"and {len(names) - SHOWN_NODES} more; every node has such an alias", "grey", indent=4)

    # 4 of 5

    def _root(self) -> Path:
        """The project root; where there is none yet, the working directory unless another is named."""
        from pathlib import Path

        from nvsx.catalog.library import ProjectLibrary

        self.page.step(4, "starter runbooks")
        named = self.answers.project
        if self.settings.project:
            root = self.settings.project
            self.page.good(f"they go to the project in {root}")
        else:
            named = named or self.interview.text("  Where should they be kept?", default="./")
            root = Path(named).expanduser().absolute()
        if root.exists():
            ProjectLibrary(root)  # refuses what belongs to somebody else, or what everybody may write to
        return root

    def _starters(self, root: Path, survey: Survey, kept_context: str) -> tuple[str, ...]:
        from nvsx.app.wizard.firstfiles import config_file, starter_files
        from nvsx.app.wizard.fitting import fitted, offered

        starters = {name: fitted(name, survey) for name in offered(survey)}
        names = self._chosen([(one.name, one.title) for one in starters.values()])
        proposals = starter_files(root, [starters[name] for name in names])
        proposals += config_file(root, context=kept_context, namespace=self.settings.namespace)
        self._agree(root, proposals)
        return names

    def _chosen(self, listed: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        """Names of the runbooks to make, picked from these names with titles."""
        from nvsx.errors import UsageError

        for number, (name, title) in enumerate(listed, 1):
            self.page.numbered(number, name, title)
        names = [name for name, _ in listed]
        if self.answers.runbooks is None:
            return self.interview.pick_some("  Which?", names)
        unknown = [name for name in self.answers.runbooks if name not in names]
        if unknown:
            raise UsageError(f"there is no starter {unknown[0]} for this cluster", hint=f"one of {', '.join(names)}")
        return self.answers.runbooks

    # 5 of 5

    def _channels(self, root: Path) -> None:
        from nvsx.app.wizard.firstfiles import CHANNELS, env_file

        self.page.step(5, "who is told")
        values = dict(self.answers.channels)
        there = env_file(root, values)
        if there.state == "kept":
            self.page.good(f"{there.file.path} is there already and stays as it is")
            return
        if self.interview.asks:
            self.page.plain("Return alone leaves one out. What is secret is not shown as you type.", "grey", indent=2)
        for channel in CHANNELS:
            if channel.variable in values or (channel.needs and not values.get(channel.needs)):
                continue
            value = self.interview.text(f"  {channel.title}", pattern=channel.pattern, secret=channel.secret)
            if value:
                values[channel.variable] = value
        self._agree(root, [env_file(root, values)])

    def _drill(self, root: Path, names: Sequence[str]) -> int:
        """Rehearse the first runbook that is there; 1 where it did not pass."""
        from nvsx.app.rehearsal.rehearsing import rehearse_quietly
        from nvsx.errors import Exit

        there = [name for name in names if (root / f"runbooks/{name}.yaml").is_file()]
        if not there or self.interview.mode == "tell" or self.answers.drill is False:
            return Exit.DONE
        self.page.plain()
        self.page.plain("A drill plays the fault on a simulated cluster; nothing leaves this machine.", indent=2)
        if not self.interview.yes(f"  Rehearse {there[0]} now?"):
            return Exit.DONE
        verdict, note, passed = rehearse_quietly(self.settings._replace(project=root), there[0], DRILL_SPEED)
        (self.page.good if passed else self.page.bad)(f"{there[0]}: {verdict}")
        self.page.plain(note, "grey", indent=4)
        return Exit.DONE if passed else Exit.FAILED

    def _farewell(self, root: Path, names: Sequence[str]) -> None:
        from nvsx.app.drafting.projects import invocation
        from nvsx.doctor.finding import count

        self.page.plain()
        if self.interview.mode == "tell":
            self.page.plain("Nothing was written. To write it: nvsx setup --yes, or nvsx setup --answers FILE")
            return
        wrote = f"{count(len(self.written), 'file')} written to {root}." if self.written else "Nothing was written."
        self.page.plain(f"{wrote} Next:")
        nvsx = invocation(root)
        self.page.fact(f"{nvsx} doctor", "is everything in place?", 24)
        self.page.fact(f"{nvsx} list", "the runbooks at hand", 24)
        if len(names) > 1:
            self.page.fact(f"{nvsx} drill {names[1]}", "rehearse the others, too", 24)
        self.page.fact(f"{nvsx} serve --mode both", "start them by themselves when a fault comes", 24)

    def _agree(self, root: Path, proposals: Sequence[Proposal]) -> None:
        """Show the files, ask for leave, and write what is not there yet: all of it or nothing."""
        from nvsx.app.drafting.files import write_files
        from nvsx.app.wizard.firstfiles import to_write
        from nvsx.doctor.finding import count

        for proposal in proposals:
            self.page.proposal(proposal)
        files = to_write(proposals)
        if not files:
            if proposals:
                self.page.good("nothing new to write")
            return
        question = f"  Write {'this file' if len(files) == 1 else f'these {len(files)} files'} to {root}?"
        while (answer := self.interview.consent(question)) == "view":
            for proposal in proposals:
                self.page.whole(proposal)
        if answer == "yes":
            write_files(root, files)
            self.written += [file.path for file in files]
            self.page.good(f"{count(len(files), 'file')} written")
        elif self.interview.asks:
            self.page.plain("not written", "grey", indent=4)
