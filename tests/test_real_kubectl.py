"""The kubectl door with a real kubectl against the least of an API server: the flags exist, the framing is right."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.clock import RealClock
from nvsx.cluster.context import pin_context
from nvsx.cluster.kubectl import Kubectl
from nvsx.cluster.view import View
from nvsx.errors import Expired, Forbidden, NoContext, NotFound, Unreachable
from nvsx.ports import ApiPath, LogLine
from tests.fakes.api import Api

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nvsx.ports import Seen

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH")
NODES = ApiPath("v1", "nodes")


def node(name: str, version: int = 1) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "resourceVersion": str(version), "uid": name},
    }


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as api:
        yield api


@pytest.fixture
def env(api: Api, tmp_path: Path) -> dict[str, str]:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "right",
        "clusters": [
            {"name": "c", "cluster": {"server": api.url}},
            {"name": "d", "cluster": {"server": "http://127.0.0.1:9"}},
        ],
        "users": [{"name": "u", "user": {"token": "t0p-secret"}}],
        "contexts": [
            {"name": "right", "context": {"cluster": "c", "user": "u"}},
            {"name": "wrong", "context": {"cluster": "d", "user": "u"}},
        ],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": "config"}


@pytest.fixture
def kubectl(env: dict[str, str], tmp_path: Path) -> Kubectl:
    pinned = pin(env, tmp_path)
    return Kubectl(env=pinned.env, clock=RealClock(), context=pinned.context)


def pin(env: dict[str, str], home: Path, wanted: str = "") -> Any:
    private = home / "private"
    private.mkdir(exist_ok=True)
    return asyncio.run(pin_context(env, directory=private, clock=RealClock(), cwd=str(home), wanted=wanted))


def test_reads(api: Api, kubectl: Kubectl) -> None:
    api.nodes = [node(name) for name in "abcde"]

    async def main() -> None:
        assert await kubectl.identity() == "uid-1"
        listing = await kubectl.list(NODES)
        assert [found["metadata"]["name"] for found in listing.objects] == list("abcde")
        assert listing.version == "5"
        assert (await kubectl.get("/version"))["minor"] == "32"
        with pytest.raises(NotFound):
            await kubectl.list(ApiPath("v1", "things", "g.example"))
        api.statuses["/api/v1/nodes"] = 403
        with pytest.raises(Forbidden):
            await kubectl.list(NODES)

    asyncio.run(main())
    assert "/api/v1/nodes?continue=2&limit=500&timeout=15s" in api.asked


def test_a_watch_and_how_it_ends(api: Api, kubectl: Kubectl) -> None:
    added = {"type": "ADDED", "object": node("a", 6)}
    expired = {"kind": "Status", "code": 410, "message": "too old resource version"}

    async def watch() -> list[str]:
        names = []
        async with aclosing(kubectl.watch(NODES, "5")) as events:  # type: ignore[type-var]
            async for event in events:
                names.append(event.object["metadata"]["name"])  # noqa: PERF401
        return names

    api.events = [added]
    assert asyncio.run(watch()) == ["a"]
    assert "/api/v1/nodes?allowWatchBookmarks=true&resourceVersion=5&watch=1" in api.asked
    api.events = [added, {"type": "ERROR", "object": expired}]
    with pytest.raises(Expired):
        asyncio.run(watch())
    api.statuses["/api/v1/nodes"] = 410
    with pytest.raises(Expired):
        asyncio.run(watch())


def test_logs(api: Api, kubectl: Kubectl) -> None:
    async def logs(**which: str) -> list[LogLine]:
        return [line async for line in kubectl.logs("ns", since=1795514399.0, **which)]

    expected = [LogLine("ns/p", "XID 79", 1795514400.5), LogLine("ns/p", "done", 1795514401.0)]
    assert asyncio.run(logs(pod="p")) == expected
    assert asyncio.run(logs(selector="app=x")) == expected
    with pytest.raises(NotFound):
        asyncio.run(logs(pod="q"))
    api.statuses["/api/v1/namespaces/ns/pods/p/log"] = 403
    for which in ({"pod": "p"}, {"selector": "app=x"}):
        with pytest.raises(Forbidden):
            asyncio.run(logs(**which))


def test_a_view_of_it(api: Api, kubectl: Kubectl) -> None:
    api.nodes = [node("a")]
    api.events = [{"type": "MODIFIED", "object": node("a", 6)}, "hold"]
    told: list[str] = []

    async def main() -> None:
        view = View(kubectl, RealClock(), rng=random.Random(1))
        done = asyncio.Event()

        def on_change(seen: Seen) -> None:
            told.append(seen.objects["a"]["metadata"]["resourceVersion"])
            if told[-1] == "6":
                done.set()

        view.subscribe(NODES, on_change)
        await asyncio.wait_for(done.wait(), 20)
        await view.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert told == ["1", "1", "6"]


def test_nobody_listens(env: dict[str, str], tmp_path: Path) -> None:
    pinned = pin(env, tmp_path, "wrong")
    with pytest.raises(Unreachable) as caught:
        asyncio.run(Kubectl(env=pinned.env, clock=RealClock(), context="wrong").list(NODES))
    assert caught.value.hint == "kubectl --context=wrong get --raw /readyz"


def test_the_context_is_pinned_whatever_somebody_selects_later(
    api: Api, env: dict[str, str], kubectl: Kubectl, tmp_path: Path
) -> None:
    file = tmp_path / "config"
    file.write_text(file.read_text().replace('"current-context": "right"', '"current-context": "wrong"'))
    assert asyncio.run(kubectl.identity()) == "uid-1"
    pin_file = tmp_path / "private" / "kubeconfig"
    assert "t0p-secret" not in pin_file.read_text()
    assert pin_file.stat().st_mode & 0o777 == 0o600
    assert pin(env, tmp_path).context == "wrong"


def test_no_such_context(env: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(NoContext, match="there is no context 'x'") as caught:
        pin(env, tmp_path, "x")
    assert caught.value.hint == "one of: --context right, --context wrong"
    with pytest.raises(NoContext, match="no current context"):
        pin({**env, "KUBECONFIG": "absent"}, tmp_path)
