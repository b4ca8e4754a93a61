#!/usr/bin/env bash
# Tells the channel and nobody else: worth knowing, nobody has to get up for it.
# nvsx: requires SLACK_WEBHOOK_URL
set -euo pipefail
# shellcheck source=runbooks/hooks/lib/notify.sh
source "${BASH_SOURCE[0]%/*}/../lib/notify.sh"

slack ":information_source: $fault on $node${NVSX_EVENT_MESSAGE:+: $NVSX_EVENT_MESSAGE}"
told
