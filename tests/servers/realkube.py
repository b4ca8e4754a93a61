"""A real kube-apiserver on a real etcd, on loopback and for one test session; and a World mirrored into it.

No kubelets, schedulers or controllers: what a scenario writes is what is there, as in the simulator.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import time
from typing import TYPE_CHECKING, Any, Self

from nvsx.ports import ApiPath
from nvsx.sim.resources import CRDS
from tests.servers.kube import KubeServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nvsx.sim.resources import Resource
    from nvsx.sim.world import World

RECIPE = """no kube-apiserver and etcd here; these tests need both. Any of these makes them:
  setup-envtest use -p path            then set KUBEBUILDER_ASSETS to what it prints
  Debian: apt-get install etcd-server  and from the source package `kubernetes`: make WHAT=cmd/kube-apiserver
  Go: a module that requires k8s.io/kubernetes (with its staging modules replaced by their releases) and a main.go:
      func main() { os.Exit(cli.Run(app.NewAPIServerCommand())) }   from k8s.io/kubernetes/cmd/kube-apiserver/app
They are looked for in KUBEBUILDER_ASSETS and on PATH."""

PATIENCE_S = 60.0
READER_RULES = [
    {
        "apiGroups": ["", "apps", "batch", "apiextensions.k8s.io", "janitor.dgxc.nvidia.com"],
        "resources": ["*"],
        "verbs": ["get", "list", "watch"],
    }
]
_SERVER_SETS = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields")
_WITHOUT_STATUS = {"events", "configmaps", "secrets", "serviceaccounts", "leases", "customresourcedefinitions", "jobs"}
"""Kinds that have none, or whose status the server itself keeps or checks."""


def binaries() -> dict[str, str]:
    """Paths of etcd and kube-apiserver, as far as they are here."""
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    path = os.pathsep.join(filter(None, (assets, os.environ.get("PATH", ""))))
    found = {name: shutil.which(name, path=path) for name in ("etcd", "kube-apiserver")}
    return {name: where for name, where in found.items() if where}


class RealKube:
    """Starts both when entered and ends both. `env` is that of a user who may only read."""

    def __init__(self, directory: Path) -> None:
        self.kubeconfig = directory / "kubeconfig"
        self.context = "real"
        self._directory = directory
        self._token, self._admin = secrets.token_hex(16), secrets.token_hex(16)
        self._etcd, self._peer, self.port = _free_ports(3)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._connection: http.client.HTTPSConnection

    @property
    def env(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self._directory), "KUBECONFIG": str(self.kubeconfig)}

    @property
    def admin_env(self) -> dict[str, str]:
        """That of a user who may do everything."""
        return {**self.env, "KUBECONFIG": str(self._directory / "admin")}

    def __enter__(self) -> Self:
        try:
            self._start()
            self._wait_ready()
        except BaseException:
            self.__exit__()
            raise
        self._write_kubeconfig(self.kubeconfig, "nvsx", self._token)
        self._write_kubeconfig(self._directory / "admin", "admin", self._admin)
        self.grant(READER_RULES)
        return self

    def __exit__(self, *_: object) -> None:
        """End both, the server first."""
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def grant(self, rules: list[dict[str, Any]]) -> None:
        """What the reading user may do, and nothing else."""
        group = "rbac.authorization.k8s.io"
        metadata = {"name": "nvsx"}
        role = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules}
        reference: dict[str, Any] = {"apiGroup": group, "kind": "ClusterRole", "name": "nvsx"}
        subjects = [{"apiGroup": group, "kind": "User", "name": "nvsx"}]
        binding: dict[str, Any] = {"apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": metadata}
        binding |= {"roleRef": reference, "subjects": subjects}
        for plural, thing in (("clusterroles", role), ("clusterrolebindings", binding)):
            path = f"/apis/{group}/v1/{plural}"
            status, found = self.ask("PUT", f"{path}/nvsx", thing)
            if status == 404:
                self.must("POST", path, thing)
            else:
                assert status < 300, found

    def wait_until_forbidden(self, verb: str, resource: str) -> None:
        """Rights are cached for a moment."""
        spec = {"user": "nvsx", "resourceAttributes": {"verb": verb, "resource": resource}}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        deadline = time.monotonic() + PATIENCE_S
        while self.must("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)["status"]["allowed"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def ask(self, method: str, path: str, body: Any = None, form: str = "application/json") -> tuple[int, Any]:
        """Status and document of one request by the administrator."""
        headers = {"Authorization": f"Bearer {self._admin}", "Content-Type": form}
        data = None if body is None else json.dumps(body)
        for attempt in (1, 2):
            try:
                self._connection.request(method, path, data, headers)
                answer = self._connection.getresponse()
                text = answer.read()
                break
            except (http.client.HTTPException, ConnectionError):
                self._connection.close()
                if attempt == 2:
                    raise
        return answer.status, json.loads(text) if text.startswith(b"{") else text.decode()

    def must(self, method: str, path: str, body: Any = None, form: str = "application/json") -> Any:
        status, found = self.ask(method, path, body, form)
        assert status < 300, f"{method} {path}: {found}"
        return found

    # The cluster's content

    def create(self, resource: Resource, thing: dict[str, Any]) -> None:
        """Create an object, its status too; one that is there already is patched."""
        metadata = {key: value for key, value in thing["metadata"].items() if key not in _SERVER_SETS}
        if owners := metadata.get("ownerReferences"):
            metadata["ownerReferences"] = [owner for owner in owners if owner.get("uid")]
        manifest = {**thing, "metadata": metadata}
        if (resource.group, resource.plural) == CRDS:
            manifest = _with_schema(manifest)
        if resource.group in ("apps", "batch"):
            manifest = _with_template(manifest)
        status, found = self.ask("POST", _collection(resource, metadata.get("namespace", "")), manifest)
        assert status in (201, 409), f"{resource.plural} {metadata['name']}: {found}"
        if status == 409:
            self.patch(resource, metadata.get("namespace", ""), metadata["name"], {"metadata": metadata})
        if (resource.group, resource.plural) == CRDS:
            self._wait_served(thing["spec"])
        elif thing.get("status"):
            self.patch(resource, metadata.get("namespace", ""), metadata["name"], {"status": thing["status"]})

    def patch(self, resource: Resource, namespace: str, name: str, change: dict[str, Any]) -> None:
        """Apply a merge patch; its `status` by the way of its own."""
        path, form = f"{_collection(resource, namespace)}/{name}", "application/merge-patch+json"
        body = {key: value for key, value in change.items() if key not in ("status", "apiVersion", "kind")}
        if body:
            self.must("PATCH", path, body, form)
        if change.get("status") and resource.plural not in _WITHOUT_STATUS:
            self.must("PATCH", f"{path}/status", {"status": change["status"]}, form)

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
        self.must("DELETE", f"{_collection(resource, namespace)}/{name}", options)

    # Life

    def _start(self) -> None:
        programs, here = binaries(), self._directory
        tokens = here / "tokens"
        tokens.touch(mode=0o600)
        tokens.write_text(f'{self._admin},admin,1,"system:masters"\n{self._token},nvsx,2\n')
        key = here / "service-accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True, timeout=30)
        etcd, peer = f"http://127.0.0.1:{self._etcd}", f"http://127.0.0.1:{self._peer}"
        self._run(
            [programs["etcd"], f"--data-dir={here}/etcd", f"--listen-client-urls={etcd}",
             f"--advertise-client-urls={etcd}", f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
             f"--initial-cluster=default={peer}"],
            here / "etcd.log",
        )  # fmt: skip
        self._run(
            [programs["kube-apiserver"], f"--etcd-servers={etcd}", f"--secure-port={self.port}",
             "--bind-address=127.0.0.1", f"--cert-dir={here}/certs", f"--token-auth-file={tokens}",
             "--authorization-mode=RBAC", "--service-account-issuer=https://nvsx.test",
             f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
             "--service-cluster-ip-range=10.0.0.0/24", "--allow-privileged",
             # No controllers are here to make service accounts, or to take taints off new nodes.
             "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition"],
            here / "kube-apiserver.log",
        )  # fmt: skip

    def _run(self, argv: list[str], log: Path) -> None:
        with log.open("wb") as out:
            self._processes.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out))

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        certificate = self._directory / "certs" / "apiserver.crt"
        while time.monotonic() < deadline:
            ended = [process.args for process in self._processes if process.poll() is not None]
            assert not ended, f"ended: {ended}; see {self._directory}/*.log"
            if certificate.exists():
                tls = ssl.create_default_context(cafile=str(certificate))
                self._connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=tls)
                try:
                    if self.ask("GET", "/readyz")[0] == 200:
                        break
                except OSError:
                    pass
            time.sleep(0.2)
        else:
            raise AssertionError(f"not ready in {PATIENCE_S:g} s; see {self._directory}/*.log")
        while self.ask("GET", "/api/v1/namespaces/kube-system")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def _write_kubeconfig(self, path: Path, user: str, token: str) -> None:
        authority = str(self._directory / "certs" / "apiserver.crt")
        cluster = {"server": f"https://127.0.0.1:{self.port}", "certificate-authority": authority}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "real", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "real", "context": {"cluster": "real", "user": user}}],
            "current-context": "real",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))

    def _wait_served(self, spec: dict[str, Any]) -> None:
        path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
        deadline = time.monotonic() + PATIENCE_S
        while self.ask("GET", path)[0] != 200:
            assert time.monotonic() < deadline, f"{path} is not served"
            time.sleep(0.05)


class Mirror:
    """Writes what is in a World, and what happens in it, into a real cluster."""

    ORDER = ("namespaces", "customresourcedefinitions", "nodes")

    def __init__(self, world: World, real: RealKube) -> None:
        self._world = world
        self._real = real
        self._known: dict[tuple[str, str, str], dict[str, Any]] = {}

    def copy(self) -> None:
        """Everything that is there now."""
        resources = sorted(self._world.resources, key=lambda one: one.plural not in self.ORDER)
        resources.sort(key=lambda one: self.ORDER.index(one.plural) if one.plural in self.ORDER else len(self.ORDER))
        for resource in resources:
            for thing in self._world.held(_all_of(resource)):
                self._note(resource, thing)
                self._real.create(resource, thing)

    async def follow(self) -> None:
        """What happens from now on, until cancelled."""
        version = str(self._world.version)
        async with asyncio.TaskGroup() as group:
            for resource in self._world.resources:
                group.create_task(self._follow(resource, version))

    async def _follow(self, resource: Resource, version: str) -> None:
        watch = self._world.watch(_all_of(resource), version)
        while (event := await watch.next()) is not None:
            thing = event.object
            name, namespace = thing["metadata"]["name"], thing["metadata"].get("namespace", "")
            before = self._known.get((resource.plural, namespace, name), {})
            self._note(resource, thing)
            if event.kind == "DELETED":
                self._real.delete(resource, namespace, name)
            elif event.kind == "ADDED":
                self._real.create(resource, thing)
            else:
                change = difference(before, thing)
                for key in _SERVER_SETS:
                    change.get("metadata", {}).pop(key, None)
                self._real.patch(resource, namespace, name, {key: value for key, value in change.items() if value})

    def _note(self, resource: Resource, thing: dict[str, Any]) -> None:
        metadata = thing["metadata"]
        self._known[resource.plural, metadata.get("namespace", ""), metadata["name"]] = thing


class MirroredKube(KubeServer):
    """A scenario's cluster that is a real one: what happens in the World happens there. `simulated_env` leads to the
    simulator's own server, which shows the same.
    """

    def __init__(self, scenario: str, directory: Path, real: RealKube, *, speed: float = 1.0) -> None:
        super().__init__(scenario, directory, speed=speed)
        self._real = real
        self._mirror: Mirror
        self._following: asyncio.Task[None]

    @property
    def env(self) -> dict[str, str]:
        return self._real.env

    @property
    def admin_env(self) -> dict[str, str]:
        return self._real.admin_env

    @property
    def simulated_env(self) -> dict[str, str]:
        return super().env

    def __enter__(self) -> Self:
        super().__enter__()
        self._mirror = Mirror(self.world, self._real)

        def begin() -> None:
            self._mirror.copy()
            self._following = asyncio.get_running_loop().create_task(self._mirror.follow())

        self.do(begin)
        return self

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

        try:
            failed = self._following.exception() if self._following.done() else None
            self.run(end())
        finally:
            super().__exit__()
        assert failed is None, failed

    def forbid(self, *verbs: str, resource: str) -> Callable[[], None]:
        kept = [verb for verb in READER_RULES[0]["verbs"] if verb not in verbs]
        others = ["namespaces", "pods", "events", "configmaps", "secrets"]
        without = [{**READER_RULES[0], "resources": [one for one in others if one != resource]}]
        if kept:
            without.append({"apiGroups": [""], "resources": [resource], "verbs": kept})
        self._real.grant(without)
        self._real.wait_until_forbidden(verbs[0], resource)
        return lambda: self._real.grant(READER_RULES)


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The merge patch (RFC 7386) that leads from `before` to `after`."""
    patch: dict[str, Any] = dict.fromkeys(key for key in before if key not in after)
    for key, value in after.items():
        known = before.get(key)
        if isinstance(value, dict) and isinstance(known, dict):
            if inner := difference(known, value):
                patch[key] = inner
        elif key not in before or known != value:
            patch[key] = value
    return patch


