"""The kubectl context, resolved once and pinned for nvsx and everything it starts."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nvsx.cluster import processes
from nvsx.cluster.decoding import document
from nvsx.cluster.kube_errors import classify
from nvsx.cluster.verbs import read_only
from nvsx.errors import NoContext, NotInstalled, TimedOut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.clock import Clock

CONFIG_TIMEOUT_S = 15.0
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token"
PIN_FILE = "kubeconfig"
_CONFIG = ("config", "view", "-o", "json")


class Pinned(NamedTuple):
    """One cluster: the context's name ("" in a pod) and the environment in which every kubectl means it."""

    context: str
    env: dict[str, str]


async def pin_context(
    env: Mapping[str, str], *, directory: Path, clock: Clock, wanted: str = "", cwd: str = "/",
    program: str = "kubectl", service_account: str = SERVICE_ACCOUNT,
) -> Pinned:  # fmt: skip
    """Resolve `wanted` (else the current context) and pin it by a file in `directory`, which must be private.

    The pin holds only `current-context` and comes first in KUBECONFIG, where the first file wins: a later
    `kubectl config use-context` of somebody else changes nothing, and no credential is copied. Raises NoContext with
    the contexts there are, NotInstalled, TimedOut.
    """
    files = _kubeconfigs(env, cwd)
    if _in_pod(env, files, service_account):
        if wanted:
            hint = "run without --context (and without NVSX_CONTEXT)"
            raise NoContext(f"there is no context {wanted!r}: a pod has a service account instead", hint=hint)
        return Pinned("", dict(env))
    known, current = await known_contexts(env, clock, cwd, program)
    context = wanted or current
    choices = _choices(known)
    if not context:
        raise NoContext("kubectl has no current context", hint=choices, command=_asked(program))
    if context not in known:
        raise NoContext(f"there is no context {context!r}", hint=choices, command=_asked(program))
    pin = _write_pin(directory, context)
    return Pinned(context, {**env, "KUBECONFIG": os.pathsep.join(str(file) for file in (pin, *files))})


def _write_pin(directory: Path, context: str) -> Path:
    pin = directory / PIN_FILE
    pin.touch(mode=0o600)
    pin.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": context}) + "\n", "utf-8")
    return pin


def _kubeconfigs(env: Mapping[str, str], cwd: str) -> list[Path]:
    """kubectl's own rule, as absolute paths: what nvsx starts may have another working directory."""
    named = [Path(file) for file in env.get("KUBECONFIG", "").split(os.pathsep) if file]
    return [cwd / file for file in named or [Path(env.get("HOME", "/"), ".kube", "config")]]


def _in_pod(env: Mapping[str, str], files: list[Path], service_account: str) -> bool:
    """kubectl uses the service account where no kubeconfig says otherwise."""
    given = bool(env.get("KUBERNETES_SERVICE_HOST")) and Path(service_account).exists()
    return given and not any(file.exists() for file in files)


async def known_contexts(env: Mapping[str, str], clock: Clock, cwd: str, program: str) -> tuple[list[str], str]:
    """Names of all contexts, and the current one. `config view` shows no credentials and asks no server."""
    argv = [program, *read_only(_CONFIG)]
    command = _asked(program)
    try:
        answer = await processes.capture(argv, env=env, cwd=cwd, timeout_s=CONFIG_TIMEOUT_S, clock=clock)
    except processes.CannotStart as error:
        raise NotInstalled(error.message, hint=error.hint, command=command) from error
    if answer.timed_out:
        raise TimedOut(f"no answer within {CONFIG_TIMEOUT_S:.0f} s", hint=command, command=command)
    if answer.exit_code != 0:
        raise classify(answer.stderr.decode("utf-8", "replace"), command=command)
    config = document(answer.stdout, command)
    known = [str(one.get("name", "")) for one in config.get("contexts") or [] if isinstance(one, dict)]
    return known, str(config.get("current-context") or "")


def _asked(program: str) -> str:
    return shlex.join([program, *_CONFIG])


def _choices(known: list[str]) -> str:
    if not known:
        return "kubectl config get-contexts"
    return "one of: " + ", ".join(f"--context {shlex.quote(name)}" for name in sorted(known)[:12])
