#!/usr/bin/env bash
# Fires while a storm lasts, when NVSentinel will do nothing more for some of its nodes: they are named.
# nvsx: requires SLACK_WEBHOOK_URL
set -euo pipefail
# shellcheck source=runbooks/hooks/lib/notify.sh
source "${BASH_SOURCE[0]%/*}/../lib/notify.sh"

slack ":cyclone: of the storm's nodes, these need people: $NVSX_WAITING_FOR"
told
