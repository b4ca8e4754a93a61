"""The invariant as a table: what may be started, and what may not whatever it is called with."""

from __future__ import annotations

import pytest

from nvsx.cluster.verbs import read_only
from nvsx.errors import Refused

READS = [
    "get --raw /api/v1/nodes?watch=1",
    "get --raw /api/v1/nodes/proxy-node",
    "get pods -o json",
    "logs -f --namespace=ns p",
    "version -o json",
    "config view -o json",
    "config current-context",
    "config get-contexts -o name",
    "auth can-i list nodes",
    "exec -i --namespace=ns p --container=c -- mongosh --quiet",
    "exec --namespace=ns p -- /usr/bin/mongosh --eval 1",
]
WRITES = [
    "",
    "apply -f x",
    "delete node n",
    "create ns x",
    "patch node n",
    "label node n a=b",
    "annotate node n a=b",
    "cordon n",
    "uncordon n",
    "drain n",
    "taint node n a=b:NoSchedule",
    "edit node n",
    "replace -f x",
    "scale deploy x",
    "rollout restart x",
    "run x",
    "cp a b",
    "proxy",
    "port-forward p 1",
    "attach p",
    "debug node/n",
    "config use-context x",
    "config set a b",
    "config",
    "auth reconcile -f x",
    "certificate approve x",
    "set image x",
    "--context=x get pods",
    "get --raw /api/v1/nodes/n/proxy/run",
    "get --raw /api/v1/namespaces/ns/pods/p/exec?command=sh",
    "exec p -- sh",
    "exec p -- mongodump",
    "exec p -- mongoshell",
    "exec p mongosh",
    "exec p --",
    "GET pods",
]
SHELLS = [
    ('exec mongosh --quiet "mongodb://$HOST/" -p "$MONGODB_ROOT_PASSWORD" --eval "1"', True),
    ('exec /opt/bin/mongosh -p "${MONGODB_ROOT_PASSWORD}"', True),
    ("exec mongosh --eval 'while (true) { db.a.find({a: 1}); }\nquit()'", True),
    ("exec mongosh --eval 'a'; id", False),
    ("exec mongosh --eval 'a' (id)", False),
    ("exec mongosh --eval 'a\\'' ; id #'", True),
    ('exec mongosh "a" "b;c" --x="$A-${B}"', True),
    ('exec mongosh "a\\"; id"', False),
    ('exec mongosh "unfinished', False),
    ("exec mongosh {a,b}", True),
    ("exec mongosh \tx", False),
    ("exec mongosh # x", False),
    ("exec mongosh", True),
    ("mongosh", False),
    ("exec mongosh; rm -rf /", False),
    ("exec mongosh && kill 1", False),
    ("exec mongosh | sh", False),
    ("exec mongosh > /etc/x", False),
    ("exec mongosh $(id)", False),
    ("exec mongosh `id`", False),
    ('exec mongosh "$(id)"', False),
    ("exec mongosh $X", False),
    ("exec mongosh\nid", False),
    ("exec mongosh-evil", False),
]


@pytest.mark.parametrize("line", READS)
def test_read(line: str) -> None:
    assert list(read_only(line.split())) == line.split()


@pytest.mark.parametrize("line", WRITES)
def test_write(line: str) -> None:
    with pytest.raises(Refused, match="only reads"):
        read_only(line.split())


@pytest.mark.parametrize(("script", "allowed"), SHELLS)
@pytest.mark.parametrize("shell", ["sh", "bash", "/bin/sh"])
def test_shell_in_a_container(script: str, shell: str, allowed: bool) -> None:
    arguments = ["exec", "-i", "p", "--", shell, "-c", script]
    if allowed:
        assert read_only(arguments) == arguments
    else:
        with pytest.raises(Refused):
            read_only(arguments)
