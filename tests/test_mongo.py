"""The database through the real mongosh: each way it can go wrong is told apart, and no secret is ever shown."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import ssl
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from nvsx.arguments import split_flags
from nvsx.clock import RealClock
from nvsx.cluster.kubectl import Kubectl
from nvsx.errors import (
    BadAddress,
    ClusterError,
    Garbled,
    NotFound,
    NotInstalled,
    Refused,
    TimedOut,
    TlsRefused,
    Unauthorized,
    Unreachable,
    UsageError,
)
from nvsx.health import HealthEvent
from nvsx.healthevents import from_document
from nvsx.mongo import database, session
from nvsx.mongo.complaints import classify_answer, hidden, secrets_of
from nvsx.mongo.database import Mongo
from nvsx.mongo.places import BITNAMI, PERCONA, Names, Place, find_names, find_places
from nvsx.mongo.queries import aggregate, checked
from tests.servers.mongo import MongoServer
from tests.test_healthevents import DOCUMENT, EVENT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from nvsx.ports import Cluster

PASSWORD = "hunter2/s3cret@äß"  # needs escaping in every form
QUOTED = "hunter2%2Fs3cret%40%C3%A4%C3%9F"
SECRETS = (PASSWORD, QUOTED, "hunter2")
needs_mongosh = pytest.mark.skipif(not shutil.which("mongosh"), reason="no mongosh: npm install --global mongosh")


class NoCluster:
    """A cluster in which nothing may be read."""

    async def get(self, url: str) -> Any:
        raise NotFound(f"no {url}")


def documents(count: int) -> list[dict[str, Any]]:
    """Distinct documents, one a second."""
    made = []
    for number in range(count):
        at = 1_787_306_400 + number
        date, seconds = {"$date": {"$numberLong": f"{at}000"}}, {"$numberLong": str(at)}
        made.append({"_id": {"$oid": f"{at:08x}{number:016x}"}, "createdAt": date,
                     "healthevent": {"nodename": f"n{number % 7}", "checkname": "SysLogsXIDError", "isfatal": True,
                                     "errorcode": ["79"], "generatedtimestamp": {"seconds": seconds}}})  # fmt: skip
    return made


def health(*found: dict[str, Any]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    return {"HealthEventsDatabase": {"HealthEvents": list(found), "MaintenanceEvents": []}}


def address(server: MongoServer, password: str = QUOTED, options: str = "") -> str:
    return f"mongodb://root:{password}@127.0.0.1:{server.port}/?directConnection=true{options}"


@asynccontextmanager
async def opened(cluster: Cluster | None = None, **options: Any) -> AsyncIterator[Mongo]:
    mongo = Mongo(cluster or NoCluster(), env=dict(os.environ), clock=RealClock(), namespace="nvsentinel", **options)  # type: ignore[arg-type]
    try:
        yield mongo
    finally:
        await mongo.close()


def refusal(of: Callable[[], Coroutine[Any, Any, Any]]) -> ClusterError:
    """The error that a look ends with, which shows no secret."""

    async def look() -> ClusterError:
        with pytest.raises(ClusterError) as caught:
            await of()
        return caught.value

    error = asyncio.run(look())
    text = f"{error.message} {error.hint} {error.command} {error!r}"
    assert not [secret for secret in SECRETS if secret in text], text
    return error


def count_at(uri: str, collection: str = "", **options: Any) -> Callable[[], Coroutine[Any, Any, int]]:
    async def look() -> int:
        async with opened(uri=uri, **options) as mongo:
            return await mongo.count(collection, {})

    return look


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that does not answer is given up soon."""
    monkeypatch.setitem(Place.request.__globals__["_OPTIONS"], "serverSelectionTimeoutMS", "700")


