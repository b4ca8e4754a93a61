"""What kubectl's own account of one request tells of a server: its version, its answer's time, and its clock."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from nvsx.ports import Object

# As kubectl writes them with --v=8: `Response Status: 200 OK in 4 milliseconds` or `milliseconds=4`, and the headers.
_MILLISECONDS = re.compile(r"\bin (\d+) milliseconds|\bmilliseconds=(\d+)")
_DATE = re.compile(r"\bDate: ?\[?\"?(\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT)")


class Probe(NamedTuple):
    """One answer of the API server, and the kubectl that brought it (which may be another than the first on PATH).

    `skew_s` is how far the server's clock is ahead of ours; None where it did not say.
    """

    version: str
    client: str
    latency_s: float
    skew_s: float | None


def probe_of(versions: Object, account: str, elapsed_s: float, now: float) -> Probe:
    """A probe from `kubectl version -o json --v=8`: its JSON, its stderr, how long it ran and when it ended (epoch s).

    Without kubectl's own figure the latency is that of the whole process.
    """
    from email.utils import parsedate_to_datetime

    found = _MILLISECONDS.search(account)
    dated = _DATE.search(account)
    return Probe(
        git_version(versions, "serverVersion"),
        git_version(versions, "clientVersion"),
        float(found[1] or found[2]) / 1000 if found else elapsed_s,
        parsedate_to_datetime(dated[1]).timestamp() - now if dated else None,
    )


def git_version(versions: Object, which: str) -> str:
    """`clientVersion` or `serverVersion` as `v1.34.1`; "" where it is missing."""
    found = versions.get(which)
    return str(found.get("gitVersion", "")) if isinstance(found, dict) else ""
