"""`nvsx convert`: a team's page becomes a runbook; what tells people stays as it is, what NVSentinel does goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.errors import Exit
from nvsx.terminal import paint_for, say, warn

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from nvsx.app.drafting.converting import Converted, Source
    from nvsx.app.drafting.files import File
    from nvsx.catalog import Catalog
    from nvsx.settings import Settings
    from nvsx.terminal import Paint

_COLORS = {"kept": "green", "dropped": "grey", "people": "yellow"}
_WORDS = {"kept": "kept", "dropped": "dropped", "people": "for people"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the page, as Markdown")
    parser.add_argument("--name", metavar="SLUG", default="", help="the runbook's name (default: from the file's name)")
    parser.add_argument("--offline", action="store_true", help="convert by rules alone: no key, no network")
    parser.add_argument("--model", metavar="M", default="claude-opus-4-7", help="which Claude (default %(default)s)")
    parser.add_argument("--timeout", metavar="T", default="10m", help="for each answer (default %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="show what would be written, and write nothing")
    parser.add_argument("--yes", action="store_true", help="overwrite what an earlier conversion has made")


def run(args: argparse.Namespace, settings: Settings) -> int:
    from pathlib import Path

    from nvsx.app.asking import asker
    from nvsx.app.drafting.converting import convert_by_rules, read_source
    from nvsx.app.drafting.projects import project_to_write
    from nvsx.arguments import usage_error
    from nvsx.catalog import Catalog
    from nvsx.durations import parse_duration
    from nvsx.names import check_slug
    from nvsx.settings import process_environment

    environment = process_environment(settings)
    try:
        timeout_s = parse_duration(args.timeout)
    except ValueError as error:
        usage_error(f"--timeout: {error}", hint="--timeout 10m")
    source = read_source(Path(args.file), check_slug(args.name) if args.name else "", settings.env_values)
    root = project_to_write(settings, None if args.dry_run else asker())
    paint = paint_for(1, settings.color, deep=settings.deep_color)
    if args.offline:
        converted = convert_by_rules(source, Catalog(root), environment)
    else:
        converted = _ask_claude(source, environment, args.model, timeout_s)
    for line in _report(source, converted, paint):
        say(line)
    if not converted.sound:
        return _keep_aside(converted, settings)
    for problem in converted.problems:
        warn(f"{problem.severity}: {problem}")
    if args.dry_run:
        return _show(source, converted, root, paint)
    return _write(source, converted, settings, Catalog(root), agreed=args.yes)


def _ask_claude(source: Source, environment: Mapping[str, str], model: str, timeout_s: float) -> Converted:
    from nvsx.app.drafting.converting import convert_by_claude
    from nvsx.app.drafting.prompting import draft_schema, preamble
    from nvsx.claude import Conversation

    talk = Conversation(preamble(), draft_schema(), environment, model=model, timeout_s=timeout_s)
    left = ", ".join(source.redacted.values)
    warn(f"asking {model} about {source.page}" + (f"; kept back from it: {left}" if left else ""))
    try:
        return convert_by_claude(source, talk.ask, environment, warn)
    finally:
        used = talk.usage
        if any(used):
            cache = f", {used.cached} from the cache, {used.written} into it" if used.cached or used.written else ""
            warn(f"tokens: {used.sent} sent{cache}, {used.received} received")


def _report(source: Source, converted: Converted, paint: Paint) -> Iterator[str]:
    """What became of every section and every command of the page."""
    from nvsx.cells import clip, pad, printable
    from nvsx.conversion.report import account_for, counts
    from nvsx.terminal import size

    accounts = account_for(source.sorted, converted.draft)
    total = counts(accounts)
    cells = max(72, size(1)[0])
    yield paint(f"{source.page} → {converted.draft.name}", bold=True)
    for section, rows in accounts:
        title = printable(section.title) or "(before the first heading)"
        yield paint(clip(f"{title}  ", cells - 24), "cyan") + paint(f"lines {section.first}-{section.last}", "grey")
        if not rows:
            yield paint("    no commands: it stays on the page", "grey")
        for row in rows:
            lines = f"{row.first}" if row.first == row.last else f"{row.first}-{row.last}"
            first = printable(" ".join(row.text.split()))
            word = paint(pad(_WORDS[row.kind], 10), _COLORS[row.kind])
            yield f"  {pad(lines, 8)}{word}  {paint(clip(first, cells - 22), 'white')}"
            yield paint(f"{'':22}{row.where}", "grey")
    yield f"{total['kept']} commands kept, {total['dropped']} dropped, {total['people']} left for people"


def _keep_aside(converted: Converted, settings: Settings) -> int:
    """The draft where its author can look at it, and what is wrong with it."""
    from nvsx.app.drafting.drafts import files_of
    from nvsx.app.drafting.files import write_files
    from nvsx.settings import state_directory_or_scratch

    place = state_directory_or_scratch(settings)[0] / "drafts" / converted.draft.name
    safe = [file._replace(replace=True) for file in files_of(converted.draft) if ".." not in file.path.split("/")]
    write_files(place, safe)
    warn(f"error[draft]: the draft is not sound after {converted.rounds} rounds; nothing was written to the project")
    for problem in converted.problems:
        warn(f"  {problem.severity}: {problem}")
        if problem.hint:
            warn(f"    hint: {problem.hint}")
    warn(f"hint: the draft is kept in {place}; mend it by hand, or use --offline")
    return Exit.FAILED


def _show(source: Source, converted: Converted, root: Path, paint: Paint) -> int:
    from nvsx.app.drafting.changes import changes_in, difference
    from nvsx.app.drafting.drafts import files_of

    changes = changes_in(root, files_of(converted.draft))
    for file in changes.new:
        say(paint(f"\n── {file.path} (new)", "cyan"))
        say(file.text.rstrip("\n"))
    for file in changes.different:
        say("")
        for line in difference(root, file):
            say(line)
    for file in changes.same:
        say(f"\n{file.path} is there already, just so")
    if source.redacted.values:
        say(f"\nnvsx.env would get: {', '.join(source.redacted.values)}")
    say("\nnothing was written: --dry-run")
    return Exit.DONE


def _write(source: Source, converted: Converted, settings: Settings, catalog: Catalog, *, agreed: bool) -> int:
    from nvsx.app.drafting.changes import changes_in
    from nvsx.app.drafting.drafts import files_of, scripts_for
    from nvsx.app.drafting.envvalues import env_path, with_values
    from nvsx.app.drafting.files import write_files

    root = catalog.root
    assert root is not None
    changes = changes_in(root, files_of(converted.draft))
    if changes.different and not agreed:
        _agree(root, changes.different)
    env_file = env_path(settings, root)
    env, names = with_values(env_file, source.redacted.values, f"from {source.page}")
    write_files(root, [*changes.new, *changes.different, *scripts_for(converted.draft, catalog)])
    if names:
        write_files(env_file.parent, [env])
    _tell(converted, root, [*changes.new, *changes.different], (str(env_file), names))
    return Exit.DONE


def _agree(root: Path, different: Sequence[File]) -> None:
    """Show what would be overwritten and ask; Refused without a yes."""
    from nvsx.app.asking import asker
    from nvsx.app.drafting.changes import difference
    from nvsx.errors import Refused

    for file in different:
        for line in difference(root, file):
            say(line)
    ask = asker(default=False)
    names = ", ".join(file.path for file in different)
    if ask is None or not ask(f"overwrite {names}?"):
        raise Refused(f"{names} would be overwritten; nothing was written", hint="--yes, or --name for another one")


def _tell(converted: Converted, root: Path, written: Sequence[File], kept: tuple[str, tuple[str, ...]]) -> None:
    from nvsx.app.drafting.projects import invocation

    env_file, names = kept
    for file in written:
        say(f"  written  {file.path}")
    if not written:
        say("nothing has changed: the runbook is there already, just so")
    if names:
        say(f"  secrets  {', '.join(names)} in {env_file}, for your eyes only")
    nvsx, name = invocation(root), converted.draft.name
    say("next:")
    say(f"  {nvsx} show {name}")
    say(f"  {nvsx} drill {name}")
