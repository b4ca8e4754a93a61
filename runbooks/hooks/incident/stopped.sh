#!/usr/bin/env bash
# Fires once when the chain has stopped, or when nvsx cannot see it any more: a human must act.
# nvsx: requires SLACK_WEBHOOK_URL PAGERDUTY_ROUTING_KEY
set -euo pipefail
# shellcheck source=runbooks/hooks/lib/notify.sh
source "${BASH_SOURCE[0]%/*}/../lib/notify.sh"

stopped="$NVSX_RUNBOOK on $node: ${NVSX_STAGE:-run} ended ${NVSX_STAGE_STATUS:-failed}: $NVSX_WAITING_FOR"
slack ":rotating_light: $stopped"
page critical "$stopped"
told
