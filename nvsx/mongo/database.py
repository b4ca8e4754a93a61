"""The Database port on the real thing: finds the way in, keeps one mongosh at work, and tells missing from empty."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING, Any

from nvsx.cluster import processes
from nvsx.errors import ClusterError, Forbidden, NotFound, NotInstalled, TimedOut, Unreachable
from nvsx.mongo import queries
from nvsx.mongo.complaints import secrets_of
from nvsx.mongo.places import Names, Place, database_in, find_names, find_places
from nvsx.mongo.program import ARGUMENTS, LIFETIME_S
from nvsx.mongo.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nvsx.clock import Clock
    from nvsx.ports import Cluster, Conversation, Object

QUERY_S = 20.0
"""What the server is given for one query; mongosh and the way to it get some seconds more."""

_SLACK_S = 10.0
_URI_VARIABLE = "NVSX_MONGO_URI"
_SHOWN_ARGUMENTS = ("--nodb", "--quiet", "--norc")


class Mongo:
    """NVSentinel's database. `uri` ("" to look for a pod in `namespace`) is used with the mongosh of this machine.

    The first query connects, a failure is found out by the query that meets it, and the next one connects anew.
    """

    def __init__(
        self, cluster: Cluster, *, env: Mapping[str, str], clock: Clock, namespace: str, uri: str = "", cwd: str = "/",
        program: str = "mongosh", mark: str = "", places: Sequence[Place] = (),
    ) -> None:  # fmt: skip
        self._cluster = cluster
        self._clock = clock
        self._namespace = namespace
        self._uri = uri
        # The address goes in through stdin alone.
        self._env = {name: value for name, value in env.items() if name != _URI_VARIABLE}
        self._cwd = cwd
        self._program = program
        self._mark = mark
        self._given = tuple(places)
        self._names: Names | None = None
        self._session: Session | None = None
        self._known: set[tuple[str, str]] = set()  # collections that this session has seen to exist
        self._turn = asyncio.Lock()
        self._closed = False

    # The Database port.

    async def find(
        self, collection: str, filter_: Mapping[str, Any], *, fields: Mapping[str, Any] | None = None,
        sort: Mapping[str, int] | None = None, limit: int = 1000,
    ) -> list[Object]:  # fmt: skip
        """The first documents that match, at most 5,000."""
        async with self._turn:
            session, database, name = await self._at(collection)
            request = queries.find(database, name, filter_, fields=fields, sort=sort, limit=limit, milliseconds=_ms())
            return await self._listed(session, request)

    async def count(self, collection: str, filter_: Mapping[str, Any], *, limit: int = 0) -> int:
        """How many documents match, counted up to `limit`."""
        async with self._turn:
            session, database, name = await self._at(collection)
            request = queries.count(database, name, filter_, limit=limit, milliseconds=_ms())
            found = await self._ask(session, request)
            if isinstance(found, bool) or not isinstance(found, int):
                raise ClusterError(f"the database answered a count with {found!r}")
            return found

    async def aggregate(self, collection: str, stages: Sequence[Mapping[str, Any]]) -> list[Object]:
        """The documents that a pipeline of reading stages makes."""
        async with self._turn:
            session, database, name = await self._at(collection)
            return await self._listed(session, queries.aggregate(database, name, stages, _ms()))

    async def close(self) -> None:
        """End mongosh; a query that is under way fails."""
        self._closed = True
        await self._drop()

    @property
    def place(self) -> str:
        """Where it is connected, in words; "" while it is not."""
        return self._session.place.text if self._session else ""

    # The way there.

    async def _at(self, collection: str) -> tuple[Session, str, str]:
        """A session, and the names of a database and a collection that exist there."""
        session = await self._connected()
        assert self._names is not None
        name = collection or self._names.collection
        await self._check_there(session, self._names.database, name)
        return session, self._names.database, name

    async def _check_there(self, session: Session, database: str, collection: str) -> None:
        """NotFound if there is no such collection: MongoDB itself answers as if it were empty."""
        if (database, collection) in self._known:
            return
        try:
            found = await self._ask(session, {"act": "names", "database": database})
        except Forbidden:
            return  # who may not list may still read; the query itself will tell
        collections, databases = found.get("collections") or [], found.get("databases")
        if collection not in collections:
            if collections:
                message = f"there is no collection {collection} in {database}: it has {_some(collections)}"
            elif databases is not None and database not in databases:
                message = f"there is no database {database}: the server has {_some(databases)}"
            else:
                message = f"the database {database} has no collections"
            raise NotFound(message, hint=f"kubectl -n {self._namespace} get configmap mongodb-config -o yaml")
        self._known.add((database, collection))

    async def _connected(self) -> Session:
        if self._closed:
            raise ClusterError("the way to the database has been closed")
        old = self._session
        if old and not old.broken and self._clock.monotonic() - old.started < LIFETIME_S:
            return old
        await self._drop()
        if self._names is None:
            self._names = await self._find_names()
        places = (Place(uri=self._uri),) if self._uri else self._given
        trouble: ClusterError | None = None
        for place in places or await find_places(self._cluster, self._namespace):
            try:
                return await self._enter(place)
            except ClusterError as error:
                trouble = trouble or error
        assert trouble is not None
        raise trouble

    async def _find_names(self) -> Names:
        try:
            found = await find_names(self._cluster, self._namespace)
        except ClusterError:
            if not self._uri:
                raise
            found = Names()  # the address may well work where the cluster cannot be asked
        named = database_in(self._uri)
        return found._replace(database=named) if named and named not in ("admin", "test") else found

    async def _enter(self, place: Place) -> Session:
        secrets = frozenset(secrets_of(place.uri, place.password))
        conversation, command = self._start(place)
        session = Session(conversation, place, self._clock, command=command, secrets=secrets)
        try:
            await session.connect()
        except BaseException:
            await session.close()
            raise
        self._session = session
        self._known.clear()
        return session

    def _start(self, place: Place) -> tuple[Conversation, str]:
        """A mongosh with the program, and its command line as it can be shown."""
        shown = shlex.join(["mongosh", *_SHOWN_ARGUMENTS])
        if place.pod:
            argv = ["mongosh", *ARGUMENTS]
            command = f"kubectl -n {place.namespace} exec -i {place.pod} -c {place.container} -- {shown}"
            return self._cluster.converse(place.namespace, place.pod, place.container, argv), command
        argv = [self._program, *ARGUMENTS]
        try:
            started = processes.open_stream(argv, env=self._env, cwd=self._cwd, writable=True, mark=self._mark)
        except processes.CannotStart as error:
            hint = f"{error.hint}; https://www.mongodb.com/try/download/shell has it" if error.hint else ""
            raise NotInstalled(error.message, hint=hint, command=shown) from error
        return started, shown

    async def _drop(self) -> None:
        session, self._session = self._session, None
        if session:
            await session.close()

    async def _listed(self, session: Session, request: Mapping[str, Any]) -> list[Object]:
        found = await self._ask(session, request)
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise ClusterError("the database answered what are no documents")
        return found

    async def _ask(self, session: Session, request: Mapping[str, Any]) -> Any:
        try:
            return await session.ask(request, timeout_s=QUERY_S + _SLACK_S)
        except (ClusterError, asyncio.CancelledError) as error:
            # A server that went away may come back elsewhere: the next query looks for it again.
            if session.broken or isinstance(error, Unreachable | TimedOut):
                await self._drop()
            raise


def _ms() -> int:
    return int(QUERY_S * 1000)


def _some(names: Sequence[str]) -> str:
    shown = sorted(str(name) for name in names)
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "") if shown else "none"
