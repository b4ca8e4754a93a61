#!/usr/bin/env bash
# Forwards the dashboards of the cluster (Grafana, Prometheus, Alertmanager) to this machine's loopback until Ctrl-C.
# Changes nothing in the cluster. Ports: GRAFANA_PORT, PROMETHEUS_PORT, ALERTMANAGER_PORT.
set -uo pipefail

declare -A port=(
    [grafana]=${GRAFANA_PORT:-3000} [prometheus]=${PROMETHEUS_PORT:-9090} [alertmanager]=${ALERTMANAGER_PORT:-9093}
)
names='app.kubernetes.io/name in (grafana,prometheus,alertmanager)'
columns='{range .items[*]}{.metadata.labels.app\.kubernetes\.io/name}{" "}{.metadata.namespace}{" "}'
columns+='{.metadata.name}{" "}{.spec.ports[0].port}{"\n"}{end}'

trap 'jobs -p | xargs -r kill 2>/dev/null; wait' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if ! services=$(kubectl get services --all-namespaces -l "$names" -o jsonpath="$columns"); then
    echo "the services of the cluster could not be listed" >&2
    exit 1
fi
if [[ -z $services ]]; then
    echo "no service of this cluster is labelled $names" >&2
    exit 1
fi

declare -A taken=()
while read -r name namespace service remote; do
    [[ -z ${taken[$name]:-} ]] || continue # headless twins and second instances: the first one is shown
    taken[$name]=1
    local_port=${port[$name]}
    kubectl port-forward --address 127.0.0.1 -n "$namespace" "service/$service" "$local_port:$remote" >/dev/null &
    printf '%-13s http://127.0.0.1:%s  (%s/%s)\n' "$name" "$local_port" "$namespace" "$service"
done <<<"$services"

echo "Ctrl-C ends it"
# One that ends (its pod is gone, its port is taken) has said why on stderr; the others go on.
wait
echo "every port-forward has ended" >&2
exit 1
