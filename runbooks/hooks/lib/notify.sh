# shellcheck shell=bash
# Sourced by hooks: tells people through whichever channels are configured in nvsx.env.
#
#   SLACK_WEBHOOK_URL        a Slack incoming webhook
#   PAGERDUTY_ROUTING_KEY    an integration key of PagerDuty Events v2   (PAGERDUTY_EVENTS_URL: another endpoint)
#   OPSGENIE_API_KEY         an API key of Opsgenie or JSM Operations    (OPSGENIE_URL: https://api.eu.opsgenie.com)
#   JIRA_URL JIRA_PROJECT    where tickets go, with JIRA_TOKEN (a personal access token) or JIRA_USER and JIRA_TOKEN
#                            (JIRA_ISSUE_TYPE: Task; JIRA_DONE: id of the transition that closes a ticket)
#
# Everything is keyed by NVSX_INCIDENT_KEY, so that saying it twice opens one page and one ticket, and recovery closes
# just those. Keys reach curl through descriptors, never through its command line, which every user here can read.

sent=0 failed=0

# A text as a JSON string, whatever is in it: at most 1,000 characters, valid UTF-8, no control characters.
json() {
    local text=${1:0:1000}
    if [[ $text == *[![:ascii:]]* ]]; then
        text=$(printf '%s' "$text" | iconv -c -f UTF-8 -t UTF-8 2>/dev/null) || text=${1//[^ -~]/?}
    fi
    text=${text//\\/\\\\}
    text=${text//\"/\\\"}
    text=${text//$'\n'/\\n}
    text=${text//$'\t'/\\t}
    text=${text//[[:cntrl:]]/ }
    printf '"%s"' "$text"
}

# quoted TEXT: a text between double quotes of a curl config file.
quoted() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}

# request METHOD URL HEADER BODY: the answer's body on stdout. Retries what may pass (5xx, 429, timeouts).
request() {
    local data=()
    [[ -z $4 ]] || data=(--header 'Content-Type: application/json' --data-binary @-)
    printf '%s' "$4" |
        curl --silent --show-error --fail --max-time 8 --retry 2 --retry-delay 1 --retry-max-time 12 --request "$1" \
            --config <(printf 'url = %s\n' "$(quoted "$2")"; [[ -z $3 ]] || printf 'header = %s\n' "$(quoted "$3")") \
            "${data[@]}" 2>&1
}

# post NAME URL HEADER BODY: one POST, and one line that says how it went.
post() {
    local answer
    if answer=$(request POST "$2" "$3" "$4"); then
        echo "$1: sent"
        sent=$((sent + 1))
    else
        echo "$1: NOT sent: ${answer:0:300}" >&2
        failed=$((failed + 1))
        return 1
    fi
}

slack() {
    [[ -n ${SLACK_WEBHOOK_URL:-} ]] || return 0
    post slack "$SLACK_WEBHOOK_URL" '' "{\"text\": $(json "$drill$1")}" || true
}

# What every page and ticket says of the incident, as the members of a JSON object.
details() {
    printf '"run": %s, "runbook": %s, "stage": %s, "check": %s, "codes": %s, "message": %s, "waiting_for": %s' \
        "$(json "$NVSX_RUN_ID")" "$(json "$NVSX_RUNBOOK")" "$(json "$NVSX_STAGE")" "$(json "$NVSX_EVENT_CHECK")" \
        "$(json "$NVSX_EVENT_CODES")" "$(json "$NVSX_EVENT_MESSAGE")" "$(json "$NVSX_WAITING_FOR")"
}

# pagerduty trigger|resolve SEVERITY SUMMARY: opens or closes the page of this incident, and only that one.
pagerduty() {
    [[ -n ${PAGERDUTY_ROUTING_KEY:-} ]] || return 0
    local payload=""
    if [[ $1 == trigger ]]; then
        payload=", \"payload\": {\"summary\": $(json "$3"), \"source\": $(json "${NVSX_TARGET_NODE:-$NVSX_CLUSTER}"),
            \"severity\": \"$2\", \"component\": \"GPU\", \"custom_details\": {$(details)}}"
    fi
    post "pagerduty $1" "${PAGERDUTY_EVENTS_URL:-https://events.pagerduty.com/v2/enqueue}" '' \
        "{\"routing_key\": $(json "$PAGERDUTY_ROUTING_KEY"), \"event_action\": \"$1\",
          \"dedup_key\": $(json "$NVSX_INCIDENT_KEY")$payload}" || true
}

# opsgenie trigger|resolve SEVERITY SUMMARY: the same for Opsgenie, whose alias is the incident's key.
opsgenie() {
    [[ -n ${OPSGENIE_API_KEY:-} ]] || return 0
    local url="${OPSGENIE_URL:-https://api.opsgenie.com}/v2/alerts" priority=P3
    [[ $2 != critical ]] || priority=P1
    if [[ $1 == trigger ]]; then
        post "opsgenie $1" "$url" "Authorization: GenieKey $OPSGENIE_API_KEY" \
            "{\"message\": $(json "${3:0:130}"), \"alias\": $(json "$NVSX_INCIDENT_KEY"), \"priority\": \"$priority\",
              \"entity\": $(json "$NVSX_TARGET_NODE"), \"details\": {\"node\": $(json "$NVSX_TARGET_NODE"), $(details)}}" ||
            true
    else
        post "opsgenie $1" "$url/${NVSX_INCIDENT_KEY//\//%2F}/close?identifierType=alias" \
            "Authorization: GenieKey $OPSGENIE_API_KEY" "{\"note\": $(json "$3")}" || true
    fi
}

jira_header() {
    if [[ -n ${JIRA_USER:-} ]]; then
        printf 'Authorization: Basic %s' "$(printf '%s:%s' "$JIRA_USER" "$JIRA_TOKEN" | base64 | tr -d '\n')"
    else
        printf 'Authorization: Bearer %s' "$JIRA_TOKEN"
    fi
}

# The key of this incident's open ticket, if there is one. Tickets carry the incident's key as a label. Fails where Jira
# cannot be asked: then nobody knows whether there is one, and opening another would be a guess.
jira_ticket() {
    local search=/rest/api/2/search jql="labels%3D%22${NVSX_INCIDENT_KEY//\//-}%22%20AND%20statusCategory%20!%3D%20Done"
    local answer
    [[ $JIRA_URL != *.atlassian.net* ]] || search=/rest/api/3/search/jql
    answer=$(request GET "${JIRA_URL%/}$search?jql=$jql&fields=key&maxResults=1" "$(jira_header)" '') || {
        echo "jira search: NOT answered: ${answer:0:300}" >&2
        return 1
    }
    sed -n 's/.*"key" *: *"\([A-Z][A-Z0-9_]*-[0-9][0-9]*\)".*/\1/p' <<<"$answer" | head -n 1
}

# jira trigger|resolve SEVERITY SUMMARY: opens one ticket for the incident, or comments on the one that is open.
jira() {
    [[ -n ${JIRA_URL:-} && -n ${JIRA_TOKEN:-} && -n ${JIRA_PROJECT:-} ]] || return 0
    local ticket url="${JIRA_URL%/}/rest/api/2/issue"
    ticket=$(jira_ticket) || {
        failed=$((failed + 1))
        return 0
    }
    if [[ -n $ticket ]]; then
        post "jira comment on $ticket" "$url/$ticket/comment" "$(jira_header)" "{\"body\": $(json "$3")}" || return 0
        [[ $1 != resolve || -z ${JIRA_DONE:-} ]] || post "jira close $ticket" "$url/$ticket/transitions" \
            "$(jira_header)" "{\"transition\": {\"id\": $(json "$JIRA_DONE")}}" || true
    elif [[ $1 == trigger ]]; then
        post 'jira ticket' "$url" "$(jira_header)" "{\"fields\": {\"project\": {\"key\": $(json "$JIRA_PROJECT")},
            \"issuetype\": {\"name\": $(json "${JIRA_ISSUE_TYPE:-Task}")}, \"summary\": $(json "${3:0:250}"),
            \"labels\": [\"nvsx\", $(json "${NVSX_INCIDENT_KEY//\//-}")],
            \"description\": $(json "$3: $NVSX_EVENT_MESSAGE (run $NVSX_RUN_ID)")}}" || true
    fi
}

# page warning|critical SUMMARY: whoever is on call, and the ticket.
page() {
    pagerduty trigger "$1" "$drill$2"
    opsgenie trigger "$1" "$drill$2"
    jira trigger "$1" "$drill$2"
}

# resolve TEXT: closes what `page` opened.
resolve() {
    pagerduty resolve info "$1"
    opsgenie resolve info "$1"
    jira resolve info "$1"
}

# Whoever is told of a rehearsal (nvsx drill --page) must not take it for an incident.
drill=""
[[ ${NVSX_DRILL:-0} != 1 ]] || drill="[drill] "

# The last line of a hook: 78 when no channel is configured, 1 when one of them failed.
told() {
    if ((sent + failed == 0)); then
        echo "nobody was told: set SLACK_WEBHOOK_URL, PAGERDUTY_ROUTING_KEY, OPSGENIE_API_KEY or JIRA_URL in nvsx.env"
        exit 78
    fi
    exit $((failed > 0))
}

# shellcheck disable=SC2034 # used by the hooks that source this file
if [[ -n $NVSX_TARGET_NODE ]]; then node="$NVSX_TARGET_ALIAS ($NVSX_TARGET_NODE)"; else node="the cluster"; fi
# shellcheck disable=SC2034
fault="${NVSX_EVENT_CHECK:-GPU fault}${NVSX_EVENT_CODES:+ $NVSX_EVENT_CODES}"

# Milliseconds as people say them: 6m12s.
minutes() {
    local seconds=$((($1 + 500) / 1000))
    if ((seconds < 60)); then echo "${seconds}s"; else echo "$((seconds / 60))m$((seconds % 60))s"; fi
}
