"""`nvsx show`: all that a runbook will do, or a piece of the runbook language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsx.terminal import paint_for, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from nvsx.model import Runbook
    from nvsx.runbook.words import Line
    from nvsx.settings import Settings
    from nvsx.terminal import Paint


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runbook", nargs="?", metavar="RUNBOOK", help="name or nickname")
    parser.add_argument(
        "--schema",
        nargs="?",
        const="",
        metavar="PIECE",
        help="the runbook language instead: all of it, or a piece such as stage, trigger or watch.taint",
    )
    parser.add_argument("--output", choices=("text", "json"), default="text", help="form of the answer (default text)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    if args.schema is not None:
        return _show_schema(args.schema, args.output)
    if not args.runbook:
        from nvsx.errors import UsageError

        raise UsageError("which runbook?", hint="nvsx list")
    from nvsx.catalog import Catalog

    runbook = Catalog.for_settings(settings).load(args.runbook)
    if args.output == "json":
        import json

        say(json.dumps(_as_json(runbook), ensure_ascii=False, indent=2))
        return 0
    paint = paint_for(1, settings.color, deep=settings.deep_color)
    for line in _drawn(runbook, paint):
        say(line)
    _say_last_drill(settings, runbook.name)
    return 0


def _say_last_drill(settings: Settings, name: str) -> None:
    """When the runbook was last rehearsed; nothing where nobody rehearses."""
    from nvsx.app.rehearsal.drills import last_drill

    found = last_drill(settings, name)
    if found:
        from time import gmtime, strftime

        told = f"{strftime('%Y-%m-%d %H:%M', gmtime(found[0]))} UTC, on {found[1]}" if found[0] else "never"
        say(f"\n  last drill that passed: {told}")


def _drawn(runbook: Runbook, paint: Paint) -> Iterator[str]:
    from nvsx.cells import printable
    from nvsx.runbook import words

    title = paint(printable(runbook.title), "white", bold=True)
    yield f"{title}  ({runbook.name})  {paint('#' + runbook.nickname, 'magenta', bold=True)}"
    yield from _aligned(words.headline(runbook), paint, 2)
    yield from _section("trigger", words.trigger(runbook.trigger), paint)
    if runbook.prerequisites:
        lines = (line for wanted in runbook.prerequisites for line in words.prerequisite(wanted))
        yield from _section("prerequisites", lines, paint)
    if runbook.hooks:
        lines = (words.Line(0, name, script) for name, script in runbook.hooks.items())
        yield from _section("hooks of the run", lines, paint)
    yield from _stages(runbook, paint)


def _stages(runbook: Runbook, paint: Paint) -> Iterator[str]:
    from nvsx.cells import printable
    from nvsx.model import DRILL_STAGES
    from nvsx.runbook import words

    yield ""
    yield paint("stages", "cyan", bold=True)
    for stage in runbook.stages:
        drill = paint("  with --drill only", "yellow") if stage.id in DRILL_STAGES else ""
        within = paint(f"  within {words.as_written(stage.timeout_s)}", "grey")
        yield f"  {paint('●', 'cyan')} {paint(f'{stage.id:<11}', bold=True)} {printable(stage.title)}{within}{drill}"
        yield from _aligned(words.stage(stage), paint, 6)
        said = runbook.narration.get(stage.id)
        if said:
            yield f"      {paint(printable(said), 'grey', italic=True)}"


def _section(title: str, lines: Iterable[Line], paint: Paint) -> Iterator[str]:
    yield ""
    yield paint(title, "cyan", bold=True)
    yield from _aligned(lines, paint, 2)


def _aligned(lines: Iterable[Line], paint: Paint, indent: int) -> Iterator[str]:
    """Labels in a column of their own, as wide as the widest."""
    from nvsx.cells import pad, printable, width

    known = [line._replace(label=printable(line.label), text=printable(line.text)) for line in lines]
    column = max((width(line.label) + 2 * line.depth for line in known), default=0)
    for line in known:
        margin = " " * (indent + 2 * line.depth)
        label = pad(line.label, column - 2 * line.depth) + "  " if column else ""
        text = paint(line.text, "grey") if line.faint else line.text
        yield f"{margin}{paint(label, 'grey')}{text}".rstrip()


def _as_json(runbook: Runbook) -> dict[str, Any]:
    from nvsx.runbook.words import as_data

    data = runbook._replace(text="", stages=())._asdict()
    del data["text"]
    stages = [
        {**_plain(stage._replace(watch=())), "place": str(stage.place), "watch": [as_data(one) for one in stage.watch]}
        for stage in runbook.stages
    ]
    return {"v": 1, **_plain(data), "stages": stages}


def _plain(value: Any) -> Any:
    """A value as JSON has it: what has named fields becomes an object, a place `file:line:column`."""
    from nvsx.errors import Place

    if isinstance(value, Place):
        return str(value)
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple) else value


def _show_schema(piece: str, output: str) -> int:
    from nvsx.catalog import schema_piece

    name, found, schema = schema_piece(piece)
    if output == "json":
        import json

        say(json.dumps(found, ensure_ascii=False, indent=2))
        return 0
    from nvsx.runbook.reference import described

    say(described(name, found, schema))
    return 0
