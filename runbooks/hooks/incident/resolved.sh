#!/usr/bin/env bash
# For onResolved of nvsx.yaml: what nvsx itself had called people for is over, or nobody looks for its end any more.
# Closes that page and no other.
# nvsx: requires SLACK_WEBHOOK_URL PAGERDUTY_ROUTING_KEY
set -euo pipefail
# shellcheck source=runbooks/hooks/lib/notify.sh
source "${BASH_SOURCE[0]%/*}/../lib/notify.sh"

mark=:white_check_mark:
[[ $NVSX_STAGE_STATUS != cancelled ]] || mark=:grey_question:
slack "$mark $NVSX_WAITING_FOR"
resolve "$NVSX_WAITING_FOR"
told
