#!/usr/bin/env bash
# Fires when NVSentinel has ordered the repair. Opens the page that recovered.sh resolves.
# nvsx: requires SLACK_WEBHOOK_URL PAGERDUTY_ROUTING_KEY
set -euo pipefail
# shellcheck source=runbooks/hooks/lib/notify.sh
source "${BASH_SOURCE[0]%/*}/../lib/notify.sh"

ordered="NVSentinel drained it and ordered ${NVSX_EVENT_ACTION:-its repair}, $(minutes "$NVSX_INCIDENT_MS") after the fault"
slack ":warning: $node: $fault. $ordered"
page warning "GPU fault on $node: $fault. $ordered"
told