@needs_mongosh
def test_queries_of_one_session() -> None:
    async def story(server: MongoServer) -> None:
        async with opened(uri=address(server)) as mongo:
            (found,) = await mongo.find("", {"healthevent.nodename": "gpu-node-1"})
            assert from_document(found) == EVENT
            assert await mongo.find("", {"createdAt": {"$gt": {"$date": "2026-08-21T10:00:08Z"}}}) == []
            assert await mongo.count("", {"_id": {"$oid": "66f0a1b2c3d4e5f601020304"}}) == 1
            either = {"$or": [{"healthevent.checkname": "X"}, {"healthevent.errorcode": {"$in": ["79"]}}]}
            assert await mongo.count("HealthEvents", either) == 1
            assert await mongo.count("MaintenanceEvents", {}) == 0
            assert await mongo.aggregate("", [{"$match": {}}, {"$count": "n"}]) == [{"n": 1}]
            # Missing is not empty, and neither ends the session.
            for name, told in (("Helthevents", "there is no collection Helthevents in HealthEventsDatabase: it has"),):
                with pytest.raises(NotFound, match=told):
                    await mongo.count(name, {})
            with pytest.raises(ClusterError, match="unknown operator"):
                await mongo.count("", {"healthevent.message": {"$nonsense": 1}})
            assert await mongo.count("", {}) == 1
            server.slow_on["find"] = 0.2
            late, count = await asyncio.gather(mongo.find("", {}), mongo.count("", {}))
            assert (len(late), count) == (1, 1)

    with MongoServer(health(DOCUMENT), user="root", password=PASSWORD) as server:
        asyncio.run(story(server))
        assert server.commands.count("saslStart") <= 2, "more than one session"
        assert not {"insert", "update", "delete", "create"} & set(server.commands)


