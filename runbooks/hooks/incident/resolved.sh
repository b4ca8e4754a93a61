#!/usr/bin/env bash
# For onResolved of nvsx.yaml: what nvsx itself had called people for is over. Closes that page and no other.
# nvsx: requires SLACK_WEBHOOK_URL PAGERDUTY_ROUTING_KEY
set -euo pipefail
# shellcheck source=runbooks/hooks/lib/notify.sh
source "${BASH_SOURCE[0]%/*}/../lib/notify.sh"

slack ":white_check_mark: $NVSX_WAITING_FOR"
resolve "$NVSX_WAITING_FOR"
told
