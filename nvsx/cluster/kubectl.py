"""The cluster through the real kubectl: argv in, objects out, JSON only, and only commands that read."""

from __future__ import annotations

import re
import shlex
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from nvsx.cluster import processes
from nvsx.cluster.decoding import Page, Shared, document, garbled, line_object, lines, page
from nvsx.cluster.kube_errors import classify, from_status
from nvsx.cluster.probe import Probe, git_version, probe_of
from nvsx.cluster.projection import project
from nvsx.cluster.verbs import read_only
from nvsx.errors import (
    Expired,
    Forbidden,
    Garbled,
    NoContext,
    NotFound,
    NotInstalled,
    TimedOut,
    Unreachable,
)
from nvsx.names import is_node_name
from nvsx.ports import Listing, LogLine, WatchEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from nvsx.clock import Clock
    from nvsx.ports import ApiPath, Object

PAGE = 500
LIST_ATTEMPTS = 3
REQUEST_TIMEOUT_S = 15.0
SPARE_S = 5.0
"""kubectl gives up by itself after its request timeout; this much later it is ended."""

EXEC_TIMEOUT_S = 60.0
IDENTITY_AGE_S = 60.0
"""A list or watch that starts this long after the last look at the cluster's identity looks at it again; one that
starts after a watch has ended does so in any case."""

LOG_STREAMS = 200
"""How many containers one `logs` follows; kubectl refuses more."""

_OWN_VARIABLES = {"KUBERC": "off", "KUBECTL_KUBERC": "false"}
"""A user's kubectl preferences may change what a command prints."""

_PART = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_LOG_LINE = re.compile(r"\[pod/([^/\]]+)/[^\]]*\] (?:(\d{4}-\d\d-\d\dT\S+) ?)?(.*)", re.DOTALL)
_IDENTITY_URL = "/api/v1/namespaces/kube-system"


