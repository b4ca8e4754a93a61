"""Where the database is and how a mongosh gets in: an address of the user's own, or a pod that the cluster shows."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from nvsx.errors import ClusterError, Forbidden, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.ports import Cluster, Object

DATABASE, COLLECTION = "HealthEventsDatabase", "HealthEvents"
PORT = 27017
_CONFIG = "mongodb-config"
_EXTERNAL_CONFIG = re.compile(r".*-datastore-config")
_PERCONA_USERS = "internal-mongodb-users"

_OPTIONS = {
    "serverSelectionTimeoutMS": "8000",
    "connectTimeoutMS": "8000",
    "socketTimeoutMS": "60000",
    "appName": "nvsx",
}


class Names(NamedTuple):
    """What NVSentinel calls its things in the database, as its ConfigMap says, else its defaults."""

    database: str = DATABASE
    collection: str = COLLECTION


class Place(NamedTuple):
    """One way to a database. With `uri` the mongosh of this machine is used, otherwise that of a container.

    Paths are the container's; `variable` is the one in it that holds the password.
    """

    uri: str = ""
    namespace: str = ""
    pod: str = ""
    container: str = ""
    port: int = PORT
    user: str = ""
    password: str = ""
    variable: str = ""
    ca: str = ""
    pem: str = ""
    certificate: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"Place({self.text})"

    @property
    def text(self) -> str:
        """The place in words that hold no secret."""
        return f"pod {self.namespace}/{self.pod}" if self.pod else "the address given as NVSX_MONGO_URI or --mongo-uri"

    def request(self) -> dict[str, Any]:
        """What the program needs to connect."""
        options = "&".join(f"{name}={value}" for name, value in _OPTIONS.items())
        if self.uri:
            return {"act": "connect", "uri": _with_query(self.uri), "options": _missing_options(self.uri)}
        details = self._asdict()
        chosen = {name: details[name] for name in ("user", "password", "variable", "ca", "pem", "certificate", "key")}
        return {"act": "connect", **chosen, "address": f"127.0.0.1:{self.port}", "options": f"&{options}"}


BITNAMI = Place(
    container="mongodb", user="root", variable="MONGODB_ROOT_PASSWORD", ca="/certs/mongodb-ca-cert",
    pem="/certs/mongodb.pem",
)  # fmt: skip
PERCONA = Place(
    container="mongod", ca="/etc/mongodb-ssl-internal/ca.crt", certificate="/etc/mongodb-ssl-internal/tls.crt",
    key="/etc/mongodb-ssl-internal/tls.key",
)  # fmt: skip


def _with_query(uri: str) -> str:
    """The address, ready for more options behind it."""
    if "?" in uri:
        return uri
    scheme, separator, rest = uri.partition("://")
    return f"{uri}?" if "/" in rest or not separator else f"{scheme}://{rest}/?"


def _missing_options(uri: str) -> str:
    """nvsx's own deadlines, where the address does not say otherwise."""
    query = uri.partition("?")[2].lower()
    given = {part.partition("=")[0] for part in query.split("&")}
    wanted = [f"{name}={value}" for name, value in _OPTIONS.items() if name.lower() not in given]
    return ("&" if query and not query.endswith("&") else "") + "&".join(wanted)


def database_in(uri: str) -> str:
    """The database that an address names, "" where it names none."""
    try:
        return urlsplit(uri).path.strip("/")
    except ValueError:
        return ""


async def find_names(cluster: Cluster, namespace: str) -> Names:
    """Database and collection from NVSentinel's ConfigMap; the defaults where it has none or it may not be read.

    Raises NotFound when NVSentinel stores its events in PostgreSQL, and whatever else looking failed with.
    """
    try:
        listed = (await cluster.get(f"/api/v1/namespaces/{quote(namespace)}/configmaps")).get("items") or []
    except (Forbidden, NotFound):
        listed = []
        for name in (_CONFIG, f"{namespace}-datastore-config", "nvsentinel-datastore-config"):
            listed += await _config_map(cluster, namespace, name)
    found = {str((one.get("metadata") or {}).get("name", "")): one.get("data") or {} for one in listed}
    external = [data for name, data in sorted(found.items()) if _EXTERNAL_CONFIG.fullmatch(name)]
    data = next(iter(external), found.get(_CONFIG, {}))
    _refuse_postgresql(data, namespace)
    return Names(data.get("MONGODB_DATABASE_NAME") or DATABASE, data.get("MONGODB_COLLECTION_NAME") or COLLECTION)


