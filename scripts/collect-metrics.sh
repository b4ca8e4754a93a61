#!/usr/bin/env bash
# Collects the evidence of one incident into $NVSX_ARTIFACT_DIR, with at most eight kubectl calls, all of them reads.
# A collector that fails is noted in collect.log and stops none of the others.
set -uo pipefail

: "${NVSX_ARTIFACT_DIR:?is set by nvsx}" "${NVSX_TARGET_NODE?is set by nvsx}"
namespace=${NVSX_NAMESPACE:-nvsentinel}
log=$NVSX_ARTIFACT_DIR/collect.log
good=0 bad=0
: >"$log"

# collect FILE COMMAND...: the command's output as a file of its own; a file that would hold nothing is not kept.
collect() {
    local file=$NVSX_ARTIFACT_DIR/$1 error
    shift
    if error=$(timeout --kill-after=2 30 "$@" 2>&1 >"$file.part"); then
        mv -- "$file.part" "$file"
        good=$((good + 1))
        echo "ok      ${file##*/}" >>"$log"
    else
        rm -f -- "$file.part"
        bad=$((bad + 1))
        echo "failed  ${file##*/}: ${error##*$'\n'}" >>"$log"
        echo "not collected: ${file##*/}: ${error##*$'\n'}" >&2
    fi
}

if [[ -n $NVSX_TARGET_NODE ]]; then
    collect node.json kubectl get node "$NVSX_TARGET_NODE" -o json
    collect node-events.json kubectl get events -n default \
        --field-selector "involvedObject.kind=Node,involvedObject.name=$NVSX_TARGET_NODE" -o json
    collect node-pods.txt kubectl get pods --all-namespaces --field-selector "spec.nodeName=$NVSX_TARGET_NODE" -o wide
fi
collect nodes.txt kubectl get nodes -o wide
collect reboots.json kubectl get rebootnodes.v1alpha1.janitor.dgxc.nvidia.com -o json
collect components.txt kubectl get pods -n "$namespace" -o wide
collect components.log kubectl logs -n "$namespace" --all-containers --prefix --tail=500 --max-log-requests=50 \
    -l 'app.kubernetes.io/name in (fault-quarantine,node-drainer,fault-remediation,janitor)'
collect settings.json kubectl get configmaps -n "$namespace" -o json

# The health events of the incident are on the node itself for as long as it is in quarantine; nvsx kept them.
{
    echo "run       ${NVSX_RUN_ID:-}"
    echo "runbook   ${NVSX_RUNBOOK:-}"
    echo "node      $NVSX_TARGET_NODE (${NVSX_TARGET_ALIAS:-})"
    echo "check     ${NVSX_EVENT_CHECK:-} ${NVSX_EVENT_CODES:-}"
    echo "action    ${NVSX_EVENT_ACTION:-}"
    echo "event     ${NVSX_EVENT_ID:-} ${NVSX_EVENT_TIME:-}"
    echo "entities  ${NVSX_EVENT_ENTITIES:-}"
    echo "message   ${NVSX_EVENT_MESSAGE:-}"
} >"$NVSX_ARTIFACT_DIR/health-event.txt"
[[ -r ${NVSX_REPORT_FILE:-} ]] && cp -- "$NVSX_REPORT_FILE" "$NVSX_ARTIFACT_DIR/run.json"

echo "collected $good of $((good + bad)) into $NVSX_ARTIFACT_DIR"
((good > 0))
