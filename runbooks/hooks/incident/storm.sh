#!/usr/bin/env bash
# Fires once for many nodes: what they have in common matters more than any of them.
# nvsx: requires SLACK_WEBHOOK_URL PAGERDUTY_ROUTING_KEY
set -euo pipefail
# shellcheck source=runbooks/hooks/lib/notify.sh
source "${BASH_SOURCE[0]%/*}/../lib/notify.sh"

listed=""
[[ -z $NVSX_TRIGGER_FILE ]] || listed=$(head -c 600 "$NVSX_TRIGGER_FILE" | tr "\n" " ")
slack ":cyclone: many GPU nodes failed within minutes: look at power, cooling, fabric and rollouts first. $listed"
page critical "Storm: many GPU nodes failed within minutes. $listed"
told
