"""The variables that nvsx gives to hooks and actions: the engine sets them, lint and help tell of them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLES: Mapping[str, str] = {
    "NVSX_STAGE": "id of the stage: preflight, detect, …",
    "NVSX_RUNBOOK": "name of the runbook",
    "NVSX_TARGET_NODE": "the node the run is about; empty when none is known",
    "NVSX_TARGET_ALIAS": "its spoken alias, such as brave-gazelle",
    "NVSX_ELAPSED_MS": "milliseconds since the stage began",
    "NVSX_INCIDENT_MS": "milliseconds from the fault to now; in recover, the true time to repair. 0 when unknown",
    "NVSX_PROJECT_ROOT": "absolute path of the project root, which is also the working directory",
    "NVSX_PLAYGROUND": "the same, for hooks written for older versions",
    "NVSX_RUN_ID": "id of this run",
    "NVSX_CLUSTER": "UID of the cluster (of its kube-system namespace)",
    "NVSX_CONTEXT": "kubectl context, empty inside a pod",
    "NVSX_STAGE_STATUS": "how the stage ended: pass, fail, timeout, blind, …; empty while it runs",
    "NVSX_INCIDENT_KEY": "constant for this incident: the paging key, so that recover resolves what was opened",
    "NVSX_IDEMPOTENCY_KEY": "constant for this run, stage and hook over all its attempts",
    "NVSX_ATTEMPT": "1 for the first attempt",
    "NVSX_ARTIFACT_DIR": "directory for files worth keeping, one per run",
    "NVSX_REPORT_FILE": "JSON record of the run so far",
    "NVSX_OUTPUT": "file for lines key=value, seen by later hooks as NVSX_OUT_<STAGE>_<KEY>",
    "NVSX_TRIGGER_SOURCE": "who asked for the run: manual, webhook, poll, drill",
    "NVSX_TRIGGER_FILE": "file with the raw payload of the trigger; empty for a manual run",
    "NVSX_EVENT_CHECK": "check that saw the fault, such as SysLogsXIDError",
    "NVSX_EVENT_CODES": "its error codes, blank-separated",
    "NVSX_EVENT_ACTION": "NVSentinel's recommended action, such as RESTART_BM",
    "NVSX_EVENT_MESSAGE": "the fault's message",
    "NVSX_EVENT_ENTITIES": "affected entities as TYPE:VALUE, blank-separated",
    "NVSX_EVENT_ID": "id of the first health event",
    "NVSX_EVENT_TIME": "time of the fault, RFC 3339; empty when unknown",
    "NVSX_WAITING_FOR": "in onReminder, onTimeout and onBlind: what is missing; in onResolved: what is over",
    "NVSX_DRILL": "1 in a rehearsal, else 0",
    "NVSX_REPEAT_COUNT": "runs for this node in the last 72 hours, this one included",
}
"""Every variable that nvsx sets for processes, with its meaning; NVSX_OUT_… come on top."""
