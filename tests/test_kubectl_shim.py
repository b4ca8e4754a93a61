"""The simulator's kubectl: kubectl's words and forms, byte for byte through a real shell."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvsx import documents
from nvsx.clock import SimulatedClock
from nvsx.sim import jsonpath
from nvsx.sim.faults import fault
from nvsx.sim.kubectl import Reply, answer
from nvsx.sim.kubectl_get import to_json
from nvsx.sim.shim import ShimServer
from nvsx.sim.tables import human_duration
from nvsx.sim.world import World, rfc3339
from nvsx.sim.yamltext import to_yaml

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nvsx.ports import Object

START = 1_787_306_400.0
KUBECTL = shutil.which("kubectl")


def crd(plural: str, kind: str, group: str) -> Object:
    names = {"plural": plural, "kind": kind, "shortNames": []}
    spec = {"group": group, "scope": "Cluster", "names": names, "versions": [{"name": "v1alpha1"}]}
    metadata = {"name": f"{plural}.{group}"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": spec,
    }


def node(name: str, **status: Any) -> Object:
    ready = [{"type": "Ready", "status": "True"}]
    metadata = {"name": name, "labels": {"gpu": "yes"}, "creationTimestamp": rfc3339(START - 20 * 86400)}
    shown = {"nodeInfo": {"kubeletVersion": "v1.34.1"}, "conditions": ready, **status}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {}, "status": shown}


def pod(name: str, namespace: str, phase: str = "Running", containers: tuple[str, ...] = ("main",)) -> Object:
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name[0]}}
    metadata["creationTimestamp"] = rfc3339(START - 3700)
    statuses = [{"name": container, "ready": phase == "Running", "restartCount": 2} for container in containers]
    spec = {"nodeName": "n1", "containers": [{"name": container} for container in containers]}
    status = {"phase": phase, "containerStatuses": statuses}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


@pytest.fixture
def world() -> World:
    world = World(SimulatedClock(start=START), context="lab")
    world.create(crd("rebootnodes", "RebootNode", "janitor.dgxc.nvidia.com"))
    world.create(node("n1"))
    world.create(node("n2"))
    world.patch(world.resources.named("nodes"), "n2", "", {"spec": {"unschedulable": True}})
    world.create(pod("a-0", "jobs"))
    world.create(pod("b-0", "jobs", "Succeeded", ("main", "side")))
    world.create(pod("a-1", "other"))
    for kind, name, stamp in (("RebootNode", "maintenance-n1-66f0", START - 60),):
        metadata = {"name": name, "creationTimestamp": rfc3339(stamp)}
        world.create({"apiVersion": "janitor.dgxc.nvidia.com/v1alpha1", "kind": kind, "metadata": metadata})
    involved = {"kind": "Node", "name": "n1"}
    times = {"firstTimestamp": rfc3339(START - 300), "lastTimestamp": rfc3339(START - 20), "count": 3}
    metadata = {"name": "n1.e", "namespace": "default"}
    event = {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "type": "NodeDraining", "reason": "Waiting"}
    world.create({**event, "message": "for a-0", "involvedObject": involved, **times})
    for number in range(12):
        world.logs.append("jobs", "a-0", f"line {number}", "main", START - 120 + number * 10)
    world.logs.append("jobs", "b-0", "from main", "main", START - 5)
    world.logs.append("jobs", "b-0", "from side", "side", START - 4)
    return world


def kubectl(world: World, *argv: str, stdin: bytes = b"") -> Reply:
    return asyncio.run(answer(world, argv, stdin))


def out(world: World, line: str, stdin: bytes = b"") -> str:
    """Stdout of a command that succeeds; words are split at blanks, quotes are not known."""
    reply = kubectl(world, *line.split(), stdin=stdin)
    assert (reply.code, reply.err) == (0, b""), reply
    return reply.out.decode()


TABLES = {
    "get nodes": """\
NAME   STATUS                     ROLES    AGE   VERSION
n1     Ready                      <none>   20d   v1.34.1
n2     Ready,SchedulingDisabled   <none>   20d   v1.34.1
""",
    "get no n1 --no-headers": "n1    Ready   <none>   20d   v1.34.1\n",
    "get pods -n jobs": """\
NAME   READY   STATUS      RESTARTS   AGE
a-0    1/1     Running     2          61m
b-0    0/2     Succeeded   4          61m
""",
    "get po -A -l app=a": """\
