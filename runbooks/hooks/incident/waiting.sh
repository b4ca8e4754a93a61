#!/usr/bin/env bash
# Fires while a stage waits, after 1, 5 and 15 minutes and then each hour.
# nvsx: requires SLACK_WEBHOOK_URL
set -euo pipefail
# shellcheck source=runbooks/hooks/lib/notify.sh
source "${BASH_SOURCE[0]%/*}/../lib/notify.sh"

slack ":hourglass: $node has been in $NVSX_STAGE for $(minutes "$NVSX_ELAPSED_MS"), waiting for: $NVSX_WAITING_FOR"
told
