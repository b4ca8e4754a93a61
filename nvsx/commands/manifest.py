"""`nvsx manifest`: prints what deploys nvsx with cron, systemd or Kubernetes. It applies nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.errors import Exit
from nvsx.terminal import say

if TYPE_CHECKING:
    import argparse

    from nvsx.app.manifests.host import Host
    from nvsx.rights import Right
    from nvsx.settings import Settings

TARGETS = ("cron", "systemd", "kubernetes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", choices=TARGETS, help="what keeps nvsx running")
    parser.add_argument("--image", metavar="IMAGE", help="kubernetes: the container image (default nvsx:VERSION)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    if args.image and args.target != "kubernetes":
        from nvsx.arguments import usage_error

        usage_error("--image goes with kubernetes only", hint=f"nvsx manifest {args.target}")
    say(_text(args.target, args.image, settings).rstrip("\n"))
    return Exit.DONE


def _text(target: str, image: str | None, settings: Settings) -> str:
    if target == "kubernetes":
        from nvsx import __version__
        from nvsx.app.manifests.kubernetes import kubernetes

        named = _checked(image or f"nvsx:{__version__}")
        return kubernetes(settings.namespace, named, _read_by_runbooks(settings), __version__)
    from nvsx.app.manifests.host import cron, systemd

    return (cron if target == "cron" else systemd)(_host(settings))


def _read_by_runbooks(settings: Settings) -> list[Right]:
    """What the runbooks at hand watch; one that is broken has no say, and lint says why."""
    from nvsx.catalog import Catalog
    from nvsx.doctor.reading import of_runbooks
    from nvsx.errors import NvsxError

    catalog = Catalog.for_settings(settings)
    runbooks = []
    for name in catalog.names():
        try:
            runbooks.append(catalog.load(name))
        except NvsxError:
            continue
    return list(of_runbooks(runbooks, settings.namespace))


def _host(settings: Settings) -> Host:
    import shutil
    from pathlib import Path

    from nvsx import assets
    from nvsx.app.manifests.host import FALLBACK_PROGRAM, FALLBACK_PROJECT, Host

    kubectl = shutil.which("kubectl")
    return Host(
        program=str(assets.location()) if assets.layout() == "archive" else FALLBACK_PROGRAM,
        project=str(settings.project or FALLBACK_PROJECT),
        state_dir=str(settings.state_dir),
        tools=str(Path(kubectl).parent) if kubectl else "",
    )


def _checked(image: str) -> str:
    import re

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*", image):
        from nvsx.arguments import usage_error

        usage_error(f"{image!r} cannot be an image", hint="nvsx manifest kubernetes --image registry.example/nvsx:1")
    return image
