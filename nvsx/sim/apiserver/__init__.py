"""The simulator's API server; see `nvsx.sim.apiserver.server`."""

from __future__ import annotations

from nvsx.sim.apiserver.server import ApiServer

__all__ = ["ApiServer"]
