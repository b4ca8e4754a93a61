"""Files for Kubernetes: one replica with its ledger on a volume, and rights to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.rights import EVERYWHERE, INSTALLATION, READS, Right

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_VERBS = ("get", "list", "watch", "create")
_READ_VERBS = frozenset({"get", "list", "watch"})
_NAMES = {"secrets": "internal-mongodb-users"}
"""Resources of which one object is enough."""

DATABASE = (Right("", "secrets", ("get",), INSTALLATION, "how Percona's database is opened"),)
"""What goes with mongosh in the database's pod, and is nobody's to grant without a thought."""

_HEAD = """\
# nvsx VERSION for Kubernetes. Read it, then: nvsx manifest kubernetes | kubectl apply -f -
#
# The image holds kubectl, the hooks' programs (bash, curl), nvsx.pyz and your project. For example:
#
#   FROM python:3.13-slim
#   RUN apt-get update && apt-get install -y --no-install-recommends bash curl && rm -rf /var/lib/apt/lists/*
#   COPY --from=registry.k8s.io/kubectl:v1.33.0 /bin/kubectl /usr/local/bin/kubectl
#   COPY --chmod=0755 nvsx.pyz /usr/local/bin/nvsx.pyz
#   COPY runbooks /srv/nvsx/runbooks
#   COPY scripts /srv/nvsx/scripts
#
# and nvsx.yaml where there is one, but not nvsx.env. Secrets come by reference, and are yours to make as soon as the
# namespace is there; the pod waits for the first of them:
#
#   kubectl -n nvsx create secret generic nvsx-webhook --from-file=token=webhook-token
#   kubectl -n nvsx create secret generic nvsx-hooks --from-literal=SLACK_WEBHOOK_URL=…
apiVersion: v1
kind: Namespace
metadata:
  name: nvsx
  labels:
    pod-security.kubernetes.io/enforce: restricted
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: nvsx
  namespace: nvsx
"""

_RIGHTS_NOTE = """\
# Reads only: nvsx changes nothing in a cluster. A runbook whose action.script does needs a Role of its own for that.
"""

_WORKLOAD = """\
---
# The ledger. It must be a disk: nvsx refuses a network file system, on which no lock can be relied upon.
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: nvsx-state
  namespace: nvsx
spec:
  accessModes: [ReadWriteOnce]
  resources:
    requests:
      storage: 2Gi
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: nvsx
  namespace: nvsx
  labels:
    app.kubernetes.io/name: nvsx
spec:
  replicas: 1 # one ledger, one nvsx: Kubernetes starts it elsewhere when its machine dies, and it goes on from there
  strategy:
    type: Recreate
  selector:
    matchLabels:
      app.kubernetes.io/name: nvsx
  template:
    metadata:
      labels:
        app.kubernetes.io/name: nvsx
    spec:
      serviceAccountName: nvsx
      terminationGracePeriodSeconds: 60 # hooks have 30 s to end, and the ledger is closed after them
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        fsGroup: 10001
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: nvsx
          image: IMAGE
          command:
            - /usr/local/bin/nvsx.pyz
          args:
            - serve
            - --mode=both
            - --host=0.0.0.0
            - --port=8080
            - --project=/srv/nvsx
            - --state-dir=/var/lib/nvsx
            - --namespace=NVSENTINEL
            - --token-file=/etc/nvsx/webhook/token
            - --output=jsonl
          env:
            - name: HOME
              value: /tmp
          envFrom:
            # Variables for hooks, and NVSX_MONGO_URI where the database is asked directly.
            - secretRef:
                name: nvsx-hooks
                optional: true
          ports:
            - name: http
              containerPort: 8080
          startupProbe:
            httpGet:
              path: /healthz
              port: http
            periodSeconds: 2
            failureThreshold: 60
          livenessProbe:
            httpGet:
              path: /healthz
              port: http
            periodSeconds: 20
            timeoutSeconds: 5
          readinessProbe:
            httpGet:
              path: /readyz
              port: http
            periodSeconds: 5
            timeoutSeconds: 5
          resources:
            requests:
              cpu: 100m
              memory: 256Mi
            limits:
              memory: 1Gi # nvsx itself stays below 200 MB; each kubectl that it starts takes 50 MB, mongosh 150 MB
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
          volumeMounts:
            - name: state
              mountPath: /var/lib/nvsx
            - name: webhook
              mountPath: /etc/nvsx/webhook
              readOnly: true
            - name: tmp
              mountPath: /tmp
      volumes:
        - name: state
          persistentVolumeClaim:
            claimName: nvsx-state
        - name: webhook
          secret:
            secretName: nvsx-webhook
            defaultMode: 0440
        - name: tmp
          emptyDir: {}
