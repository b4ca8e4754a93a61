#!/usr/bin/env bash
# Acknowledges the incident: nvsx is on it.
# nvsx: requires SLACK_WEBHOOK_URL
set -euo pipefail
# shellcheck source=runbooks/hooks/lib/notify.sh
source "${BASH_SOURCE[0]%/*}/../lib/notify.sh"

slack ":eyes: nvsx run $NVSX_RUN_ID watches $node with runbook $NVSX_RUNBOOK"
told
