#!/usr/bin/env bash
# Fires only when the node is back in service: resolves what was opened and records the time to repair.
# nvsx: requires SLACK_WEBHOOK_URL PAGERDUTY_ROUTING_KEY
set -euo pipefail
# shellcheck source=runbooks/hooks/lib/notify.sh
source "${BASH_SOURCE[0]%/*}/../lib/notify.sh"

echo "mttr_ms=$NVSX_INCIDENT_MS" >>"$NVSX_OUTPUT"
back="$node is back in service, MTTR $(minutes "$NVSX_INCIDENT_MS")"
slack ":white_check_mark: $back"
resolve "$back"
echo "MTTR $(minutes "$NVSX_INCIDENT_MS")"
told