async def _config_map(cluster: Cluster, namespace: str, name: str) -> list[Object]:
    try:
        return [await cluster.get(f"/api/v1/namespaces/{quote(namespace)}/configmaps/{quote(name)}")]
    except (Forbidden, NotFound):
        return []


def _refuse_postgresql(data: Mapping[str, Any], namespace: str) -> None:
    provider = str(data.get("DATASTORE_PROVIDER") or "mongodb")
    if provider != "mongodb":
        raise NotFound(
            f"NVSentinel in {namespace} stores its events in {provider}, which nvsx does not read",
            hint="watch the node instead: kinds node-condition and nvsentinel-state show every fault that cordons",
        )


async def find_places(cluster: Cluster, namespace: str) -> list[Place]:
    """The pods of the bundled database that run, Bitnami's or Percona's, each a way in of its own.

    NotFound when there is none: the database is outside of the cluster, or NVSentinel runs without one.
    """
    root = f"/api/v1/namespaces/{quote(namespace)}/pods?labelSelector="
    bitnami = await cluster.get(root + quote("app.kubernetes.io/name=mongodb,app.kubernetes.io/component=mongodb"))
    if pods := _running(bitnami):
        return [_placed(BITNAMI, pod) for pod in pods]
    percona = await cluster.get(
        root + quote("app.kubernetes.io/name=percona-server-mongodb,app.kubernetes.io/component=mongod")
    )
    if pods := _running(percona):
        user, password = await _percona_user(cluster, namespace)
        known = PERCONA._replace(user=user, password=password)
        return [_placed(known, pod) for pod in pods]
    waiting = [*_names(bitnami), *_names(percona)]
    if waiting:
        raise NotFound(
            f"no pod of the database is ready in {namespace}: {', '.join(waiting[:3])}",
            hint=f"kubectl -n {namespace} get pods {waiting[0]}",
        )
    raise NotFound(
        f"there is no pod of a database in {namespace}",
        hint="an external database is reached with NVSX_MONGO_URI; without one watch the node instead",
    )


def _placed(place: Place, pod: Object) -> Place:
    metadata, containers = pod.get("metadata") or {}, (pod.get("spec") or {}).get("containers") or []
    ports = [
        port.get("containerPort")
        for container in containers
        if container.get("name") == place.container
        for port in container.get("ports") or []
        if port.get("name", "mongodb") in ("mongodb", "mongo")
    ]
    port = next((one for one in ports if isinstance(one, int)), PORT)
    return place._replace(namespace=str(metadata.get("namespace", "")), pod=str(metadata.get("name", "")), port=port)


async def _percona_user(cluster: Cluster, namespace: str) -> tuple[str, str]:
    """The database's administrator from the operator's Secret; X.509 is not set up for clients there."""
    try:
        secret = await cluster.get(f"/api/v1/namespaces/{quote(namespace)}/secrets/{_PERCONA_USERS}")
        data = secret.get("data") or {}
        user, password = data["MONGODB_DATABASE_ADMIN_USER"], data["MONGODB_DATABASE_ADMIN_PASSWORD"]
        return base64.b64decode(user).decode(), base64.b64decode(password).decode()
    except (KeyError, ValueError) as error:
        raise ClusterError(
            f"the secret {namespace}/{_PERCONA_USERS} does not hold the database's administrator",
            hint=f"kubectl -n {namespace} describe secret {_PERCONA_USERS}",
        ) from error


def _running(listed: Object) -> list[Object]:
    return [pod for pod in listed.get("items") or [] if _is_ready(pod)]


def _is_ready(pod: Object) -> bool:
    status = pod.get("status") or {}
    return status.get("phase") == "Running" and any(
        one.get("type") == "Ready" and one.get("status") == "True" for one in status.get("conditions") or []
    )


def _names(listed: Object) -> list[str]:
    return [str((pod.get("metadata") or {}).get("name", "")) for pod in listed.get("items") or []]