class Kubectl:
    """A Cluster behind `program`. `env` pins the cluster (see `nvsx.cluster.context`), `context` is its name for hints.

    `mark` (the run's id) is carried by every process, so that what a killed nvsx left behind can be found.
    `patience_s`: how long the server may take for one answer.
    """

    def __init__(
        self, *, env: Mapping[str, str], clock: Clock, cwd: str = "/", context: str = "", program: str = "kubectl",
        mark: str = "", patience_s: float = REQUEST_TIMEOUT_S,
    ) -> None:  # fmt: skip
        self.context = context
        self._env = {**env, **_OWN_VARIABLES}
        self._clock = clock
        self._cwd = cwd
        self._program = program
        self._mark = mark
        self._patience_s = patience_s
        self._shared = Shared()
        self._first_uid = ""
        self._identified_at = float("-inf")
        self._hinted = f"kubectl --context={shlex.quote(context)}" if context else "kubectl"

    # The Cluster port.

    async def identity(self) -> str:
        """UID of kube-system; the context's name (`in-cluster` in a pod) where that may not be read."""
        uid = await self._uid()
        self._first_uid = self._first_uid or uid
        return uid or self.context or "in-cluster"

    def assume(self, identity: str) -> None:
        """Hold the cluster to what `identity` told an earlier process, as long as it has not been asked itself."""
        if identity not in (self.context, "in-cluster"):
            self._first_uid = self._first_uid or identity

    async def check_identity(self) -> None:
        """NoContext if the context reaches another cluster than the one that `identity` told first."""
        uid = await self._uid()
        if uid and self._first_uid and uid != self._first_uid:
            raise NoContext(
                f"the context {self.context or 'in-cluster'} reaches another cluster now:"
                f" kube-system has the uid {uid}, it was {self._first_uid}",
                hint=f"{self._hinted} cluster-info",
            )

    async def get(self, url: str) -> Object:
        """One document at a raw API path."""
        arguments = self._get(url)
        command = self._shown(arguments)
        found = document(await self.read(*arguments), command)
        if found.get("kind") == "Status" and found.get("status") == "Failure":
            raise from_status(found, command=command, kubectl=self._hinted)
        return found

    async def list(self, path: ApiPath) -> Listing:
        """All objects at `path`, in pages; begun again when the first page has expired before the last was read."""
        url = _checked(path)
        await self._same_cluster()
        for _ in range(LIST_ATTEMPTS - 1):
            try:
                return await self._pages(url, path.resource)
            except Expired:
                continue
        return await self._pages(url, path.resource)

    async def watch(self, path: ApiPath, version: str) -> AsyncIterator[WatchEvent]:
        """Changes after `version` until the server ends the stream."""
        url = _with(_checked(path), watch="1", resourceVersion=version, allowWatchBookmarks="true")
        await self._same_cluster()
        arguments = ["get", "--raw", url]
        command = self._shown(arguments)
        process = self.open(*arguments)
        try:
            async with aclosing(lines(process.read, command)) as framed:
                async for line, complete in framed:
                    # A line that was cut off is the end of a broken connection: kubectl's own word for it is better.
                    if not complete:
                        await self._ended(process, command)
                    if (event := self._event(line, path.resource, command)) is not None:
                        yield event
            await self._ended(process, command)
        finally:
            self._identified_at = float("-inf")  # whatever ended it may have put another cluster behind the context
            await process.close()

    async def logs(
        self, namespace: str, *, selector: str = "", pod: str = "", since: float = 0.0
    ) -> AsyncIterator[LogLine]:
        """Follow all containers of the pods there are now, until all of them have ended.

        A container whose log cannot be read (it waits to start, its node is down) does not end the others; if there
        are only such, their error is raised. More than 200 containers are refused by kubectl.
        """
        arguments = _logs(namespace, selector, pod, since)
        command = self._shown(arguments)
        process = self.open(*arguments)
        trouble, brought = "", False
        try:
            async with aclosing(lines(process.read, command)) as framed:
                async for raw, _ in framed:
                    text = raw.decode("utf-8", "replace")
                    if found := _LOG_LINE.fullmatch(text):
                        brought = True
                        yield LogLine(f"{namespace}/{found[1]}", found[3], _epoch(found[2]))
                    elif text.lower().startswith("error"):
                        trouble = text
            await self._ended(process, command)
        finally:
            await process.close()
        if trouble and not brought:
            raise classify(trouble, command=command, kubectl=self._hinted)

    async def exec(self, namespace: str, pod: str, container: str, argv: Sequence[str], stdin: bytes = b"") -> bytes:
        """Stdout of a mongosh in a container (`verbs.py` says which command lines); ClusterError if it failed."""
        arguments = exec_arguments(namespace, pod, container, argv, interactive=bool(stdin))
        return await self.read(*arguments, stdin=stdin, timeout_s=EXEC_TIMEOUT_S)

    def converse(self, namespace: str, pod: str, container: str, argv: Sequence[str]) -> processes.LongProcess:
        """A mongosh in a container, to be written to and read from; kubectl's own complaint is in its `errors`."""
        return self.open(*exec_arguments(namespace, pod, container, argv, interactive=True), writable=True)

    # The doors below it, for doctor and mongosh.

    async def read(self, *arguments: str, stdin: bytes = b"", timeout_s: float = 0.0) -> bytes:
        """Stdout of a kubectl that reads and has succeeded; Refused for anything else than a read.

        It is ended after `timeout_s`; 0: a little later than it should give up by itself.
        """
        answer = await self._capture(arguments, stdin, timeout_s)
        # A failed list prints an empty List: stdout means nothing unless the exit status is 0.
        self._raise_unless_done(answer.exit_code, answer.stderr.decode("utf-8", "replace"), self._shown(arguments))
        return answer.stdout

    def open(self, *arguments: str, writable: bool = False) -> processes.LongProcess:
        """A long-lived kubectl that reads (watch, logs, a mongosh); who opens it closes it."""
        argv = [self._program, *read_only(arguments)]
        try:
            return processes.open_stream(argv, env=self._env, cwd=self._cwd, writable=writable, mark=self._mark)
        except processes.CannotStart as error:
            raise NotInstalled(error.message, hint=error.hint, command=self._shown(arguments)) from error

    async def may(self, verb: str, resource: str, *, group: str = "", namespace: str = "") -> bool:
        """Whether the server lets us (`auth can-i`). `resource` may name a subresource: `pods/log`."""
        what, _, subresource = resource.partition("/")
        named = [_part(what, "resource") + (f".{_subdomain(group, 'group')}" if group else "")]
        options = [f"--subresource={_part(subresource, 'subresource')}"] if subresource else []
        options += [f"--namespace={_part(namespace, 'namespace')}"] if namespace else ["--all-namespaces"]
        arguments = ["auth", "can-i", _part(verb, "verb"), *named, *options, self._request_timeout()]
        answer = await self._capture(arguments, b"")
        said = answer.stdout.strip()[:3]
        if answer.exit_code == 1 and said.startswith(b"no"):
            return False
        self._raise_unless_done(answer.exit_code, answer.stderr.decode("utf-8", "replace"), self._shown(arguments))
        if said != b"yes":
            raise garbled(answer.stdout, self._shown(arguments))
        return True

    async def client_version(self) -> str:
        """Version of the kubectl at hand, such as `v1.34.1`; asks no server."""
        arguments = ["version", "--client", "-o", "json"]
        return git_version(document(await self.read(*arguments), self._shown(arguments)), "clientVersion")

    async def probe(self) -> Probe:
        """Ask the server who it is, and read off how long it took and what time it has there."""
        arguments = ["version", "-o", "json", "--v=8", self._request_timeout()]
        began = self._clock.monotonic()
        answer = await self._capture(arguments, b"")
        elapsed, now = self._clock.monotonic() - began, self._clock.now()
        stderr = answer.stderr.decode("utf-8", "replace")
        self._raise_unless_done(answer.exit_code, stderr, self._shown(arguments))
        return probe_of(document(answer.stdout, self._shown(arguments)), stderr, elapsed, now)

    async def _capture(self, arguments: Sequence[str], stdin: bytes, timeout_s: float = 0.0) -> processes.Captured:
        """An answer in time and of bearable size, whatever it says."""
        timeout_s = timeout_s or self._patience_s + SPARE_S
        argv = [self._program, *read_only(arguments)]
        command = self._shown(arguments)
        try:
            answer = await processes.capture(
                argv, env=self._env, cwd=self._cwd, timeout_s=timeout_s, clock=self._clock, stdin=stdin, mark=self._mark
            )
        except processes.CannotStart as error:
            raise NotInstalled(error.message, hint=error.hint, command=command) from error
        if answer.timed_out:
            raise TimedOut(f"kubectl did not answer within {timeout_s:.0f} s", hint=command, command=command)
        if answer.too_large:
            raise Garbled("kubectl answered more than nvsx takes", hint=command, command=command)
        return answer

    async def _uid(self) -> str:
        """UID of kube-system, "" where it may not be read."""
        try:
            found = await self.get(_IDENTITY_URL)
        except (Forbidden, NotFound):
            return ""
        finally:
            self._identified_at = self._clock.monotonic()
        return str((found.get("metadata") or {}).get("uid") or "")

    async def _pages(self, url: str, resource: str) -> Listing:
        objects: list[Object] = []
        version = more = ""
        while not version or more:
            chosen = {"limit": str(PAGE)} | ({"continue": more} if more else {})
            one = await self._page(_with(url, **chosen), resource)
            objects += one.objects
            # A watch from the first page's version repeats at most what later pages held already; nothing is missed.
            version, more = version or one.version, one.more
        return Listing(objects, version)

    async def _page(self, url: str, resource: str) -> Page:
        arguments = self._get(url)
        return await page(await self.read(*arguments), resource, self._shared, self._shown(arguments))

    async def _same_cluster(self) -> None:
        """Look again whether the context means the cluster that it meant at first, if that was asked."""
        if self._first_uid and self._clock.monotonic() - self._identified_at > IDENTITY_AGE_S:
            await self.check_identity()

    def _event(self, line: bytes, resource: str, command: str) -> WatchEvent | None:
        found = line_object(line, command)
        if found is None:
            return None
        kind, changed = found.get("type"), found.get("object")
        if not isinstance(kind, str) or not isinstance(changed, dict):
            raise garbled(line, command)
        if kind == "ERROR":
            raise from_status(changed, command=command, kubectl=self._hinted)
        self._shared.trim()
        return WatchEvent(kind, self._shared.of(project(resource, changed)))

    async def _ended(self, process: processes.LongProcess, command: str) -> None:
        """Its stdout has ended: wait for the exit, and raise what went wrong."""
        self._raise_unless_done(await process.wait(), process.errors, command)

    def _raise_unless_done(self, exit_code: int | None, stderr: str, command: str) -> None:
        if exit_code is None:
            raise Unreachable("kubectl was ended by a signal", hint=command, command=command)
        if exit_code != 0:
            raise classify(stderr, command=command, kubectl=self._hinted)

    def _get(self, url: str) -> tuple[str, ...]:
        if not url.startswith("/"):
            raise NotFound(f"{url!r} is no path of the API")
        return ("get", "--raw", url, self._request_timeout())

    def _request_timeout(self) -> str:
        return f"--request-timeout={self._patience_s:g}s"

    def _shown(self, arguments: Sequence[str]) -> str:
        return shlex.join([self._program, *arguments])


