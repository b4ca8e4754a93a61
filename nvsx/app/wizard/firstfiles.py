"""The files that the first-run wizard proposes, compared with what is there: nothing is ever written over."""

from __future__ import annotations

import difflib
import re
import stat
from typing import TYPE_CHECKING, Literal, NamedTuple

from nvsx.app.drafting.files import PRIVATE, File
from nvsx.app.wizard.fitting import FITTED, scripts_of
from nvsx.runbook.emit import inline
from nvsx.settings import CONFIG_FILE, DEFAULT_NAMESPACE, ENV_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from nvsx.app.wizard.fitting import Starter

GROUP_READABLE = 0o640
State = Literal["new", "same", "kept"]


class Channel(NamedTuple):
    """A variable of the env file: how people tell it apart, what it looks like, and what must be known before it."""

    variable: str
    title: str
    example: str
    needs: str = ""
    secret: bool = True
    pattern: str = r"\S+"


CHANNELS: tuple[Channel, ...] = (
    Channel("SLACK_WEBHOOK_URL", "Slack, incoming webhook", "https://hooks.slack.com/services/T…", pattern=r"https?://\S+"),
    Channel("PAGERDUTY_ROUTING_KEY", "PagerDuty, Events v2 integration key", "32 letters and digits"),
    Channel("OPSGENIE_API_KEY", "Opsgenie, API key", "a UUID"),
    Channel("JIRA_URL", "Jira, address", "https://example.atlassian.net", secret=False, pattern=r"https?://\S+"),
    Channel("JIRA_PROJECT", "  project key", "OPS", "JIRA_URL", secret=False, pattern=r"[A-Z][A-Z0-9_]*"),
    Channel("JIRA_USER", "  user, none for a personal access token", "me@example.com", "JIRA_URL", secret=False),
    Channel("JIRA_TOKEN", "  token", "", "JIRA_URL"),
)  # fmt: skip
"""What `runbooks/hooks/lib/notify.sh` can tell people through."""


class Proposal(NamedTuple):
    """A file to be, and how it stands to what is there: `new`, the `same`, or another that is `kept`.

    `before` is what it was made from, for a diff: the text itself where it is as it ships, "" for one of its own.
    """

    file: File
    state: State
    before: str = ""

    def diff(self) -> tuple[str, ...]:
        """What was fitted, as a diff without context; () for what is as it ships."""
        if not self.before:
            return ()
        lines = difflib.unified_diff(self.before.splitlines(), self.file.text.splitlines(), n=0, lineterm="")
        return tuple(line for line in lines if not line.startswith(("---", "+++", "@@", f"+# {FITTED}")))


def starter_files(root: Path, starters: Sequence[Starter]) -> list[Proposal]:
    """The chosen runbooks with the hooks and scripts that they name."""
    runbooks = [
        Proposal(file := File(f"runbooks/{one.name}.yaml", one.text), _state(root, file), one.before)
        for one in starters
    ]
    scripts = scripts_of(starters)
    return [*runbooks, *(Proposal(file, _state(root, file), file.text) for file in scripts)]


def config_file(root: Path, *, context: str, namespace: str) -> list[Proposal]:
    """`nvsx.yaml` with what every later command must know; none where the defaults will do."""
    chosen = {"context": context, "namespace": namespace if namespace != DEFAULT_NAMESPACE else ""}
    lines = [f"{key}: {inline(value)}\n" for key, value in chosen.items() if value]
    if not lines:
        return []
    file = File(CONFIG_FILE, "# Settings of this project; flags and variables come before them.\n" + "".join(lines))
    return [Proposal(file, _state(root, file))]


def env_file(root: Path, values: Mapping[str, str]) -> Proposal:
    """`nvsx.env` with what was answered; what was not stands there as a comment, ready to be filled in."""
    lines = [
        "# Where pages and tickets go. Values are never expanded and never shown.\n",
        "# For cron also PATH, KUBECONFIG and NVSX_MONGO_URI.\n",
    ]
    for channel in CHANNELS:
        value = values.get(channel.variable, "")
        example = f": {channel.example}" if channel.example else ""
        lines.append(f"\n# {channel.title.strip()}{example}\n" if not channel.needs else "")
        lines.append(f"{channel.variable}={quoted(value)}\n" if value else f"#{channel.variable}=\n")
    known = {channel.variable for channel in CHANNELS}
    others = [f"{name}={quoted(value)}\n" for name, value in values.items() if name not in known]
    lines += ["\n", *others] if others else []
    file = File(ENV_FILE, "".join(lines), env_mode(root))
    return Proposal(file, _state(root, file))


def env_mode(root: Path) -> int:
    """For ourselves alone; for the group too where the project's directory belongs to a group that writes there."""
    try:
        mode = root.stat().st_mode
    except OSError:
        return PRIVATE
    return GROUP_READABLE if mode & stat.S_ISGID and mode & stat.S_IWGRP else PRIVATE


def quoted(value: str) -> str:
    """A value as bash and nvsx both read it back."""
    if re.fullmatch(r"[A-Za-z0-9_./:@%+,-]+", value):
        return value
    return "'" + value.replace("'", "'\\''") + "'"


def masked(file: File) -> Iterator[str]:
    """An env file's lines as they may be shown: names, and how long a value is."""
    for line in file.text.splitlines():
        name, equals, value = line.partition("=")
        secret = equals and not name.startswith("#") and name not in _OPEN
        yield f"{name}=… ({len(value)} characters)" if secret else line


_OPEN = frozenset(channel.variable for channel in CHANNELS if not channel.secret)


def to_write(proposals: Sequence[Proposal]) -> list[File]:
    """Only what is not there yet."""
    return [one.file for one in proposals if one.state == "new"]


def _state(root: Path, file: File) -> State:
    target = root / file.path
    try:
        if not target.exists() and not target.is_symlink():
            return "new"
        return "same" if target.is_file() and target.read_bytes() == file.text.encode() else "kept"
    except OSError:
        return "kept"
