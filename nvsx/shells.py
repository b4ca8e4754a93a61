"""The completion scripts of the three shells, written from one description of the commands."""

from __future__ import annotations

from typing import NamedTuple


class Flag(NamedTuple):
    names: tuple[str, ...]
    meaning: str
    takes: str  # "", "a|b" one of these, or a kind: <files> <directories> <runbooks> <contexts> <nodes> <anything>


class Shape(NamedTuple):
    """What one command takes."""

    summary: str
    flags: tuple[Flag, ...]
    positionals: tuple[str, ...]  # words, and kinds in angle brackets


_PROGRAMS = ("nvsx", "nvsx.pyz")
_NODES = "kubectl get nodes -o name --request-timeout=2s 2>/dev/null | sed s,^node/,,"


def bash(shapes: dict[str, Shape], common: tuple[Flag, ...]) -> str:
    """A completion function for bash 3.2 and newer; needs no bash-completion package."""
    return _BASH.format(
        valued="|".join(_valued(common)),
        values=_bash_cases(shapes, common),
        commands=_lines(shapes),
        flags="\n".join(
            f"        {name}) words='{_lines([*_names(shape.flags), *_names(common)])}' ;;"
            for name, shape in shapes.items()
        ),
        common=_lines(_names(common)),
        positionals="\n".join(
            f"        {name}) {_bash_offer(shape.positionals)} ;;"
            for name, shape in shapes.items()
            if shape.positionals
        ),
        programs=" ".join(_PROGRAMS),
    )


_BASH = """\
# nvsx completion for bash: source <(nvsx completion bash)
_nvsx_runbooks() {{
    command "${{COMP_WORDS[0]/#\\~/$HOME}}" ${{1:+--project "$1"}} completion --runbooks 2>/dev/null
}}

_nvsx() {{
    local IFS=$'\\n' cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}
    local command='' project='' words='' word last=''
    COMPREPLY=()
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        [[ $last == --project ]] && project=${{word/#\\~/$HOME}}
        case $last in
        {valued}) last=''; continue ;;
        esac
        last=$word
        case $word in
        -*) ;;
        *) [[ $command ]] || command=$word ;;
        esac
    done
    case $command$prev in
{values}
    esac
    if [[ $cur == -* ]]; then
        case $command in
{flags}
        *) words='{common}' ;;
        esac
    elif [[ ! $command ]]; then
        words='{commands}'
    else
        case $command in
{positionals}
        esac
    fi
    COMPREPLY+=($(compgen -W "$words" -- "$cur"))
}}
complete -F _nvsx {programs}"""


def _bash_cases(shapes: dict[str, Shape], common: tuple[Flag, ...]) -> str:
    lines = [
        f"    {name}{flag}) {_bash_value(takes)}; return ;;"
        for name, shape in shapes.items()
        for flag, takes in _valued(shape.flags).items()
    ]
    lines += [f"    *{flag}) {_bash_value(takes)}; return ;;" for flag, takes in _valued(common).items()]
    return "\n".join(lines)


def _bash_value(takes: str) -> str:
    files = 'compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen {} -- "$cur"))'
    known = {
        "<files>": files.format("-f"),
        "<directories>": files.format("-d"),
        "<runbooks>": 'COMPREPLY=($(compgen -W "$(_nvsx_runbooks "$project")" -- "$cur"))',
        "<contexts>": 'COMPREPLY=($(compgen -W "$(kubectl config get-contexts -o name 2>/dev/null)" -- "$cur"))',
        "<nodes>": f'COMPREPLY=($(compgen -W "$({_NODES})" -- "$cur"))',
        "<anything>": ":",
    }
    return known.get(takes) or f"COMPREPLY=($(compgen -W '{_lines(takes.split('|'))}' -- \"$cur\"))"


def _bash_offer(positionals: tuple[str, ...]) -> str:
    words = [word for word in positionals if not word.startswith("<")]
    parts = [f"words='{_lines(words)}'"] if words else []
    parts += [_bash_value(kind) for kind in positionals if kind.startswith("<")]
    return "; ".join(parts)


def zsh(shapes: dict[str, Shape], common: tuple[Flag, ...]) -> str:
    """A completion function for zsh, sourced or autoloaded from fpath."""
    return _ZSH.format(
        programs=" ".join(_PROGRAMS),
        valued="|".join(_valued(common)),
        commands="\n".join(f"        {_quoted(f'{name}:{shape.summary}')}" for name, shape in shapes.items()),
        values="\n".join(
            [
                f"    {name}{flag}) {_zsh_value(takes)}; return ;;"
                for name, shape in shapes.items()
                for flag, takes in _valued(shape.flags).items()
            ]
            + [f"    *{flag}) {_zsh_value(takes)}; return ;;" for flag, takes in _valued(common).items()]
        ),
        flags="\n".join(f"        {name}) flags+=({_zsh_flags(shape.flags)}) ;;" for name, shape in shapes.items()),
        common=_zsh_flags(common),
        positionals="\n".join(
            f"        {name}) {_zsh_offer(shape.positionals)} ;;" for name, shape in shapes.items() if shape.positionals
        ),
    )


