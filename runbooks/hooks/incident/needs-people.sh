#!/usr/bin/env bash
# Fires when NVSentinel will not repair the node by itself: people must, and now.
# nvsx: requires SLACK_WEBHOOK_URL PAGERDUTY_ROUTING_KEY
set -euo pipefail
# shellcheck source=runbooks/hooks/lib/notify.sh
source "${BASH_SOURCE[0]%/*}/../lib/notify.sh"

wanted="$fault on $node: NVSentinel recommends ${NVSX_EVENT_ACTION:-nothing} and does nothing more by itself"
slack ":rotating_light: $wanted. ${NVSX_EVENT_MESSAGE}"
page critical "$wanted"
told
