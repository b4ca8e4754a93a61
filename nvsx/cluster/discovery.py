"""Which version of an API group to ask for, where a runbook names only the group."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nvsx.errors import ClusterError, NotFound

if TYPE_CHECKING:
    from nvsx.ports import ApiPath, Cluster, Object


class Versions:
    """The served version of each group, asked once and kept until a list finds the resource missing."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[tuple[str, str], str] = {}
        self._groups: dict[str, Object] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def resolve(self, path: ApiPath) -> ApiPath:
        """`path` with a version. ClusterError when the server cannot be asked or has no such group."""
        if path.version:
            return path
        if not path.group:
            return path._replace(version="v1")
        async with self._asking.setdefault(path.group, asyncio.Lock()):
            version = self._known.get((path.group, path.resource))
            if version is None:
                version = self._known[path.group, path.resource] = await self._ask(path)
        return path._replace(version=version)

    def not_served(self, path: ApiPath, error: ClusterError) -> ClusterError:
        """What to tell when the server answers `error` (not found) for `path`; it is asked again next time."""
        self._known.pop((path.group, path.resource), None)
        self._groups.pop(path.group, None)
        if not path.group:
            return error
        return NotFound(
            f"CRD {path.resource}.{path.group} is not installed",
            hint=f"kubectl get crd {path.resource}.{path.group}",
            command=error.command,
        )

    async def _ask(self, path: ApiPath) -> str:
        group = self._groups.get(path.group)
        try:
            if group is None:
                group = self._groups[path.group] = await self._cluster.get(f"/apis/{path.group}")
            preferred = str((group.get("preferredVersion") or {}).get("version", ""))
            others = [str(one.get("version", "")) for one in group.get("versions") or [] if isinstance(one, dict)]
            # A group's preferred version need not serve each of its resources; with one version there is no question.
            if len(others) > 1:
                for version in [preferred, *(other for other in others if other != preferred)]:
                    if await self._serves(path, version):
                        return version
        except NotFound as error:
            raise self.not_served(path, error) from error
        version = preferred or (others[0] if others else "")
        if not version:
            raise self.not_served(path, NotFound(f"API group {path.group} has no version"))
        return version

    async def _serves(self, path: ApiPath, version: str) -> bool:
        found = await self._cluster.get(f"/apis/{path.group}/{version}")
        return any(one.get("name") == path.resource for one in found.get("resources") or [] if isinstance(one, dict))
