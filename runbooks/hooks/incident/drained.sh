#!/usr/bin/env bash
# Fires when a node that people must repair is empty: whoever goes there need not wait any more.
# nvsx: requires SLACK_WEBHOOK_URL
set -euo pipefail
# shellcheck source=runbooks/hooks/lib/notify.sh
source "${BASH_SOURCE[0]%/*}/../lib/notify.sh"

slack ":package: $node is drained and stays cordoned: it can be taken out of service for $fault"
told