_ZSH = """\
#compdef {programs}
# nvsx completion for zsh: source <(nvsx completion zsh), after compinit
_nvsx_runbooks() {{
    compadd -- ${{(f)"$(command ${{~words[1]}} ${{1:+--project}} $1 completion --runbooks 2>/dev/null)"}}
}}

_nvsx() {{
    local cur=$words[CURRENT] prev=$words[CURRENT-1] command='' project='' last='' word
    local -a commands flags
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        [[ $last == --project ]] && project=${{~word}}
        case $last in
        {valued}) last=''; continue ;;
        esac
        last=$word
        [[ $word == -* || -n $command ]] || command=$word
    done
    (( CURRENT > 2 )) || prev=''
    case $command$prev in
{values}
    esac
    if [[ $cur == -* ]]; then
        flags=({common})
        case $command in
{flags}
        esac
        _describe -o flag flags
    elif [[ -z $command ]]; then
        commands=(
{commands}
        )
        _describe command commands
    else
        case $command in
{positionals}
        esac
    fi
}}

if [[ $funcstack[1] == _nvsx ]]; then
    _nvsx "$@"
else
    compdef _nvsx {programs}
fi"""


def _zsh_value(takes: str) -> str:
    known = {
        "<files>": "_files",
        "<directories>": "_files -/",
        "<runbooks>": '_nvsx_runbooks "$project"',
        "<contexts>": 'compadd -- ${(f)"$(kubectl config get-contexts -o name 2>/dev/null)"}',
        "<nodes>": f'compadd -- ${{(f)"$({_NODES})"}}',
        "<anything>": ":",
    }
    return known.get(takes) or f"compadd -- {' '.join(takes.split('|'))}"


def _zsh_flags(flags: tuple[Flag, ...]) -> str:
    return " ".join(_quoted(f"{name}:{_short(flag.meaning)}") for flag in flags for name in flag.names)


def _zsh_offer(positionals: tuple[str, ...]) -> str:
    words = [word for word in positionals if not word.startswith("<")]
    parts = [f"compadd -- {' '.join(words)}"] if words else []
    return "; ".join(parts + [_zsh_value(kind) for kind in positionals if kind.startswith("<")])


def fish(shapes: dict[str, Shape], common: tuple[Flag, ...]) -> str:
    """Completions for fish."""
    lines = [_FISH.format(valued=" ".join(_valued(common)))]
    for program in _PROGRAMS:
        lines.append(f"complete -c {program} -f")
        lines += [_fish_flag(program, "", flag) for flag in common]
        for name, shape in shapes.items():
            lines.append(f"complete -c {program} -n '__nvsx_command_is \"\"' -a {name} -d {_quoted(shape.summary)}")
            lines += [_fish_flag(program, name, flag) for flag in shape.flags]
            lines += [
                f"complete -c {program} -n '__nvsx_command_is {name}' {_fish_value(kind)}" for kind in shape.positionals
            ]
    return "\n".join(lines)


_FISH = """\
# nvsx completion for fish: nvsx completion fish | source
function __nvsx_words
    set -l last ''
    for word in (commandline -opc)[2..-1]
        if contains -- $last {valued}
            set last ''
            continue
        end
        set last $word
        string match -q -- '-*' $word; or echo $word
    end
end

function __nvsx_command_is
    set -l found (__nvsx_words)
    test "$found[1]" = "$argv[1]"
end

function __nvsx_runbooks
    set -l words (commandline -opc)
    set -l project
    set -l at (contains -i -- --project $words); and set project --project $words[(math $at + 1)]
    command $words[1] $project completion --runbooks 2>/dev/null
end
"""


def _fish_flag(program: str, command: str, flag: Flag) -> str:
    condition = f" -n '__nvsx_command_is {command}'" if command else ""
    names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names)
    value = f" -r {_fish_value(flag.takes)}" if flag.takes else ""
    return f"complete -c {program}{condition} {names}{value} -d {_quoted(_short(flag.meaning))}"


def _fish_value(takes: str) -> str:
    known = {
        "<files>": "-F",
        "<directories>": "-a '(__fish_complete_directories)'",
        "<runbooks>": "-a '(__nvsx_runbooks)'",
        "<contexts>": "-a '(kubectl config get-contexts -o name 2>/dev/null)'",
        "<nodes>": f"-a '({_NODES})'",
        "<anything>": "",
    }
    return known[takes] if takes in known else f"-a '{' '.join(takes.split('|'))}'"


def _valued(flags: tuple[Flag, ...]) -> dict[str, str]:
    """The names of the flags that take a value, with what they take."""
    return {name: flag.takes for flag in flags for name in flag.names if flag.takes}


def _names(flags: tuple[Flag, ...]) -> list[str]:
    return [name for flag in flags for name in flag.names]


def _lines(words: list[str] | dict[str, Shape]) -> str:
    return "\n".join(words)


def _short(meaning: str) -> str:
    return meaning.partition(" (")[0].partition(";")[0].replace(":", "").replace("%%", "%")


def _quoted(text: str) -> str:
    """A single-quoted word that means the same to zsh and fish."""
    return "'" + text.replace("\\", "").replace("'", "") + "'"