def _all_of(resource: Resource) -> ApiPath:
    return ApiPath(resource.version, resource.plural, resource.group)


def _collection(resource: Resource, namespace: str) -> str:
    return _all_of(resource)._replace(namespace=namespace if resource.namespaced else "").url


def _with_schema(definition: dict[str, Any]) -> dict[str, Any]:
    """A definition as a real server takes it: it wants a schema, if only one that allows everything."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    spec = definition["spec"]
    versions = [{**version, "schema": version.get("schema") or schema} for version in spec["versions"]]
    kept = {key: value for key, value in definition.items() if key != "status"}
    return {**kept, "spec": {**spec, "versions": versions}}


def _with_template(workload: dict[str, Any]) -> dict[str, Any]:
    """A workload as a real server takes it: it wants to know its pods."""
    spec = {"selector": {"matchLabels": {"app": workload["metadata"]["name"]}}, **workload.get("spec", {})}
    labels = spec["selector"].get("matchLabels", {})
    given = spec.get("template", {})
    pods: dict[str, Any] = {"containers": [{"name": "main", "image": "registry.example/main:1"}]}
    if workload["kind"] == "Job":
        del spec["selector"]
        pods["restartPolicy"] = "Never"
    template = {"metadata": {"labels": labels}, **given, "spec": {**pods, **given.get("spec", {})}}
    return {**workload, "spec": {**spec, "template": template}}


def _free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports
