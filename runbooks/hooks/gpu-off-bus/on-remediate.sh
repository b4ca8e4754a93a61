#!/usr/bin/env bash
# Fires when NVSentinel has ordered the reboot. Opens the page that on-recover.sh resolves.
# nvsx: requires SLACK_WEBHOOK_URL PAGERDUTY_ROUTING_KEY
set -euo pipefail
# shellcheck source=runbooks/hooks/lib/notify.sh
source "${BASH_SOURCE[0]%/*}/../lib/notify.sh"

fault="${NVSX_EVENT_CHECK:-GPU fault} ${NVSX_EVENT_CODES}"
slack ":warning: $node: $fault. NVSentinel drained it and is rebooting it, $(minutes "$NVSX_INCIDENT_MS") after the fault"
pagerduty trigger warning "GPU fault on $node: $fault, reboot ordered"
told
