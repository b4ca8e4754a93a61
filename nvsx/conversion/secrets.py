"""Takes secrets out of a page before anybody else sees it: `$VARIABLES` stand where they stood.

Too many are taken rather than too few: a value that was no secret still works from the env file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from nvsx.conversion.markdown import may_be_shell, read_page
from nvsx.conversion.scan import PLAIN, SINGLE, scan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VALUE = r"[^\s\"'`<>|&;,)}\]]"
_NAMED = (  # how whatever holds a secret is called
    r"(?:[A-Za-z0-9_.-]{0,40}(?:token|secret|passw(?:or)?d|passwd|passphrase|api[_-]?key|routing[_-]?key|integration[_-]?key"
    r"|service[_-]?key|access[_-]?key|private[_-]?key|license[_-]?key|credentials?|webhook[_-]?url)|pass|pwd|pin)"
)
_PEM = r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]+?-----END [A-Z ]*PRIVATE KEY-----"


class _Rule(NamedTuple):
    """`pattern` has the secret in its group `v`, or is one as a whole; `name` is what its variable is called, with the
    word that the group `k` found in place of `{}`.
    """

    pattern: re.Pattern[str]
    name: str


_RULES: tuple[_Rule, ...] = tuple(
    _Rule(re.compile(pattern, flags), name)
    for pattern, flags, name in (
        (_PEM, 0, "PRIVATE_KEY"),
        (rf"https://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/{_VALUE}+", 0, "SLACK_WEBHOOK_URL"),
        (rf"https://[\w.-]+\.webhook\.office\.com/{_VALUE}+", 0, "TEAMS_WEBHOOK_URL"),
        (rf"https://(?:\w+\.)?discord(?:app)?\.com/api/webhooks/{_VALUE}+", 0, "DISCORD_WEBHOOK_URL"),
        (rf"https://chat\.googleapis\.com/v1/spaces/{_VALUE}+", 0, "GOOGLE_CHAT_WEBHOOK_URL"),
        (rf"https://events\.pagerduty\.com/integration/{_VALUE}+", 0, "PAGERDUTY_INTEGRATION_URL"),
        (rf"https://[\w.-]+/(?:\w+/)*(?:web)?hooks?/{_VALUE}{{16,}}", re.IGNORECASE, "WEBHOOK_URL"),
        (r"xox[a-z]-[A-Za-z0-9-]{8,}|xapp-[A-Za-z0-9-]{8,}", 0, "SLACK_TOKEN"),
        (r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})", 0, "GITHUB_TOKEN"),
        (r"\bglpat-[\w-]{16,}", 0, "GITLAB_TOKEN"),
        (r"\bATATT3x[\w=-]{16,}|\bATBB\w{16,}", 0, "JIRA_TOKEN"),
        (r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", 0, "AWS_ACCESS_KEY_ID"),
        (r"\bAIza[\w-]{30,}", 0, "GOOGLE_API_KEY"),
        (r"\bsk-ant-[\w-]{10,}", 0, "ANTHROPIC_API_KEY"),
        (r"\bsk-[A-Za-z0-9_-]{20,}", 0, "API_KEY"),
        (r"\bglsa_\w{16,}", 0, "GRAFANA_TOKEN"),
        (r"\bnvapi-[\w-]{16,}", 0, "NVIDIA_API_KEY"),
        (r"\bhvs\.[\w-]{16,}", 0, "VAULT_TOKEN"),
        (r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", 0, "TOKEN"),
        (r"\bbot\d{6,}:[\w-]{20,}", 0, "TELEGRAM_BOT_TOKEN"),
        (rf"(?:routing|integration|service)[_ -]?key[\"']?\s*[:=]\s*[\"'\\]*(?P<v>{_VALUE}{{8,}})", re.IGNORECASE,
         "PAGERDUTY_ROUTING_KEY"),
        (rf"GenieKey\s+(?P<v>{_VALUE}{{8,}})", 0, "OPSGENIE_API_KEY"),
        (rf"Token token=(?P<v>{_VALUE}{{8,}})", 0, "PAGERDUTY_API_TOKEN"),
        (rf"DD-API(?:LICATION)?-KEY:\s*(?P<v>{_VALUE}{{8,}})", re.IGNORECASE, "DATADOG_API_KEY"),
        (rf"Authorization:\s*(?:Bearer|Basic|Token)\s+(?P<v>{_VALUE}{{6,}})", re.IGNORECASE, "API_TOKEN"),
        (rf"(?P<k>[A-Za-z][\w-]*-(?:key|token|secret)):\s*(?P<v>{_VALUE}{{6,}})", re.IGNORECASE, "{}"),
        (r"\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@\"'<>]*:(?P<v>[^\s/@\"'<>]+)@", re.IGNORECASE, "URL_PASSWORD"),
        (rf"(?:^|\s)(?:-u|--user|--proxy-user)[ =]?[\"']?[\w.@+-]+:(?P<v>{_VALUE}+)", re.MULTILINE, "API_PASSWORD"),
        (rf"sshpass\s+-p\s*[\"']?(?P<v>{_VALUE}+)", 0, "SSH_PASSWORD"),
        (rf"(?:mysql|mariadb|mysqldump)\b[^\n]*?\s-p[\"']?(?P<v>{_VALUE}+)", 0, "MYSQL_PASSWORD"),
        (rf"ipmitool\b[^\n]*?\s-P\s*[\"']?(?P<v>{_VALUE}+)", 0, "IPMI_PASSWORD"),
        (rf"--(?P<k>{_NAMED})(?:\s+|=)[\"']?(?P<v>{_VALUE}+)", re.IGNORECASE, "{}"),
        (r"[?&](?P<k>\w{0,40}(?:token|key|secret|password|sig|signature|auth))=(?P<v>[^\s&\"'`<>|;)]+)", re.IGNORECASE,
         "{}"),
        (rf"[\"'](?P<k>{_NAMED})\\?[\"']\s*:\s*\\?[\"'](?P<v>[^\"'\\\n]+)", re.IGNORECASE, "{}"),
        (rf"\b(?P<k>{_NAMED})\s*=\s*[\"'](?P<v>[^\"'\n]+)[\"']", re.IGNORECASE, "{}"),
        (rf"\b(?P<k>{_NAMED})\s*(?:=|:|\bis\b)\s*[`*]*(?P<v>[^\s\"'`<>|&;]+)", re.IGNORECASE, "{}"),
        (rf"\b(?:log-?in|user(?:name)?|credentials?|account)\b[^\n/]{{0,30}}?[\w.@-]+ ?/ ?(?P<v>{_VALUE}{{6,}})",
         re.IGNORECASE, "PASSWORD"),
        (r"(?<![\w/.:$&;=-])(?=\S{0,60}[a-z])(?=\S{0,60}[A-Z])(?=\S{0,60}\d)"
         r"(?P<v>[A-Za-z0-9]{2,40}[!%^&*][A-Za-z0-9!%^&*]{2,40})", 0, "PASSWORD"),
        (r"(?<![\w/.+-])(?=[A-Za-z0-9_-]*[A-Z])(?=[A-Za-z0-9_-]*[a-z])(?=[A-Za-z0-9_-]*\d)(?P<v>[A-Za-z0-9_-]{28,})"
         r"(?![\w/.-])", 0, "SECRET"),
        (r"(?<![\w/.:@-])(?P<v>[0-9a-f]{32})(?![\w/.-])", 0, "SECRET"),
    )
)  # fmt: skip
"""In the order in which they are tried; what one has found is not looked at again."""

_NO_SECRET = re.compile(
    r"\$|<[^>]*>?$|\{\{|x{3,}|\*{2,}|\.{3}|(?:your|my|the|a|an|in|from|stored|kept|see|ask|required|needed|none|null|true"
    r"|false|optional|rotated|expired|set|not|was|and|or|for|to|at|on)\b|\W*$|(?:GPU|MIG)-[0-9a-f]{8}-|%|sha256:",
    re.IGNORECASE,
)
_SHORTEST = 4


class Redacted(NamedTuple):
    """A text without secrets, and the variables that stand for them: name to value."""

    text: str
    values: Mapping[str, str]


class _Found(NamedTuple):
    start: int
    end: int
    name: str


def redact(text: str, known: Mapping[str, str]) -> Redacted:
    """The text with a variable for each secret. `known` are variables that exist already: a value that has one keeps
    it, and no other value gets its name.
    """
    found = sorted(_find(text))
    values: dict[str, str] = {}
    names: dict[str, str] = {value: name for name, value in known.items() if len(value) >= _SHORTEST}
    shell = _shell_states(text)
    parts: list[str] = []
    at = 0
    for start, end, wanted in found:
        value = text[start:end]
        name = names.get(value) or _free_name(wanted, {**known, **values})
        names[value] = name
        values[name] = value
        state = shell.get(start, "")
        if state == SINGLE and text[start - 1 : start] == text[end : end + 1] == "'":
            start, end, state = start - 1, end + 1, PLAIN  # the secret is all that the quotes hold
        parts += [text[at:start], _reference(name, state, text[end : end + 1])]
        at = end
    return Redacted("".join([*parts, text[at:]]), values)


def _find(text: str) -> Iterator[_Found]:
    """What the rules find, none of it twice; a value that was found once is a secret wherever it stands."""
    taken = [False] * len(text)
    seen: dict[str, str] = {}
    for rule in _RULES:
        for match in rule.pattern.finditer(text):
            group = "v" if "v" in rule.pattern.groupindex else 0
            value = match[group].rstrip(".,:;)") if group else match[0].rstrip(".,")
            start = match.start(group)
            if any(taken[start : start + len(value)]) or len(value) < _SHORTEST or _NO_SECRET.match(value):
                continue
            key = match["k"] if "k" in rule.pattern.groupindex else ""
            name = seen.setdefault(value, _variable(rule.name.format(key)))
            taken[start : start + len(value)] = [True] * len(value)
            yield _Found(start, start + len(value), name)
    for value, name in sorted(seen.items(), key=lambda item: -len(item[0])):
        for match in re.finditer(re.escape(value), text):
            if not any(taken[match.start() : match.end()]):
                taken[match.start() : match.end()] = [True] * len(value)
                yield _Found(match.start(), match.end(), name)


def _variable(word: str) -> str:
    name = re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word)).strip("_").upper()
    name = name.removeprefix("NVSX_") or "SECRET"
    return name if name[0].isalpha() else f"SECRET_{name}"


def _free_name(wanted: str, taken: Mapping[str, str]) -> str:
    number, name = 1, wanted
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


def _shell_states(text: str) -> dict[int, str]:
    """For each character of the page's blocks of shell what it stands in, by its place in the text."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    lines = text.splitlines()
    states: dict[int, str] = {}
    for block in read_page(text).blocks:
        if block.inline or not may_be_shell(block):
            continue
        scanned = scan(block.text).states
        at = 0
        for number, line in enumerate(block.lines, block.first - 1):
            offset = starts[number] + len(lines[number]) - len(line)
            states.update((offset + column, scanned[at + column]) for column in range(len(line)))
            at += len(line) + 1
    return states


def _reference(name: str, state: str, following: str) -> str:
    """The variable, written so that a shell puts its value where the secret stood; as it is outside of shell."""
    joined = following.isalnum() or following in ("_", "[")
    bare = f"${{{name}}}" if following and joined else f"${name}"
    return {SINGLE: f"'\"{bare}\"'", PLAIN: f'"{bare}"'}.get(state, bare)