@needs_mongosh
@pytest.mark.usefixtures("quick")
def test_what_can_be_wrong_with_an_address() -> None:
    with MongoServer(health(DOCUMENT), user="root", password=PASSWORD) as server:
        port = server.port
        wrong = refusal(count_at(address(server, "wrong" + QUOTED)))
        assert (type(wrong), wrong.message) == (Unauthorized, "Authentication failed.")
        assert type(refusal(count_at(f"mongodb://127.0.0.1:{port}"))) is Unauthorized
        raw = refusal(count_at(f"mongodb://root:{PASSWORD}@127.0.0.1:{port}"))
        assert (type(raw), "cannot be used" in raw.message) == (BadAddress, True)
        assert type(refusal(count_at(f"http://root:{QUOTED}@127.0.0.1:{port}"))) is BadAddress
        missing = refusal(count_at(address(server, options="&tls=true&tlsCAFile=/nowhere/ca.pem")))
        assert (type(missing), "/nowhere/ca.pem" in missing.message) == (BadAddress, True)
        other = refusal(count_at(address(server).replace("/?", "/OtherDatabase?") + "&authSource=admin"))
        assert type(other) is NotFound
        assert other.message == (
            "there is no database OtherDatabase: the server has HealthEventsDatabase, admin, config, local"
        )
        gone = address(server)
    error = refusal(count_at(gone))
    assert (type(error), "ECONNREFUSED" in error.message) == (Unreachable, True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    """A CA of the test's own, and a directory with the files that the containers have."""
    ca, folder = trustme.CA(), tmp_path_factory.mktemp("certs")
    ca.cert_pem.write_to_path(str(folder / "ca.crt"))
    client = ca.issue_cert("client.example", common_name="mongo-user-client")
    client.private_key_and_cert_chain_pem.write_to_path(str(folder / "mongodb.pem"))
    client.private_key_pem.write_to_path(str(folder / "tls.key"))
    client.cert_chain_pems[0].write_to_path(str(folder / "tls.crt"))
    return ca, folder


def strict_tls(ca: trustme.CA, host: str = "127.0.0.1") -> ssl.SSLContext:
    """A server that asks for a client certificate, as NVSentinel's does."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert(host).configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@needs_mongosh
@pytest.mark.usefixtures("quick")
def test_tls(authority: tuple[trustme.CA, Path]) -> None:
    ca, folder = authority
    with MongoServer(health(DOCUMENT), user="root", password=PASSWORD, tls=strict_tls(ca)) as server:
        known = f"&tls=true&tlsCAFile={folder}/ca.crt"
        x509 = f"&tlsCertificateKeyFile={folder}/mongodb.pem&authMechanism=MONGODB-X509&authSource=$external"
        plain = f"mongodb://127.0.0.1:{server.port}/?directConnection=true{known}{x509}"
        assert asyncio.run(count_at(plain)()) == 1
        unknown = refusal(count_at(address(server, options="&tls=true")))
        assert (type(unknown), "self-signed" in unknown.message) == (TlsRefused, True)
        bare = refusal(count_at(address(server, options=known)))
        assert type(bare) in (TlsRefused, Unreachable)
        clear = refusal(count_at(address(server)))
        assert type(clear) is Unreachable


@needs_mongosh
def test_a_hundred_thousand_documents_in_pages() -> None:
    made = documents(100_000)

    async def story(server: MongoServer) -> None:
        async with opened(uri=address(server)) as mongo:
            assert await mongo.count("", {}) == len(made)
            assert await mongo.count("", {}, limit=10) == 10
            at: dict[str, Any] = made[90_000]
            seen: list[str] = []
            while True:
                later = {"createdAt": {"$gt": at["createdAt"]}}
                same = {"createdAt": at["createdAt"], "_id": {"$gt": at["_id"]}}
                page = await mongo.find("", {"$or": [later, same]}, sort={"createdAt": 1, "_id": 1}, limit=50_000)
                if not page:
                    break
                assert len(page) <= 5_000
                assert isinstance(from_document(page[0]), HealthEvent)
                seen += [one["_id"]["$oid"] for one in page]
                at = page[-1]
            assert seen == [one["_id"]["$oid"] for one in made[90_001:]]

    with MongoServer(health(*made), user="root", password=PASSWORD) as server:
        asyncio.run(story(server))


@needs_mongosh
@pytest.mark.usefixtures("quick")
def test_a_server_that_goes_away_and_comes_back() -> None:
    async def story() -> None:
        with MongoServer(health(*documents(300)), user="root", password=PASSWORD) as server:
            async with opened(uri=address(server)) as mongo:
                assert await mongo.count("", {}) == 300
                server.cut_on = "find"
                with pytest.raises(Unreachable):
                    await mongo.find("", {})
                server.cut_on = ""
                assert len(await mongo.find("", {})) == 300
                server.stop()
                with pytest.raises(Unreachable):
                    await mongo.find("", {})

    asyncio.run(story())


FAKE_KUBECTL = """#!/usr/bin/env python3
import json, os, sys
here, words = os.path.dirname(os.path.abspath(sys.argv[0])), sys.argv[1:]
with open(here + "/calls", "a") as log:
    log.write(" ".join(word if len(word) < 200 else "PROGRAM" for word in words) + "\\n")
if words[0] == "get":
    answers = json.load(open(here + "/answers.json"))
    for part, answer in answers.items():
        if part in words[2]:
            print(json.dumps(answer))
            sys.exit(0)
    sys.exit('Error from server (NotFound): the server could not find the requested resource')
command = words[words.index("--") + 1:]
container = json.load(open(here + "/container.json"))
if "stderr" in container:
    sys.exit(container["stderr"])
os.environ.update(container)
print("Defaulted container: a wrapper's warning before the answer", flush=True)
os.execvp(command[0], command)
"""


def pod(name: str, port: int, container: str = "mongodb", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "nvsentinel", "labels": labels},
        "spec": {"containers": [{"name": container, "ports": [{"name": "mongodb", "containerPort": port}]}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def cluster_at(folder: Path, answers: dict[str, Any], container: dict[str, str]) -> Kubectl:
    """A kubectl that runs what is exec'd on this machine, in the container's environment."""
    program = folder / "kubectl"
    program.write_text(FAKE_KUBECTL)
    program.chmod(0o755)
    (folder / "answers.json").write_text(json.dumps(answers))
    (folder / "container.json").write_text(json.dumps(container))
    return Kubectl(env=dict(os.environ), clock=RealClock(), program=str(program))


BITNAMI_PODS = "mongodb%2Capp.kubernetes.io/component%3Dmongodb"
PERCONA_PODS = "percona"
CONFIG = {"metadata": {"name": "mongodb-config"}, "data": {"MONGODB_DATABASE_NAME": "Renamed",
          "MONGODB_COLLECTION_NAME": "Events", "DATASTORE_PROVIDER": "mongodb"}}  # fmt: skip


@needs_mongosh
def test_exec_into_bitnami(tmp_path: Path, authority: tuple[trustme.CA, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    ca, folder = authority
    monkeypatch.setattr(
        "nvsx.mongo.places.BITNAMI", BITNAMI._replace(ca=f"{folder}/ca.crt", pem=f"{folder}/mongodb.pem")
    )
    found = {"Renamed": {"Events": [DOCUMENT]}}
    # The certificate names the pod's own host name, as the chart's does, and not localhost.
    tls = strict_tls(ca, "mongodb-0.mongodb-headless.nvsentinel.svc.cluster.local")
    with MongoServer(found, user="root", password=PASSWORD, tls=tls, secondary=True) as server:
        answers = {"configmaps": {"items": [CONFIG]}, BITNAMI_PODS: {"items": [pod("mongodb-0", server.port)]}}
        cluster = cluster_at(tmp_path, answers, {"MONGODB_ROOT_PASSWORD": PASSWORD})

        async def story() -> None:
            async with opened(cluster) as mongo:
                (stored,) = await mongo.find("", {})
                assert from_document(stored) == EVENT
                assert mongo.place == "pod nvsentinel/mongodb-0"

        asyncio.run(story())
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[-1] == (
        "exec -i --namespace=nvsentinel mongodb-0 --container=mongodb -- mongosh --nodb --quiet --norc --eval PROGRAM"
    )
    assert len([call for call in calls if call.startswith("exec")]) == 1


@needs_mongosh
def test_exec_into_percona(tmp_path: Path, authority: tuple[trustme.CA, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    ca, folder = authority
    place = PERCONA._replace(ca=f"{folder}/ca.crt", certificate=f"{folder}/tls.crt", key=f"{folder}/tls.key")
    monkeypatch.setattr("nvsx.mongo.places.PERCONA", place)
    data = {"MONGODB_DATABASE_ADMIN_USER": "databaseAdmin", "MONGODB_DATABASE_ADMIN_PASSWORD": PASSWORD}
    with MongoServer(health(DOCUMENT), user="databaseAdmin", password=PASSWORD, tls=strict_tls(ca)) as server:
        answers = {
            BITNAMI_PODS: {"items": []},
            PERCONA_PODS: {"items": [pod("mongodb-rs0-0", server.port, "mongod")]},
            "internal-mongodb-users": {
                "data": {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
            },
        }
        cluster = cluster_at(tmp_path, answers, {})

        async def story() -> None:
            async with opened(cluster) as mongo:
                assert await mongo.count("", {}) == 1

        before = set(Path("/dev/shm").glob("nvsx-??????"))
        asyncio.run(story())
        assert set(Path("/dev/shm").glob("nvsx-??????")) <= before, "the joined key was left behind"
    assert "--container=mongod -- mongosh" in (tmp_path / "calls").read_text()


@pytest.mark.parametrize(
    ("stderr", "kind", "told"),
    [
        ('error: Internal error occurred: error executing command in container: exec: "mongosh": executable file not '
         "found in $PATH: unknown", NotInstalled, "has no mongosh"),
        ('Error from server (Forbidden): pods "mongodb-0" is forbidden: User "me" cannot create resource "pods/exec" '
         'in API group "" in the namespace "nvsentinel"', ClusterError, "pods/exec"),
        ("Error from server (NotFound): pods \"mongodb-0\" not found", NotFound, "not found"),
        ("some words\ncommand terminated with exit code 137", Unreachable, "some words"),
    ],
)  # fmt: skip
def test_exec_that_does_not_come_through(tmp_path: Path, stderr: str, kind: type[ClusterError], told: str) -> None:
    cluster = cluster_at(tmp_path, {BITNAMI_PODS: {"items": [pod("mongodb-0", 1)]}}, {"stderr": stderr})

    async def look() -> None:
        async with opened(cluster) as mongo:
            await mongo.count("", {})

    error = refusal(look)
    assert isinstance(error, kind)
    assert told in error.message
    assert "kubectl" in error.hint or "NVSX_MONGO_URI" in error.hint


def fake_mongosh(tmp_path: Path, body: str) -> dict[str, Any]:
    program = tmp_path / "mongosh"
    program.write_text(f"#!/usr/bin/env bash\n{body}\n")
    program.chmod(0o755)
    return {"program": str(program)}


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        ("exit 0", Unreachable, "mongosh ended with exit status 0 without a word"),
        ("echo 'Error: cannot start' >&2; exit 3", Unreachable, "exit status 3: Error: cannot start"),
        ("kill -9 $$", Unreachable, "was ended by a signal"),
        ("read x; echo '<html>502</html>'; exit 1", Unreachable, "exit status 1: <html>502</html>"),
        ("read x; echo '@nvsx {\"n\":1,'; cat", Garbled, "what nvsx did not ask"),
        ("read x; echo '@nvsx [1]'; cat", Garbled, "what nvsx did not ask"),
        ('read x; echo \'@nvsx {"n":7,"ok":1}\'; cat', Garbled, "what nvsx did not ask"),
        ('read x; printf \'@nvsx {"n":1,"ok":\'; exit 0', Unreachable, "ended with exit status 0"),
        ("read x; sleep 30", TimedOut, "did not answer within 1 s"),
    ],
)
def test_a_mongosh_that_lies(
    tmp_path: Path, body: str, kind: type[ClusterError], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "CONNECT_S", 1.0)
    error = refusal(count_at(f"mongodb://root:{QUOTED}@127.0.0.1/", **fake_mongosh(tmp_path, body)))
    assert type(error) is kind
    assert told in error.message


def test_warnings_before_an_answer_are_passed_over(tmp_path: Path) -> None:
    body = """n=0; while read line; do n=$((n+1)); echo "Warning: something"; echo '{"ok": "not an answer"}'
    case $line in *names*) echo "@nvsx {\\"n\\":$n,\\"ok\\":{\\"collections\\":[\\"HealthEvents\\"]}}";;
    *) echo "@nvsx {\\"n\\":$n,\\"ok\\":7}";; esac; done"""
    assert asyncio.run(count_at("mongodb://127.0.0.1/", **fake_mongosh(tmp_path, body))()) == 7


def test_no_mongosh(tmp_path: Path) -> None:
    error = refusal(count_at("mongodb://127.0.0.1/", program=str(tmp_path / "nothing")))
    assert type(error) is NotInstalled


@needs_mongosh
def test_no_secret_is_ever_shown(tmp_path: Path) -> None:
    """Not in any process's arguments, not on the output, not in what mongosh writes into the home directory."""
    seen: set[str] = set()

    async def spy(stop: asyncio.Event) -> None:
        while not stop.is_set():
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(file.read_bytes().decode("utf-8", "replace"))
                except OSError:
                    continue
            await asyncio.sleep(0.02)

    async def story(server: MongoServer) -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(spy(stop))
        env = {**os.environ, "HOME": str(tmp_path), "NVSX_MONGO_URI": address(server)}
        mongo = Mongo(NoCluster(), env=env, clock=RealClock(), namespace="x", uri=address(server))  # type: ignore[arg-type]
        try:
            assert await mongo.count("", {}) == 1
            assert PASSWORD not in repr(mongo._session and mongo._session.place)
        finally:
            await mongo.close()
            stop.set()
            await task

    with MongoServer(health(DOCUMENT), user="root", password=PASSWORD) as server:
        asyncio.run(story(server))
    assert any("mongosh" in line for line in seen)
    assert not [line for line in seen if any(secret in line for secret in SECRETS)]
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files, "mongosh wrote no log: the test looks in the wrong place"
    assert not [file for file in files if any(secret.encode() in file.read_bytes() for secret in SECRETS)]


