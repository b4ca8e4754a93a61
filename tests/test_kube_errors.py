"""kubectl's complaints as it prints them (several versions), and what nvsx makes of them."""

from __future__ import annotations

import pytest

from nvsx import errors
from nvsx.cluster.kube_errors import classify, from_status, last_word

MEMCACHE = (
    'E1124 10:11:12.131415   42 memcache.go:265] "Unhandled Error" err="couldn\'t get current server API group list:'
    ' Get \\"https://10.0.0.1:6443/api?timeout=32s\\": dial tcp 10.0.0.1:6443: connect: connection refused"\n'
)

COMPLAINTS = [
    ('Error from server (NotFound): nodes "n1" not found\n', errors.NotFound, 'nodes "n1" not found'),
    (
        "Error from server (NotFound): the server could not find the requested resource\n",
        errors.NotFound,
        "the server could not find the requested resource",
    ),
    ('error: the server doesn\'t have a resource type "foos"\n', errors.NotFound, "resource type"),
    (
        'Error from server (Forbidden): nodes is forbidden: User "eve" cannot list resource "nodes" in API group ""'
        " at the cluster scope\n",
        errors.Forbidden,
        "nodes is forbidden",
    ),
    ("error: You must be logged in to the server (Unauthorized)\n", errors.Unauthorized, "logged in"),
    ("error: You must be logged in to the server (the server has asked for credentials)\n", errors.Unauthorized, "You"),
    ("Unable to connect to the server: getting credentials: exec: fork/exec denied\n", errors.Unauthorized, "exec"),
    (
        "Unable to connect to the server: getting credentials: exec: executable gke-gcloud-auth-plugin not found\n",
        errors.NotInstalled,
        "gke-gcloud-auth-plugin",
    ),
    (
        "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?\n",
        errors.Unreachable,
        "was refused",
    ),
    (MEMCACHE * 5 + "The connection to the server 10.0.0.1:6443 was refused\n", errors.Unreachable, "The connection"),
    (MEMCACHE, errors.Unreachable, "Unhandled Error"),
    (
        "Unable to connect to the server: dial tcp: lookup api.example: no such host\n",
        errors.Unreachable,
        "no such host",
    ),
    ("Unable to connect to the server: dial tcp 10.0.0.1:6443: i/o timeout\n", errors.Unreachable, "i/o timeout"),
    ("Unable to connect to the server: net/http: TLS handshake timeout\n", errors.Unreachable, "TLS"),
    (
        "Unable to connect to the server: context deadline exceeded (Client.Timeout exceeded while awaiting headers)\n",
        errors.TimedOut,
        "Client.Timeout",
    ),
    ("Error from server (Timeout): the server was unable to return a response\n", errors.TimedOut, "unable"),
    ("Unable to connect to the server: x509: certificate signed by unknown authority\n", errors.TlsRefused, "x509"),
    ("Error from server (InternalError): an error on the server\n", errors.Unreachable, "an error on the server"),
    ("Error from server (TooManyRequests): slow down\n", errors.Unreachable, "slow down"),
    ("Error from server (ServiceUnavailable): apiserver not ready\n", errors.Unreachable, "apiserver not ready"),
    ("Error from server (Expired): The resourceVersion for the provided list is too old\n", errors.Expired, "too old"),
    ("Error from server (Gone): too old resource version: 1 (2)\n", errors.Expired, "too old"),
    ('error: context "prod" does not exist\n', errors.NoContext, "prod"),
    ("error: current-context is not set\n", errors.NoContext, "current-context"),
    ("error: no configuration has been provided, try setting KUBERNETES_MASTER\n", errors.NoContext, "KUBERNETES"),
    ("Warning: v1 ComponentStatus is deprecated\nerror: unknown flag: --raw\n", errors.ClusterError, "unknown flag"),
    ("error: stream ended: unexpected EOF\n", errors.Unreachable, "unexpected EOF"),
    ("", errors.ClusterError, "without a word"),
    ("command terminated with exit code 1\n", errors.ClusterError, "exit code 1"),
]


@pytest.mark.parametrize(("stderr", "kind", "fact"), COMPLAINTS)
def test_complaint(stderr: str, kind: type[errors.ClusterError], fact: str) -> None:
    error = classify(stderr, command="kubectl get --raw /api")
    assert type(error) is kind
    assert fact in error.message
    assert not error.message.startswith(("error:", "Error from server"))
    assert error.hint
    assert error.command == "kubectl get --raw /api"


def test_what_is_forbidden_becomes_a_question_to_paste() -> None:
    error = classify(
        'Error from server (Forbidden): rebootnodes.janitor.example is forbidden: User "eve" cannot watch resource'
        ' "rebootnodes" in API group "janitor.example" in the namespace "ns"',
        command="c",
        kubectl="kubectl --context=prod",
    )
    assert error.hint == "kubectl --context=prod auth can-i watch rebootnodes.janitor.example --namespace=ns"


def test_a_node_whose_name_looks_like_an_error_does_not_confuse() -> None:
    error = classify('Error from server (NotFound): nodes "forbidden-x509" not found', command="c")
    assert type(error) is errors.NotFound


STATUSES = [
    (401, errors.Unauthorized), (403, errors.Forbidden), (404, errors.NotFound), (410, errors.Expired),
    (429, errors.Unreachable), (500, errors.Unreachable), (504, errors.TimedOut), (418, errors.ClusterError),
    ("410", errors.ClusterError), (None, errors.ClusterError),
]  # fmt: skip


@pytest.mark.parametrize(("code", "kind"), STATUSES)
def test_status(code: object, kind: type[errors.ClusterError]) -> None:
    error = from_status({"kind": "Status", "code": code, "message": "because"}, command="c")
    assert type(error) is kind
    assert error.message == "because"


def test_last_word() -> None:
    assert last_word("one\ntwo\n\nWarning: three\n") == "two"
    assert last_word("Warning: only\n") == "Warning: only"
    assert last_word("\n") == ""
