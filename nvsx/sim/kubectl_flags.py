"""The command line of the simulator's kubectl: which flags each verb takes, read as pflag reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class KubectlError(Exception):
    """kubectl would stop here: the text for stderr, and the exit status."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


def not_done(what: str) -> KubectlError:
    """The refusal of something that a real kubectl does."""
    return KubectlError(f"error: the simulator's kubectl does not do {chr(34)}{what}{chr(34)}")


class Known(NamedTuple):
    """Flags by long name: with a value, without; and the short names."""

    values: frozenset[str] = frozenset()
    switches: frozenset[str] = frozenset()
    short: Mapping[str, str] = {}
    refused: frozenset[str] = frozenset()  # kubectl has them, the simulator does not


def _known(values: str = "", switches: str = "", short: str = "", refused: str = "") -> Known:
    pairs = dict(pair.split("=") for pair in short.split())
    return Known(frozenset(values.split()), frozenset(switches.split()), pairs, frozenset(refused.split()))


_EVERYWHERE = _known(
    "namespace context kubeconfig request-timeout cluster user server v as as-group token cache-dir"
    " certificate-authority client-certificate client-key tls-server-name",
    "insecure-skip-tls-verify match-server-version warnings-as-errors help",
    "n=namespace s=server h=help",
)

_VERBS: Mapping[str, Known] = {
    "get": _known(
        "output selector field-selector sort-by label-columns chunk-size raw",
        "all-namespaces no-headers show-labels ignore-not-found show-kind show-managed-fields"
        " watch watch-only output-watch-events server-print",
        "o=output l=selector A=all-namespaces L=label-columns w=watch",
        "watch watch-only output-watch-events show-kind",
    ),
    "describe": _known("selector", "all-namespaces show-events", "l=selector A=all-namespaces"),
    "logs": _known(
        "container selector tail since since-time limit-bytes max-log-requests pod-running-timeout",
        "all-containers prefix timestamps follow previous ignore-errors",
        "c=container l=selector f=follow p=previous",
        "follow",
    ),
    "version": _known("output", "client short", "o=output"),
    "config": _known("output", "minify raw flatten merge no-headers", "o=output"),
    "auth": _known("subresource", "quiet all-namespaces list no-headers", "q=quiet A=all-namespaces", "list"),
    "api-resources": _known(
        "output api-group verbs sort-by", "namespaced no-headers cached", "o=output", "output sort-by verbs"
    ),
    "annotate": _known(
        "output selector field-manager dry-run resource-version", "overwrite all list local", "o=output l=selector",
        "dry-run all list local",
    ),
    "label": _known(
        "output selector field-manager dry-run resource-version", "overwrite all list local", "o=output l=selector",
        "dry-run all list local",
    ),
    "taint": _known("output selector field-manager dry-run", "overwrite all", "o=output l=selector", "dry-run all"),
    "cordon": _known("selector dry-run", "", "l=selector", "dry-run"),
    "uncordon": _known("selector dry-run", "", "l=selector", "dry-run"),
    "delete": _known(
        "selector field-selector filename output grace-period timeout cascade dry-run",
        "all all-namespaces force now wait ignore-not-found",
        "l=selector f=filename o=output A=all-namespaces",
        "dry-run all all-namespaces",
    ),
    "apply": _known(
        "filename output field-manager dry-run validate", "server-side force-conflicts", "f=filename o=output",
        "dry-run",
    ),
    "create": _known("filename output field-manager dry-run validate", "save-config", "f=filename o=output", "dry-run"),
    "patch": _known(
        "patch type output subresource field-manager dry-run patch-file", "local", "p=patch o=output",
        "dry-run local patch-file",
    ),
}  # fmt: skip
"""Every verb that the simulator's kubectl has."""

VERBS = frozenset(_VERBS)


@dataclass(frozen=True, slots=True)
class Command:
    """A parsed command line."""

    verb: str
    words: tuple[str, ...]
    flags: Mapping[str, str] = field(default_factory=dict)

    def has(self, flag: str) -> bool:
        return self.flags.get(flag, "false").lower() in ("true", "1", "t")

    def value(self, flag: str, default: str = "") -> str:
        return self.flags.get(flag, default)

    @property
    def namespace(self) -> str:
        """The namespace to look in; "" for all."""
        return "" if self.has("all-namespaces") else self.value("namespace", "default")


def parse(argv: Sequence[str]) -> Command:
    """The command in `argv` (without the program's name); KubectlError for what kubectl or the simulator refuses."""
    verb = _verb(argv)
    if verb not in VERBS:
        raise not_done(verb or "nothing at all")
    known = _VERBS[verb]
    words: list[str] = []
    flags: dict[str, str] = {}
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            words += rest
            break
        if word.startswith("--"):
            _long(word[2:], rest, known, verb, flags)
        elif word.startswith("-") and len(word) > 1:
            _short(word[1:], rest, known, verb, flags)
        else:
            words.append(word)
    for name in known.refused & set(flags):
        if flags[name].lower() not in ("false", "none"):
            raise not_done(f"{verb} --{name}")
    return Command(verb, tuple(words[1:]), flags)


def _verb(argv: Sequence[str]) -> str:
    """The first word that is not a flag or a flag's value."""
    skip = False
    for word in argv:
        if skip:
            skip = False
        elif word.startswith("-"):
            name = word.lstrip("-")
            name = _EVERYWHERE.short.get(name, name) if not word.startswith("--") else name
            skip = name in _EVERYWHERE.values
        else:
            return word
    return ""


def _long(text: str, rest: list[str], known: Known, verb: str, flags: dict[str, str]) -> None:
    name, equals, value = text.partition("=")
    if name in known.values or name in _EVERYWHERE.values:
        if not equals and not rest:
            raise KubectlError(f"error: flag needs an argument: --{name}\nSee 'kubectl {verb} --help' for usage.")
        given = value if equals else rest.pop(0)
        flags[name] = given
    elif name in known.switches or name in _EVERYWHERE.switches:
        flags[name] = value if equals else "true"
    elif name == "dry-run":
        flags[name] = value if equals else "unchanged"
    else:
        raise KubectlError(f"error: unknown flag: --{name}\nSee 'kubectl {verb} --help' for usage.")


def _short(text: str, rest: list[str], known: Known, verb: str, flags: dict[str, str]) -> None:
    """One or more short flags in a word: `-A`, `-ojson`, `-n=x`, `-Aw`."""
    while text:
        name = known.short.get(text[0]) or _EVERYWHERE.short.get(text[0])
        if name is None:
            if verb == "auth" and text[0] == "A":
                name = "all-namespaces"
            else:
                raise KubectlError(
                    f"error: unknown shorthand flag: {text[0]!r} in -{text}\nSee 'kubectl {verb} --help' for usage."
                )
        if name in known.values or name in _EVERYWHERE.values:
            value = text[1:].removeprefix("=")
            if not value and not rest:
                raise KubectlError(
                    f"error: flag needs an argument: {text[0]!r} in -{text}\nSee 'kubectl {verb} --help' for usage."
                )
            flags[name] = value or rest.pop(0)
            return
        flags[name] = "true"
        text = text[1:]