def test_a_session_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = f"""echo $$ >> {tmp_path}/pids; n=0; while read line; do n=$((n+1))
    case $line in *names*) echo "@nvsx {{\\"n\\":$n,\\"ok\\":{{\\"collections\\":[\\"HealthEvents\\"]}}}}";;
    *) echo "@nvsx {{\\"n\\":$n,\\"ok\\":7}}";; esac; done"""

    async def story() -> None:
        async with opened(uri="mongodb://127.0.0.1/", **fake_mongosh(tmp_path, body)) as mongo:
            await mongo.count("", {})
            await mongo.count("", {})
            monkeypatch.setattr(database, "LIFETIME_S", 0.0)
            await mongo.count("", {})

    asyncio.run(story())
    assert len((tmp_path / "pids").read_text().split()) == 2


# Where the database is


class Answers:
    """A cluster that answers raw paths by a part of them."""

    def __init__(self, **found: Any) -> None:
        self.found = found

    async def get(self, url: str) -> Any:
        for part, answer in self.found.items():
            if part in url:
                if isinstance(answer, Exception):
                    raise answer
                return answer
        raise NotFound("not found")


def names(**found: Any) -> Names:
    return asyncio.run(find_names(Answers(**found), "nvsentinel"))  # type: ignore[arg-type]


def test_names_come_from_the_config_map() -> None:
    assert names() == Names("HealthEventsDatabase", "HealthEvents")
    assert names(configmaps={"items": [CONFIG]}) == Names("Renamed", "Events")
    external = {"metadata": {"name": "prod-datastore-config"}, "data": {"MONGODB_DATABASE_NAME": "External"}}
    assert names(configmaps={"items": [CONFIG, external]}) == Names("External", "HealthEvents")


def test_postgresql_is_told() -> None:
    config = {"metadata": {"name": "nvsentinel-datastore-config"}, "data": {"DATASTORE_PROVIDER": "postgresql"}}
    with pytest.raises(NotFound, match="stores its events in postgresql, which nvsx does not read"):
        names(configmaps={"items": [config]})


def test_a_cluster_without_database_pods() -> None:
    with pytest.raises(NotFound, match="there is no pod of a database in nvsentinel"):
        asyncio.run(find_places(Answers(pods={"items": []}), "nvsentinel"))  # type: ignore[arg-type]
    starting = pod("mongodb-0", 1)
    starting["status"]["conditions"] = []
    with pytest.raises(NotFound, match="no pod of the database is ready in nvsentinel: mongodb-0"):
        asyncio.run(find_places(Answers(pods={"items": [starting]}), "nvsentinel"))  # type: ignore[arg-type]


# What is asked, and what is told of it


@pytest.mark.parametrize("operator", ["$where", "$function", "$accumulator", "$out", "$merge"])
def test_code_and_writes_are_refused(operator: str) -> None:
    with pytest.raises(Refused):
        checked({"a": [{"$and": [{operator: "1"}]}]})
    with pytest.raises(Refused):
        aggregate("d", "c", [{operator: "x"}], 1)


@pytest.mark.parametrize(
    ("uri", "request_uri"),
    [
        ("mongodb://h", "mongodb://h/?serverSelectionTimeoutMS=8000&"),
        ("mongodb://h/d", "mongodb://h/d?serverSelectionTimeoutMS=8000&"),
        ("mongodb://h/?tls=true", "mongodb://h/?tls=true&serverSelectionTimeoutMS=8000&"),
        ("mongodb://h/?serverselectiontimeoutms=1", "mongodb://h/?serverselectiontimeoutms=1&connectTimeoutMS=8000&"),
    ],
)
def test_deadlines_are_added_to_an_address(uri: str, request_uri: str) -> None:
    request = Place(uri=uri).request()
    assert (request["uri"] + request["options"]).startswith(request_uri)


def test_what_a_driver_could_not_split_is_hidden_too() -> None:
    uri = "mongodb://root:a/b@c@host/db"
    assert hidden(f"bad: {uri} a/b@c", secrets_of(uri)) == "bad: *** ***"
    assert "p%40ss" not in hidden("p%40ss p@ss", secrets_of("p@ss"))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"name": "MongoServerError", "code": 13, "message": "not authorized on X to execute command"}, "forbidden"),
        ({"name": "MongoServerError", "code": 50, "message": "operation exceeded time limit"}, "timed-out"),
        ({"name": "MongoServerError", "code": 13436, "message": "node is recovering"}, "unreachable"),
        ({"name": "MongoServerSelectionError", "message": "timed out", "why": "unable to verify the first certificate"},
         "tls-refused"),
        ({"name": "MongoNetworkError", "message": "connection 3 to 1.2.3.4:27017 closed"}, "unreachable"),
        ({"name": "MongoServerError", "code": 2, "message": "unknown operator: $x"}, "cluster"),
        ({}, "cluster"),
    ],
)  # fmt: skip
def test_classification(error: dict[str, Any], kind: str) -> None:
    found = classify_answer(error, command="mongosh")
    assert found.code == kind
    assert found.message


def test_a_password_is_not_taken_from_the_command_line() -> None:
    with pytest.raises(UsageError, match="can be read by every user"):
        split_flags(["list", "--mongo-uri", "mongodb://root:secret@h/"])
    assert split_flags(["--mongo-uri=mongodb://reader@h:27017/"])[0] == {"--mongo-uri": "mongodb://reader@h:27017/"}
