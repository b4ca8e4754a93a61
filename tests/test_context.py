"""Which context is pinned, where there is none, and what a lying kubectl does to that."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.clock import RealClock
from nvsx.cluster.context import Pinned, pin_context
from nvsx.errors import ClusterError, Garbled, NoContext, NotInstalled
from tests.test_kubectl import Fake

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = {"contexts": [{"name": "arn:aws:eks/x", "context": {}}, {"name": "b"}], "current-context": "b"}


def pin(env: dict[str, str], directory: Path, **more: Any) -> Pinned:
    return asyncio.run(pin_context(env, directory=directory, clock=RealClock(), **more))


def test_the_pin_comes_first_and_paths_become_absolute(tmp_path: Path) -> None:
    fake = Fake(tmp_path)
    fake.says({"stdout": json.dumps(CONFIG)})
    pinned = pin({**fake.env, "KUBECONFIG": "one::/etc/two"}, tmp_path, wanted="arn:aws:eks/x", cwd="/srv")
    assert pinned.context == "arn:aws:eks/x"
    assert pinned.env["KUBECONFIG"].split(os.pathsep) == [str(tmp_path / "kubeconfig"), "/srv/one", "/etc/two"]
    assert json.loads((tmp_path / "kubeconfig").read_text()) == {
        "apiVersion": "v1", "kind": "Config", "current-context": "arn:aws:eks/x",
    }  # fmt: skip
    pinned = pin(fake.env, tmp_path)
    assert pinned.context == "b"
    assert pinned.env["KUBECONFIG"].endswith(f":{tmp_path}/.kube/config")
    assert fake.calls == ["config view -o json"] * 2


def test_in_a_pod_there_is_nothing_to_pin(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch()
    env = {"HOME": str(tmp_path), "PATH": "", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert pin(env, tmp_path, service_account=str(token)) == ("", env)
    assert not (tmp_path / "kubeconfig").exists()
    with pytest.raises(NoContext, match="service account"):
        pin(env, tmp_path, service_account=str(token), wanted="b")
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").touch()
    with pytest.raises(NotInstalled):
        pin(env, tmp_path, service_account=str(token))


LIES = [
    ({"stdout": "{}"}, NoContext),
    ({"stdout": json.dumps({"contexts": None, "current-context": ""})}, NoContext),
    ({"stdout": json.dumps({**CONFIG, "current-context": "gone"})}, NoContext),
    ({"stdout": "<html>"}, Garbled),
    ({"stdout": json.dumps(CONFIG), "stderr": "error: error loading config file\n", "code": 1}, NoContext),
    ({"code": 1}, ClusterError),
]


@pytest.mark.parametrize(("rule", "kind"), LIES)
def test_lies(tmp_path: Path, rule: dict[str, Any], kind: type[ClusterError]) -> None:
    fake = Fake(tmp_path)
    fake.says(rule)
    with pytest.raises(ClusterError) as caught:
        pin(fake.env, tmp_path)
    assert type(caught.value) is kind
    assert caught.value.hint
