"""`kubectl exec` through the real kubectl, WebSocket and SPDY: the road to a database in a pod."""

from __future__ import annotations

import asyncio
import os
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest

from nvsx.clock import RealClock
from nvsx.cluster.context import pin_context
from nvsx.cluster.kubectl import Kubectl
from nvsx.errors import ClusterError, Forbidden
from nvsx.healthevents import from_document
from nvsx.mongo.places import BITNAMI
from nvsx.sim.faults import fault
from tests.servers.exec import Exec
from tests.servers.kube import KubeServer, kubectls
from tests.servers.mongo import MongoServer
from tests.test_healthevents import DOCUMENT, EVENT
from tests.test_mongo import PASSWORD, SECRETS, authority, needs_mongosh, opened, strict_tls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import trustme

__all__ = ["authority"]
pytestmark = pytest.mark.skipif(not kubectls(), reason="no kubectl on PATH")
TRAIN = ("--namespace=default", "train-0", "--")


@pytest.fixture
def container() -> Exec:
    return Exec({"PATH": os.environ["PATH"], "HOME": "/", "MONGODB_ROOT_PASSWORD": PASSWORD})


@pytest.fixture
def kube(tmp_path: Path, container: Exec) -> Iterator[KubeServer]:
    with KubeServer("quiet", tmp_path, upgrade=container) as kube:
        yield kube


@pytest.fixture(params=[pytest.param(path, id=path.strip("/").replace("/", "-")) for path in kubectls()])
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(program: str, kube: KubeServer, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [program, "exec", *words]
    return subprocess.run(command, env=kube.env, input=stdin, capture_output=True, text=True, timeout=30)


def test_channels_and_exit_codes(program: str, kube: KubeServer, container: Exec) -> None:
    done = run(program, kube, *TRAIN, "sh", "-c", "echo $HOME; echo trouble >&2; exit 3")
    assert (done.returncode, done.stdout) == (3, "/\n")
    assert done.stderr.startswith("trouble\n")
    text = "a line of stdin\n" * 20_000
    done = run(program, kube, "-i", *TRAIN, "cat", stdin=text)
    assert (done.returncode, done.stdout) == (0, text)
    assert "executable file not found" in run(program, kube, *TRAIN, "nope").stderr
    assert 'pods "nobody" not found' in run(program, kube, "nobody", "--", "true").stderr
    assert set(container.spoken) in ({"websocket"}, {"spdy/3.1"})


async def cluster_of(kube: KubeServer, program: str) -> Kubectl:
    home = kube.kubeconfig.parent / "pin"
    home.mkdir(mode=0o700, exist_ok=True)
    pinned = await pin_context(kube.env, directory=home, clock=RealClock(), program=program)
    return Kubectl(env=pinned.env, clock=RealClock(), context=pinned.context, program=program)


@needs_mongosh
def test_a_database_in_a_pod(
    program: str, kube: KubeServer, container: Exec, authority: tuple[trustme.CA, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates, folder = authority
    place = BITNAMI._replace(ca=f"{folder}/ca.crt", pem=f"{folder}/mongodb.pem")
    monkeypatch.setattr("nvsx.mongo.places.BITNAMI", place)
    tls = strict_tls(certificates, "mongodb-0.mongodb-headless.nvsentinel.svc.cluster.local")
    stored = {"HealthEventsDatabase": {"HealthEvents": [DOCUMENT]}}
    with MongoServer(stored, user="root", password=PASSWORD, tls=tls, secondary=True) as server:
        ports = [{"name": "mongodb", "ports": [{"name": "mongodb", "containerPort": server.port}]}]
        pods = kube.world.resources.named("pods")
        for name in ("mongodb-0", "mongodb-1", "mongodb-2"):
            kube.do(partial(kube.world.patch, pods, name, "nvsentinel", {"spec": {"containers": ports}}))

        async def story() -> None:
            async with opened(await cluster_of(kube, program)) as mongo:
                for _ in range(3):
                    (found,) = await mongo.find("", {})
                    assert from_document(found) == EVENT
                assert mongo.place == "pod nvsentinel/mongodb-0"

        asyncio.run(story())
    (argv,) = container.asked
    assert argv[0] == "mongosh"
    assert not [secret for secret in SECRETS if secret in " ".join(argv)]


@needs_mongosh
def test_a_container_that_may_not_be_entered(program: str, kube: KubeServer) -> None:
    kube.do(lambda: fault(kube.world, {"kind": "forbidden", "verbs": ["exec"]}).begin())

    async def story() -> ClusterError:
        async with opened(await cluster_of(kube, program)) as mongo:
            with pytest.raises(ClusterError) as caught:
                await mongo.find("", {})
            return caught.value

    error = asyncio.run(story())
    assert isinstance(error, Forbidden), repr(error)