NAMESPACE   NAME   READY   STATUS    RESTARTS   AGE
jobs        a-0    1/1     Running   2          61m
other       a-1    1/1     Running   2          61m
""",
    "-n jobs get pods --field-selector=status.phase!=Running": """\
NAME   READY   STATUS      RESTARTS   AGE
b-0    0/2     Succeeded   4          61m
""",
    "get events": """\
LAST SEEN          TYPE           REASON    OBJECT    MESSAGE
20s (x3 over 5m)   NodeDraining   Waiting   node/n1   for a-0
""",
    "get rebootnodes.v1alpha1.janitor.dgxc.nvidia.com": """\
NAME                  AGE
maintenance-n1-66f0   60s
""",
    "get nodes -L gpu --show-labels": """\
NAME   STATUS                     ROLES    AGE   VERSION   GPU   LABELS
n1     Ready                      <none>   20d   v1.34.1   yes   gpu=yes
n2     Ready,SchedulingDisabled   <none>   20d   v1.34.1   yes   gpu=yes
""",
    "get nodes -o custom-columns=N:.metadata.name,CORDONED:.spec.unschedulable": """\
N     CORDONED
n1    <none>
n2    true
""",
    "get nodes --sort-by=.spec.unschedulable -o name": "node/n1\nnode/n2\n",
    "get rebootnode -o name": "rebootnode.janitor.dgxc.nvidia.com/maintenance-n1-66f0\n",
    "get nodes -ojsonpath={.items[*].metadata.name}": "n1 n2",
    "get node n1 -o jsonpath={.metadata.labels.gpu}": "yes",
    "get node/n1 node/n2 -o jsonpath={.items[1].spec.unschedulable}": "true",
    "config current-context": "lab\n",
    "auth can-i get pods": "yes\n",
    "version --client": "Client Version: v1.34.1\nKustomize Version: v5.7.1\n",
}


@pytest.mark.parametrize("line", TABLES)
def test_what_is_printed(world: World, line: str) -> None:
    assert out(world, line) == TABLES[line]


def test_json_of_one_and_of_many(world: World) -> None:
    one = out(world, "get node n1 -o json")
    assert json.loads(one) == world.get(world.resources.named("no"), "n1")
    assert one.startswith('{\n    "apiVersion": "v1",\n    "kind": "Node",\n')
    many = json.loads(out(world, "get node n1 n2 -o json"))
    assert (many["kind"], many["apiVersion"], many["metadata"]) == ("List", "v1", {"resourceVersion": ""})
    assert [item["metadata"]["name"] for item in many["items"]] == ["n1", "n2"]
    assert len(json.loads(out(world, "get nodes -l gpu=no -o json"))["items"]) == 0
    assert documents.read_yaml(out(world, "get node n1 -o yaml"), "x").data == json.loads(one)


def test_raw_paths(world: World) -> None:
    listed = json.loads(out(world, "get --raw /api/v1/nodes?fieldSelector=metadata.name%3Dn1"))
    assert listed["metadata"]["resourceVersion"] == str(world.version)
    assert [item["metadata"]["name"] for item in listed["items"]] == ["n1"]
    assert json.loads(out(world, "get --raw /apis"))["kind"] == "APIGroupList"


REFUSED = {
    "get node nope": 'Error from server (NotFound): nodes "nope" not found',
    "get rebootnode nope": 'Error from server (NotFound): rebootnodes.janitor.dgxc.nvidia.com "nope" not found',
    "get foos": 'error: the server doesn\'t have a resource type "foos"',
    "get pods x -l a=b": "error: name cannot be provided when a selector is specified",
    "get pods x -A": "error: a resource cannot be retrieved by name across all namespaces",
    "get nodes --field-selector spec.foo=1": "Error from server (BadRequest): field label not supported: spec.foo",
    "get pods --bogus": "error: unknown flag: --bogus\nSee 'kubectl get --help' for usage.",
    "get pods -Z": "error: unknown shorthand flag: 'Z' in -Z\nSee 'kubectl get --help' for usage.",
    "get pods -n": "error: flag needs an argument: 'n' in -n\nSee 'kubectl get --help' for usage.",
    "--context other get pods": 'error: context "other" does not exist',
    "logs nope -n jobs": 'Error from server (NotFound): pods "nope" not found',
    "logs a-0 -n jobs -c nope": "error: container nope is not valid for pod a-0",
    "get --raw /apis/nope/v1": "Error from server (NotFound): the server could not find the requested resource",
    "label node n1 gpu=no": "error: 'gpu' already has a value (yes), and --overwrite is false",
    "delete node": "error: resource(s) were provided, but no name was specified",
}
NOT_DONE = {
    "top nodes": "top",
    "exec a-0 -- ls": "exec",
    "drain n1": "drain",
    "get pods -w": "get --watch",
    "get pods -o go-template={{.x}}": "get -o go-template",
    "get pods,nodes": "get pods,nodes",
    "get --raw /api/v1/nodes?watch=1": "get --raw with watch",
    "logs -f a-0": "logs --follow",
    "logs --previous a-0": "logs --previous",
    "wait --for=condition=Ready node/n1": "wait",
    "create namespace x": "create namespace",
    "delete pods --all": "delete --all",
    "annotate --dry-run=client node n1 a=b": "annotate --dry-run",
    "patch node n1 --type=json -p [{}]": "patch --type json",
    'patch node n1 -p {"spec":{"taints":[]}}': "patch --type strategic with lists",
    "": "nothing at all",
}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        *REFUSED.items(),
        *((line, f'error: the simulator\'s kubectl does not do "{what}"') for line, what in NOT_DONE.items()),
    ],
)
def test_what_is_refused(world: World, line: str, message: str) -> None:
    before = world.version
    assert kubectl(world, *line.split()) == Reply(1, b"", f"{message}\n".encode())
    assert world.version == before


def test_nothing_found_is_said_on_stderr(world: World) -> None:
    assert kubectl(world, "get", "pods", "-n", "empty") == Reply(0, b"", b"No resources found in empty namespace.\n")
    assert kubectl(world, "get", "pods", "-A", "-l", "x=y") == Reply(0, b"", b"No resources found\n")
    assert kubectl(world, "get", "nodes", "-l", "x=y") == Reply(0, b"", b"No resources found\n")
    assert kubectl(world, "get", "node", "x", "--ignore-not-found") == Reply(0, b"", b"")
    reply = kubectl(world, "get", "node", "n1", "x", "-o", "name")
    assert reply == Reply(1, b"node/n1\n", b'Error from server (NotFound): nodes "x" not found\n')


def test_logs(world: World) -> None:
    assert out(world, "logs a-0 -n jobs --tail=2") == "line 10\nline 11\n"
    assert out(world, "logs a-0 -n jobs --since=25s") == "line 10\nline 11\n"
    assert out(world, "logs -l app=a -n jobs").count("\n") == 10
    assert out(world, "logs b-0 -n jobs -c side") == "from side\n"
    assert out(world, "logs pod/b-0 -n jobs --all-containers --prefix") == (
        "[pod/b-0/main] from main\n[pod/b-0/side] from side\n"
    )
    assert out(world, "logs b-0 side -n jobs --timestamps") == "2026-08-21T09:59:56.000000000Z from side\n"
    reply = kubectl(world, "logs", "b-0", "-n", "jobs")
    assert reply == Reply(0, b"from main\n", b'Defaulted container "main" out of: main, side\n')
    assert kubectl(world, "logs", "-l", "x=y", "-n", "jobs").err == b"No resources found in jobs namespace.\n"


def test_describe_says_what_operators_look_for(world: World) -> None:
    text = out(world, "describe node n2")
    assert "Unschedulable:       true\n" in text
    assert "a-0" in out(world, "describe node n1")
    assert "Waiting" in out(world, "describe nodes n1")


def test_writes(world: World) -> None:
    nodes = world.resources.named("nodes")
    assert out(world, "annotate node n1 a=b c=d") == "node/n1 annotated\n"
    assert out(world, "annotate node n1 a- --overwrite") == "node/n1 annotated\n"
    assert world.get(nodes, "n1")["metadata"]["annotations"] == {"c": "d"}
    assert out(world, "label nodes -l gpu=yes team=x") == "node/n1 labeled\nnode/n2 labeled\n"
    assert out(world, "cordon n1") == "node/n1 cordoned\n"
    assert world.get(nodes, "n1")["spec"]["taints"][0]["key"] == "node.kubernetes.io/unschedulable"
    assert out(world, "cordon node/n1") == "node/n1 already cordoned\n"
    assert out(world, "uncordon n1 n2") == "node/n1 uncordoned\nnode/n2 uncordoned\n"
    assert world.get(nodes, "n1")["spec"] == {}
    assert out(world, "taint nodes n1 gpu=bad:NoSchedule") == "node/n1 tainted\n"
    assert out(world, "taint nodes n1 gpu-") == "node/n1 untainted\n"
    assert out(world, 'patch node n1 --type=merge -p {"spec":{"unschedulable":true}}') == "node/n1 patched\n"
    assert out(world, 'patch node n1 -p {"spec":{"unschedulable":true}}') == "node/n1 patched (no change)\n"
    assert out(world, "delete pod a-0 -n jobs") == 'pod "a-0" deleted from jobs namespace\n'
    assert out(world, "delete rebootnode/maintenance-n1-66f0") == (
        'rebootnode.janitor.dgxc.nvidia.com "maintenance-n1-66f0" deleted\n'
    )
    manifest = (
        b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndata:\n  k: 'v'\n---\n"
        + json.dumps(
            {"apiVersion": "janitor.dgxc.nvidia.com/v1alpha1", "kind": "RebootNode", "metadata": {"name": "r"}}
        ).encode()
    )
    made = "configmap/x created\nrebootnode.janitor.dgxc.nvidia.com/r created\n"
    assert out(world, "apply -f - -n jobs", manifest) == made
    assert out(world, "apply -f - -n jobs", manifest) == made.replace("created", "unchanged")
    changed = out(world, "apply -f - -n jobs", manifest.replace(b"'v'", b"w"))
    assert changed.splitlines()[0] == "configmap/x configured"
    reply = kubectl(world, "create", "-f", "-", "-n", "jobs", stdin=manifest)
    assert reply.err == b'Error from server (AlreadyExists): configmaps "x" already exists\n'


FAULTS = {
    "unreachable": "The connection to the server 10.128.0.2:443 was refused - did you specify the right host or port?",
    "unauthorized": "error: You must be logged in to the server (Unauthorized)",
    "forbidden": 'Error from server (Forbidden): pods is forbidden: User "nvsx@simulated" cannot list resource "pods" '
    'in API group "" in the namespace "jobs"',
    "timeout": "Unable to connect to the server: net/http: request canceled (Client.Timeout)",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_of_the_world_is_printed_as_kubectl_would(world: World, kind: str) -> None:
    fault(world, {"kind": kind}).begin()
    assert kubectl(world, "get", "pods", "-n", "jobs") == Reply(1, b"", f"{FAULTS[kind]}\n".encode())


def test_auth_can_i_knows_what_is_forbidden(world: World) -> None:
    fault(world, {"kind": "forbidden", "verbs": ["watch"], "resources": ["nodes"]}).begin()
    assert kubectl(world, "auth", "can-i", "watch", "nodes") == Reply(1, b"no\n", b"")
    assert kubectl(world, "auth", "can-i", "list", "nodes").out == b"yes\n"


# The printers, against kubectl itself where there is one

STRANGE = {
    "plain": "aaaa bbbb", "number": "1.5", "exp": "1e3", "hex": "0x1f", "bool": "true", "null": "null", "tilde": "~",
    "empty": "", "colon": "a: b", "url": "http://a/b?c=d#e", "hash": "#x", "tail": "x ", "lead": " x", "dash": "-",
    "item": "- x", "quote": "it's", "double": 'say "hi"', "lines": "a\nb\n", "open": "a\nb", "tab": "a\tb",
    "json": '[{"a":1,"b":"c"}]', "star": "*x", "percent": "%x", "at": "@x", "date": "2026-08-21", "yes": "yes",
    "html": "<a&b>", "uni": "é→",
    "stamp": "2026-08-21T10:00:00Z", "under": "1_000", "long": " ".join(["word"] * 40), "comma": "a, b", "n": "n",
}  # fmt: skip


def real_print(thing: Object, form: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """What a real kubectl prints of an object, without any server."""
    file = directory / "thing.json"
    file.write_text(json.dumps(thing), encoding="utf-8")
    assert KUBECTL
    argv = [KUBECTL, "annotate", "--local", "-f", str(file), "z=1", "-o", form]
    home = {"HOME": str(directory), "KUBECONFIG": "/dev/null", "PATH": "/usr/bin:/bin"}
    return subprocess.run(argv, capture_output=True, text=True, env=home, check=False, timeout=30)


def strange(**data: str) -> Object:
    metadata = {"name": "x", "labels": {"a": "b", "n": "1"}, "annotations": {"z": "1"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or STRANGE}


@pytest.mark.skipif(not KUBECTL, reason="no kubectl on this machine")
def test_json_and_yaml_as_kubectl_prints_them(tmp_path: Path) -> None:
    thing = strange()
    assert to_yaml(thing) == real_print(thing, "yaml", tmp_path).stdout
    assert to_json(thing) == real_print(thing, "json", tmp_path).stdout


PATHS = (
    "{.metadata.name}",
    "{.metadata}",
    "{.data.nope}|{.metadata.annotations.*}",
    "{range .metadata.annotations.*}[{@}]{end}{'\\n'}",
    '{.metadata.name}{"\\t"}{.kind}{"\\n"}',
    "{..name}",
    "{.metadata.labels['a','n']}",
    "{.data.html}{.data.json}",
    "{.metadata.labels.a}\\n",
    "{$.kind}",
    "text alone",
)


@pytest.mark.skipif(not KUBECTL, reason="no kubectl on this machine")
@pytest.mark.parametrize("template", PATHS)
def test_jsonpath_as_kubectl_prints_it(template: str, tmp_path: Path) -> None:
    thing = strange()
    real = real_print(thing, f"jsonpath={template}", tmp_path)
    assert real.returncode == 0, real.stderr
    assert jsonpath.fill(template, thing) == real.stdout


LIST = {"items": [{"n": "a", "v": 1, "t": [{"k": "x.y"}]}, {"n": "b", "v": 2}], "m": {"x.y/z": "dotted"}}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.items[*].n}", "a b"),
        ("{.items[-1].n}", "b"),
        ("{.items[0:1].n}", "a"),
        ('{.items[?(@.n=="b")].v}', "2"),
        ("{.items[?(@.v>1)].n}", "b"),
        ("{.items[?(@.t)].n}", "a"),
        ("{.items[?(@.n!='b')].v}", "1"),
        (r"{.m.x\.y/z}", "dotted"),
        ("{.m['x.y/z']}", "dotted"),
        ('{range .items[*]}{.n}={.v}{"\\n"}{end}', "a=1\nb=2\n"),
        ('{range .items[*]}{range .t[*]}{.k}{end}{";"}{end}', "x.y;;"),
        ("{.items[0]}", '{"n":"a","t":[{"k":"x.y"}],"v":1}'),
        ("{.nope.deeper[3].x}", ""),
    ],
)
def test_jsonpath(template: str, text: str) -> None:
    assert jsonpath.fill(template, LIST) == text


@pytest.mark.parametrize("template", ["{.a", "{range .a}", "{end}", "{.a[x]}", "{.items[5]}", "{.a}}{", "{!}", '{"x}'])
def test_jsonpath_errors(template: str) -> None:
    with pytest.raises(jsonpath.JsonPathError):
        jsonpath.fill(template, LIST)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=200))
def test_yaml_reads_back_as_what_it_was(text: str) -> None:
    import yaml

    thing = {"a": [text, {"k": text}], "n": {"b": True, "i": 1, "none": None, "l": [], "m": {}}}
    assert yaml.safe_load(to_yaml(thing)) == thing


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (600, "10m"), (3 * 3600, "3h"), (3 * 3600 + 60, "3h1m"),
        (8 * 3600 + 60, "8h"), (26 * 3600, "26h"), (50 * 3600, "2d2h"), (20 * 86400, "20d"), (800 * 86400, "2y70d"),
    ],
)  # fmt: skip
def test_ages(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


# The program on the PATH


def in_shell(
    world: World, directory: Path, script: Callable[[ShimServer, dict[str, str]], Awaitable[None]]
) -> ShimServer:
    async def main() -> ShimServer:
        async with ShimServer(world, directory) as shim:
            environment = {**shim.env, "PATH": f"{shim.bin_dir}:{os.environ['PATH']}"}
            await script(shim, environment)
        return shim

    return asyncio.run(main())


async def bash(script: str, environment: dict[str, str]) -> tuple[int | None, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    told = await process.communicate()
    return process.returncode, *told


def test_bash_gets_every_byte_and_the_exit_status(world: World, tmp_path: Path) -> None:
    big = "".join(chr(0x20 + number % 90) for number in range(300_000)) + "é\t→"
    world.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}, "data": {"k": big}})

    async def script(shim: ShimServer, environment: dict[str, str]) -> None:
        code, text, _ = await bash("kubectl get cm big -o jsonpath='{.data.k}'", environment)
        assert (code, text.decode()) == (0, big)
        code, text, errors = await bash("kubectl get node nope; echo status $?; command -v kubectl", environment)
        assert errors == b'Error from server (NotFound): nodes "nope" not found\n'
        assert text.decode() == f"status 1\n{shim.bin_dir}/kubectl\n"
        code, text, errors = await bash("set -o pipefail; kubectl get cm big -o json | head -c 1", environment)
        assert (text, errors) == (b"{", b"")
        code, text, _ = await bash(
            'kubectl get pods -n jobs -o name | while read -r p; do echo "<$p>"; done', environment
        )
        assert text == b"<pod/a-0>\n<pod/b-0>\n"
        await bash(
            'printf \'%s\' \'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"é"}}\' | kubectl apply -f -',
            environment,
        )
        assert world.get(world.resources.named("cm"), "é", "default")
        await bash("kubectl annotate node n1 'note=a  b\"c' \"e=$(printf 'x\\ny')\"", environment)
        assert world.get(world.resources.named("no"), "n1")["metadata"]["annotations"] == {
            "note": 'a  b"c',
            "e": "x\ny",
        }

    shim = in_shell(world, tmp_path / "shim", script)
    assert shim.calls[1] == ("get", "node", "nope")


def test_concurrent_calls_do_not_mix(world: World, tmp_path: Path) -> None:
    for number in range(24):
        data = {"k": f"{number}-" * 4000}
        world.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number}"}, "data": data})

    async def script(shim: ShimServer, environment: dict[str, str]) -> None:
        async def one(number: int) -> None:
            _, text, _ = await bash(f"kubectl get cm c{number} -o jsonpath='{{.data.k}}'", environment)
            assert text.decode() == f"{number}-" * 4000

        await asyncio.gather(*(one(number) for number in range(24)))

    in_shell(world, tmp_path / "shim", script)


def test_a_long_directory_and_one_with_blanks_and_quotes(world: World, tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 90) / "with 'quotes' and $blanks"

    async def script(shim: ShimServer, environment: dict[str, str]) -> None:
        code, text, errors = await bash("kubectl get no n1 -o name", environment)
        assert (code, text, errors) == (0, b"node/n1\n", b"")

    in_shell(world, directory, script)


def test_after_the_end_nothing_answers(world: World, tmp_path: Path) -> None:
    async def script(shim: ShimServer, environment: dict[str, str]) -> None:
        pass

    shim = in_shell(world, tmp_path / "shim", script)
    done = subprocess.run([shim.bin_dir / "kubectl", "get", "nodes"], capture_output=True, check=False, timeout=20)
    assert done.returncode == 1
    assert done.stderr.startswith(b"The connection to the server simulator was refused")
    assert not list((tmp_path / "shim").glob("socket"))


def test_a_hung_server_keeps_a_script_waiting_and_a_killed_script_harms_nobody(world: World, tmp_path: Path) -> None:
    async def script(shim: ShimServer, environment: dict[str, str]) -> None:
        trouble = fault(world, {"kind": "hang"})
        trouble.begin()
        process = await asyncio.create_subprocess_exec("kubectl", "get", "nodes", env=environment)
        while not shim.calls:
            await asyncio.sleep(0.01)
        process.kill()
        await process.wait()
        waiting = asyncio.create_task(bash("kubectl get nodes -o name", environment))
        while len(shim.calls) < 2:
            await asyncio.sleep(0.01)
        assert not waiting.done()
        trouble.end()
        assert (await waiting)[1] == b"node/n1\nnode/n2\n"

    in_shell(world, tmp_path / "shim", script)


def test_the_program_is_private_and_leads_to_no_real_cluster(world: World, tmp_path: Path) -> None:
    async def script(shim: ShimServer, environment: dict[str, str]) -> None:
        directory = tmp_path / "shim"
        assert directory.stat().st_mode & 0o777 == 0o700
        assert (directory / "socket").stat().st_mode & 0o777 == 0o600
        config = json.loads(Path(environment["KUBECONFIG"]).read_text(encoding="utf-8"))
        assert config["current-context"] == "lab"
        assert config["clusters"][0]["cluster"]["server"].startswith("http://127.0.0.1")
        assert f"{sys.executable} -I -S" in (shim.bin_dir / "kubectl").read_text(encoding="utf-8")

    in_shell(world, tmp_path / "shim", script)
