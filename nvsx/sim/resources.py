"""The resource types that the simulated API server knows: a fixed table, and whatever CRD objects add to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nvsx.ports import Object


class Resource(NamedTuple):
    """One resource type. `short` are its short names; `group` is "" for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    short: tuple[str, ...] = ()

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The name in messages: `nodes`, `rebootnodes.janitor.dgxc.nvidia.com`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


BUILT_IN = (
    Resource("", "v1", "nodes", "Node", False, ("no",)),
    Resource("", "v1", "namespaces", "Namespace", False, ("ns",)),
    Resource("", "v1", "pods", "Pod", True, ("po",)),
    Resource("", "v1", "events", "Event", True, ("ev",)),
    Resource("", "v1", "configmaps", "ConfigMap", True, ("cm",)),
    Resource("", "v1", "secrets", "Secret", True),
    Resource("", "v1", "services", "Service", True, ("svc",)),
    Resource("", "v1", "serviceaccounts", "ServiceAccount", True, ("sa",)),
    Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", True, ("pvc",)),
    Resource("apps", "v1", "deployments", "Deployment", True, ("deploy",)),
    Resource("apps", "v1", "daemonsets", "DaemonSet", True, ("ds",)),
    Resource("apps", "v1", "statefulsets", "StatefulSet", True, ("sts",)),
    Resource("batch", "v1", "jobs", "Job", True),
    Resource("coordination.k8s.io", "v1", "leases", "Lease", True),
    Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", False),
    Resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", False),
    Resource("rbac.authorization.k8s.io", "v1", "roles", "Role", True),
    Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", True),
    Resource(
        "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False, ("crd", "crds")
    ),
)

CRDS = ("apiextensions.k8s.io", "customresourcedefinitions")


class Catalog:
    """Every resource type of one world, by the names that clients use."""

    def __init__(self) -> None:
        self._known: tuple[Resource, ...] = BUILT_IN

    def learn(self, definitions: Iterable[Object]) -> None:
        """Replace the custom types with those that these CRD objects define."""
        custom = [resource for definition in definitions for resource in _defined(definition)]
        self._known = (*BUILT_IN, *custom)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._known)

    def groups(self) -> dict[str, list[str]]:
        """Named API groups with their versions, the preferred one first."""
        found: dict[str, list[str]] = {}
        for resource in self._known:
            if resource.group and resource.version not in found.setdefault(resource.group, []):
                found[resource.group].append(resource.version)
        return found

    def at(self, group: str, version: str, plural: str) -> Resource:
        """The type that a raw path names; an empty `version` means the preferred one."""
        for resource in self._known:
            if (resource.group, resource.plural) == (group, plural) and version in ("", resource.version):
                return resource
        raise NotFound("the server could not find the requested resource")

    def of(self, thing: Object) -> Resource:
        """The type of a manifest."""
        api_version, kind = thing.get("apiVersion", ""), thing.get("kind", "")
        for resource in self._known:
            if (resource.api_version, resource.kind) == (api_version, kind):
                return resource
        raise NotFound(f'no matches for kind "{kind}" in version "{api_version}"')

    def named(self, word: str) -> Resource:
        """The type that a user's word names: plural, singular, short name, `plural.group`, `plural.version.group`."""
        wanted, _, rest = word.lower().partition(".")
        for resource in self._known:
            homes = ("", resource.group, f"{resource.version}.{resource.group}")
            if wanted in (resource.plural, resource.singular, *resource.short) and rest in homes:
                return resource
        raise NotFound(f'the server doesn\'t have a resource type "{word.partition(".")[0]}"')


def _defined(definition: Object) -> list[Resource]:
    spec = definition["spec"]
    names = spec["names"]
    return [
        Resource(
            spec["group"],
            version["name"],
            names["plural"],
            names["kind"],
            spec.get("scope") == "Namespaced",
            tuple(names.get("shortNames", ())),
        )
        for version in spec["versions"]
        if version.get("served", True)
    ]
