"""The real kubectl for scripts of a rehearsal, led to the simulator's API server whatever they say."""

from __future__ import annotations

import os
import shlex
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from nvsx.cluster import processes
from nvsx.sim.apiserver import ApiServer

if TYPE_CHECKING:
    from os import PathLike
    from types import TracebackType

    from nvsx.clock import Clock
    from nvsx.sim.hold import Hold
    from nvsx.sim.world import World

PATIENCE_S = 10.0
"""A kubectl that needs longer for its first answer is not used."""

REFUSED = 77

# Its own cache and no preferences: nothing of the user's is read, and nothing is left in his home directory.
_WRAPPER = """#!/bin/sh
# The real kubectl, on the simulated cluster only. Written by nvsx.
for word do
  case $word in
    --) break ;;
    --kubeconfig|--kubeconfig=*|--server|--server=*|-s|-s?*)
      echo "nvsx: refused: kubectl $word: a rehearsal reaches the simulated cluster only" >&2
      exit {refused} ;;
  esac
done
KUBECONFIG={config} KUBERC=off KUBECTL_KUBERC=false exec {program} --cache-dir={cache} "$@"
"""


class RealKubectl:
    """`program`, a kubectl, answers for `world` while this is entered; `bin_dir` and `env` as `ShimServer` has them.

    `hold` is the network of the rehearsal's own in which scripts look for the server, where there is one.
    """

    def __init__(self, world: World, directory: str | PathLike[str], program: str, hold: Hold | None = None) -> None:
        self._directory = Path(directory).absolute()
        self._program = program
        self._server = ApiServer(world, listening=hold.listening if hold else None)
        self._prefix = hold.prefix if hold else []
        self._stack = AsyncExitStack()

    @property
    def bin_dir(self) -> Path:
        return self._directory / "bin"

    @property
    def env(self) -> dict[str, str]:
        return {"KUBECONFIG": str(self._directory / "kubeconfig")}

    async def __aenter__(self) -> RealKubectl:
        self.bin_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self._stack.enter_async_context(self._server)
        self._server.write_kubeconfig(Path(self.env["KUBECONFIG"]))
        text = _WRAPPER.format(
            refused=REFUSED,
            config=shlex.quote(self.env["KUBECONFIG"]),
            cache=shlex.quote(str(self._directory / "cache")),
            program=shlex.quote(self._program),
        )
        wrapper = self.bin_dir / "kubectl"
        wrapper.write_text(text, encoding="utf-8", errors="surrogateescape")
        wrapper.chmod(0o700)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def answers(self, clock: Clock) -> bool:
        """Whether this kubectl works at all: some are stubs, some too old, some want to ask somebody else first."""
        argv = [*self._prefix, str(self.bin_dir / "kubectl"), "get", "--raw", "/readyz"]
        env = {"PATH": os.defpath, "HOME": str(self._directory)}
        try:
            said = await processes.capture(argv, env=env, cwd="/", timeout_s=PATIENCE_S, clock=clock)
        except processes.CannotStart:
            return False
        return said.exit_code == 0 and said.stdout == b"ok"