def exec_arguments(namespace: str, pod: str, container: str, argv: Sequence[str], *, interactive: bool) -> list[str]:
    """kubectl's arguments for a command in a container; `interactive` connects its stdin."""
    into = [f"--namespace={_part(namespace, 'namespace')}", _subdomain(pod, "pod")]
    into += [f"--container={_part(container, 'container')}"] if container else []
    return ["exec", *(["-i"] if interactive else []), *into, "--", *argv]


def _logs(namespace: str, selector: str, pod: str, since: float) -> list[str]:
    # With a selector kubectl shows only ten old lines and follows only five containers unless it is told otherwise.
    arguments = ["logs", "-f", f"--namespace={_part(namespace, 'namespace')}", "--timestamps", "--prefix"]
    arguments += ["--all-containers", "--tail=-1", "--ignore-errors"]
    if since:
        arguments.append(f"--since-time={datetime.fromtimestamp(int(since), UTC):%Y-%m-%dT%H:%M:%SZ}")
    if pod:
        return [*arguments, _subdomain(pod, "pod")]
    return [*arguments, f"--selector={selector}", f"--max-log-requests={LOG_STREAMS}"]


def _with(url: str, **parameters: str) -> str:
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
    return f"{url}{'&' if '?' in url else '?'}{query}"


def _checked(path: ApiPath) -> str:
    """The path's url, made of nothing but names that Kubernetes accepts."""
    _part(path.version, "version")
    _part(path.resource, "resource")
    if path.group:
        _subdomain(path.group, "API group")
    if path.namespace:
        _part(path.namespace, "namespace")
    return path.url


def _part(text: str, what: str) -> str:
    if not _PART.fullmatch(text):
        raise NotFound(f"{text[:80]!r} cannot be the name of a {what}")
    return text


def _subdomain(text: str, what: str) -> str:
    if not is_node_name(text):
        raise NotFound(f"{text[:80]!r} cannot be the name of a {what}")
    return text


def _epoch(text: str | None) -> float:
    try:
        when = datetime.fromisoformat(text) if text else None
        return when.replace(tzinfo=when.tzinfo or UTC).timestamp() if when else 0.0
    except ValueError:
        return 0.0
