#!/usr/bin/env bash
# Fires when NVSentinel will not repair the node by itself: people must, and now.
# nvsx: requires SLACK_WEBHOOK_URL PAGERDUTY_ROUTING_KEY
set -euo pipefail
# shellcheck source=runbooks/hooks/lib/notify.sh
source "${BASH_SOURCE[0]%/*}/../lib/notify.sh"

# Whether a label keeps NVSentinel from touching the node. Where it cannot be read, the page must not wait for it.
opted_out() {
    local labels
    labels=$(timeout 5 kubectl get node "$NVSX_TARGET_NODE" -o 'jsonpath={.metadata.labels}' 2>/dev/null) || return 1
    [[ $labels =~ (k8saas\.nvidia\.com/ManagedByNVSentinel|nvsentinel\.dgxc\.nvidia\.com/managed)\"?:\"?false ]]
}

why="does nothing more by itself"
[[ -z $NVSX_TARGET_NODE ]] || ! opted_out || why="does not touch this node: it is opted out of NVSentinel by its label"
wanted="$fault on $node: NVSentinel recommends ${NVSX_EVENT_ACTION:-nothing} and $why"
slack ":rotating_light: $wanted. ${NVSX_EVENT_MESSAGE}"
page critical "$wanted"
told
