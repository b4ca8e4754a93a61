"""The front door: finds the command by hand, imports that one module, and draws every error in one place.

`--help`, `help` and `version` must start as fast as Python itself, so nothing is imported here that they do not need.
"""

from __future__ import annotations

import sys

from nvsx.arguments import GLOBAL_FLAGS, parse, parser_for, split_flags, suggest, usage_error
from nvsx.commands import COMMANDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvsx.errors import NvsxError

INTERRUPTED = 130
BUG = 70
PIPE_CLOSED = 141  # as any filter ends that is killed by SIGPIPE: the reader of `nvsx list | head` has seen enough


def main(argv: Sequence[str]) -> int:
    """Run one command line (without the program's name) and return its exit code. Never exits the process."""
    try:
        return _dispatch(list(argv))
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException as error:
        return _exit_code_of(error, list(argv))


def entry() -> None:
    """What `nvsx` on the command line does: safe standard streams, `main`, and a quiet end on a closed pipe."""
    import gc

    from nvsx.terminal import finish_streams, prepare_streams

    gc.set_threshold(20_000, 20, 20)  # starting up makes no garbage: looking for some is a twentieth of its time
    prepare_streams()
    code = main(sys.argv[1:])
    sys.exit(finish_streams(code))


def _dispatch(argv: list[str]) -> int:
    flags, words = split_flags(argv)
    if not words and _at_a_terminal():
        words = ["shell"]
    if not words or words[0] in {"-h", "--help"}:
        return _help([])
    name, rest = words[0], words[1:]
    if name == "--version":
        return _version()
    if name == "version" and not rest:
        from nvsx.commands.version import show

        return show()
    if name == "help":
        return _help(rest)
    if name.startswith("-"):
        usage_error(f"nvsx has no flag {name}", hint="nvsx --help")
    if name not in COMMANDS:
        near = suggest(name, COMMANDS)
        usage_error(f"nvsx has no command {name!r}", hint=f"did you mean `nvsx {near[0]}`?" if near else "nvsx --help")
    return _run_command(name, rest, flags)


def _run_command(name: str, words: list[str], flags: dict[str, str]) -> int:
    from importlib import import_module

    from nvsx.arguments import ParserDone

    module_name, summary, _ = COMMANDS[name]
    module = import_module(module_name)
    parser = parser_for(name, summary)
    module.add_arguments(parser)
    parser.set_defaults(dispatch=lambda line: main([*_as_words(flags), *line]))  # the shell's way back to this door
    try:
        args = parse(parser, words)
    except ParserDone:
        return 0

    from nvsx.settings import load

    return int(module.run(args, load(flags)))


def _at_a_terminal() -> bool:
    from nvsx.terminal import is_terminal

    return is_terminal(0) and is_terminal(1)


def _as_words(flags: dict[str, str]) -> list[str]:
    """Global flags as they were typed."""
    return [name if not GLOBAL_FLAGS[name][0] else f"{name}={value}" for name, value in flags.items()]


def _help(words: list[str]) -> int:
    from nvsx.commands.help import show

    return show(words)


def _version() -> int:
    from nvsx import __version__
    from nvsx.terminal import say

    say(f"nvsx {__version__}")
    return 0


def _exit_code_of(error: BaseException, argv: list[str]) -> int:
    """Tell the user what went wrong, on stderr, and say how the process should end."""
    from nvsx.errors import Interrupted, NvsxError
    from nvsx.terminal import output_is_gone

    causes = _leaves(error)
    known = [cause for cause in causes if isinstance(cause, NvsxError)]
    if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
        known = [Interrupted("stopped from the keyboard")]
    elif isinstance(error, BrokenPipeError) and output_is_gone():
        return PIPE_CLOSED
    elif isinstance(error, GeneratorExit) or len(known) < len(causes):
        return _bug(error, argv)
    for cause in known:
        _complain(draw(cause))
    return known[0].exit_code


def _leaves(error: BaseException) -> list[BaseException]:
    """The errors inside an exception group (asyncio's task groups raise them), or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


def draw(error: NvsxError) -> str:
    """An expected error as text: the fact with its place, what belongs to it, and the next step."""
    from nvsx.cells import printable
    from nvsx.errors import ClusterError, DocumentInvalid

    problems = error.problems if isinstance(error, DocumentInvalid) else ()
    place = f"{error.place}: " if error.place and not problems else ""
    lines = [f"error[{error.code}]: {place}{error.message}"]
    for problem in problems:
        word = "warning: " if problem.severity == "warning" else ""
        lines.append(f"  {word}{problem}")
        if problem.hint:
            lines.append(f"    hint: {problem.hint}")
    if isinstance(error, ClusterError) and error.command:
        lines.append(f"  command: {error.command}")
    if error.hint:
        lines.append(f"hint: {error.hint}")
    return "\n".join(printable(line, keep="\n\t") for line in lines)


def _complain(text: str) -> None:
    from nvsx.terminal import warn

    warn(text)


def _bug(error: BaseException, argv: list[str]) -> int:
    """An unexpected exception: two lines for the user, the rest in a file made to be sent."""
    from nvsx.bugreport import write_report

    _complain(f"error[bug]: {type(error).__name__}: {error}")
    where, text = write_report(error, argv)
    if where:
        _complain(f"hint: this is a defect of nvsx; please send {where} to its maintainers")
    else:
        _complain(text + "hint: this is a defect of nvsx; please send the lines above to its maintainers")
    return BUG