---
apiVersion: v1
kind: Service
metadata:
  name: nvsx
  namespace: nvsx
spec:
  selector:
    app.kubernetes.io/name: nvsx
  ports:
    - name: http
      port: 8080
      targetPort: http
"""


def kubernetes(namespace: str, image: str, runbooks: Iterable[Right], version: str) -> str:
    """All objects as one YAML stream; `namespace` is NVSentinel's, `runbooks` what the project's watches read."""
    roles = _roles(namespace, [*READS, *runbooks])
    head = _HEAD.replace("VERSION", version)
    everywhere = _RIGHTS_NOTE + _role("ClusterRole", "", roles.pop(EVERYWHERE))
    parts = [_role("Role", where, rights, namespace) for where, rights in sorted(roles.items())]
    return "---\n".join([head, everywhere, *parts]) + _WORKLOAD.replace("NVSENTINEL", namespace).replace("IMAGE", image)


def _roles(namespace: str, rights: Iterable[Right]) -> dict[str, list[Right]]:
    """Rights by the namespace that they are for; each once, and none that holds everywhere anyway."""
    found: dict[tuple[str, str, str], Right] = {}
    for right in rights:
        where = namespace if right.scope == INSTALLATION else right.scope
        key = (where, right.group, right.resource)
        known = found.get(key, right)
        verbs = tuple(verb for verb in _VERBS if verb in {*known.verbs, *right.verbs})
        found[key] = known._replace(scope=where, verbs=verbs)
    roles: dict[str, list[Right]] = {}
    for (where, group, resource), right in found.items():
        general = found.get((EVERYWHERE, group, resource))
        if not where or general is None or not set(right.verbs) <= set(general.verbs):
            roles.setdefault(where, []).append(right)
    return roles


def _role(kind: str, namespace: str, rights: Sequence[Right], installation: str = "") -> str:
    """A role and its binding. Rights that are more than reads stand in it as comments, for whoever needs them."""
    place = [f"  namespace: {namespace}"] if namespace else []
    lines = ["apiVersion: rbac.authorization.k8s.io/v1", f"kind: {kind}", "metadata:", "  name: nvsx-read", *place]
    lines.append("rules:")
    more = [*DATABASE] if namespace and namespace == installation else []
    reads = [right for right in rights if set(right.verbs) <= _READ_VERBS]
    lines += _rules(reads)
    more[:0] = [right for right in rights if right not in reads]
    if more:
        lines.append("  # To ask the database through its own pod, without NVSX_MONGO_URI. It is more than reading:")
        lines += [f"  # {line[2:]}" for line in _rules(more)]
    lines += [
        "---",
        "apiVersion: rbac.authorization.k8s.io/v1",
        f"kind: {kind}Binding",
        "metadata:",
        "  name: nvsx-read",
        *place,
        "roleRef:",
        "  apiGroup: rbac.authorization.k8s.io",
        f"  kind: {kind}",
        "  name: nvsx-read",
        "subjects:",
        "  - kind: ServiceAccount",
        "    name: nvsx",
        "    namespace: nvsx",
    ]
    return "\n".join(lines) + "\n"


def _rules(rights: Iterable[Right]) -> Iterator[str]:
    """The rules; what has the same reason and the same verbs stands together."""
    together: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
    for right in rights:
        together.setdefault((right.group, right.verbs, right.why), []).append(right.resource)
    for (group, verbs, why), resources in together.items():
        yield f'  - apiGroups: ["{group}"] # {why}'
        yield f"    resources: [{', '.join(resources)}]"
        if resources[0] in _NAMES:
            yield f"    resourceNames: [{_NAMES[resources[0]]}]"
        yield f"    verbs: [{', '.join(verbs)}]"
