# shellcheck shell=bash
# Sourced by hooks: tells people through whichever channels are configured in nvsx.env.
#
#   SLACK_WEBHOOK_URL        a Slack incoming webhook
#   PAGERDUTY_ROUTING_KEY    an integration key of PagerDuty Events v2 (PAGERDUTY_EVENTS_URL for another endpoint)
#
# URLs and keys reach curl through descriptors, never through its command line, which every user of this host can read.

sent=0 failed=0

# A text as a JSON string, whatever is in it.
json() {
    local text=$1
    text=${text//\\/\\\\}
    text=${text//\"/\\\"}
    text=${text//$'\n'/\\n}
    text=${text//$'\t'/\\t}
    text=${text//[[:cntrl:]]/ }
    printf '"%s"' "$text"
}

# post NAME URL BODY: one JSON POST, and one line that says how it went.
post() {
    local name=$1 url=$2 body=$3 answer
    if answer=$(curl --silent --show-error --fail --max-time 10 --output /dev/null --write-out '%{http_code}' \
        --header 'Content-Type: application/json' \
        --config <(printf 'url = "%s"\n' "$url") --data-binary @<(printf '%s' "$body") 2>&1); then
        echo "$name: sent ($answer)"
        sent=$((sent + 1))
    else
        echo "$name: NOT sent: $answer" >&2
        failed=$((failed + 1))
    fi
}

slack() {
    [[ -n ${SLACK_WEBHOOK_URL:-} ]] || return 0
    post slack "$SLACK_WEBHOOK_URL" "{\"text\": $(json "$1")}"
}

# pagerduty trigger|resolve SEVERITY SUMMARY: opens or closes the page of this incident, and only that one.
pagerduty() {
    [[ -n ${PAGERDUTY_ROUTING_KEY:-} ]] || return 0
    local action=$1 severity=$2 summary=$3 payload=""
    if [[ $action == trigger ]]; then
        payload=", \"payload\": {\"summary\": $(json "$summary"), \"source\": $(json "$NVSX_TARGET_NODE"),
            \"severity\": \"$severity\", \"component\": \"GPU\", \"custom_details\": {
            \"run\": $(json "$NVSX_RUN_ID"), \"runbook\": $(json "$NVSX_RUNBOOK"), \"stage\": $(json "$NVSX_STAGE"),
            \"check\": $(json "$NVSX_EVENT_CHECK"), \"codes\": $(json "$NVSX_EVENT_CODES"),
            \"message\": $(json "$NVSX_EVENT_MESSAGE")}}"
    fi
    post "pagerduty $action" "${PAGERDUTY_EVENTS_URL:-https://events.pagerduty.com/v2/enqueue}" \
        "{\"routing_key\": $(json "$PAGERDUTY_ROUTING_KEY"), \"event_action\": \"$action\",
          \"dedup_key\": $(json "$NVSX_INCIDENT_KEY")$payload}"
}

# The last line of a hook: 78 when no channel is configured, 1 when one of them failed.
told() {
    if ((sent + failed == 0)); then
        echo "nobody was told: set SLACK_WEBHOOK_URL or PAGERDUTY_ROUTING_KEY in nvsx.env"
        exit 78
    fi
    exit $((failed > 0))
}

# shellcheck disable=SC2034 # used by the hooks that source this file
node="$NVSX_TARGET_ALIAS ($NVSX_TARGET_NODE)"

# Milliseconds as people say them: 6m12s.
minutes() {
    local seconds=$((($1 + 500) / 1000))
    if ((seconds < 60)); then echo "${seconds}s"; else echo "$((seconds / 60))m$((seconds % 60))s"; fi
}
