"""The environment that hooks, actions and prerequisites get: what nvsx knows of the incident, as NVSX_ variables."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.engine.plan import Plan
    from nvsx.watches.incident import Incident

LONGEST_OUTPUT_FILE = 64 * 1024


class Moment(NamedTuple):
    """Where the run stands when a process starts."""

    stage: str
    stage_status: str = ""
    stage_elapsed_s: float = 0.0
    incident_s: float = 0.0  # from the fault to this moment; 0 where the fault's time is unknown
    waiting_for: str = ""


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
    "NVSX_WAITING_FOR": "in onReminder, onTimeout and onBlind: what is missing",
    "NVSX_DRILL": "1 in a rehearsal, else 0",
    "NVSX_REPEAT_COUNT": "runs for this node in the last 72 hours, this one included",
}
"""Every variable that nvsx sets for processes, with its meaning; NVSX_OUT_… come on top."""


def variables(plan: Plan, incident: Incident, moment: Moment, incident_key: str) -> dict[str, str]:
    """The NVSX_ variables of one moment, without those that belong to one effect."""
    return {
        "NVSX_STAGE": moment.stage,
        "NVSX_RUNBOOK": plan.runbook.name,
        "NVSX_TARGET_NODE": plan.target_node,
        "NVSX_TARGET_ALIAS": plan.target_alias,
        "NVSX_ELAPSED_MS": _milliseconds(moment.stage_elapsed_s),
        "NVSX_INCIDENT_MS": _milliseconds(moment.incident_s),
        "NVSX_PROJECT_ROOT": plan.root,
        "NVSX_PLAYGROUND": plan.root,
        "NVSX_RUN_ID": plan.run_id,
        "NVSX_CLUSTER": plan.cluster,
        "NVSX_CONTEXT": plan.context,
        "NVSX_STAGE_STATUS": moment.stage_status,
        "NVSX_INCIDENT_KEY": incident_key,
        "NVSX_ARTIFACT_DIR": plan.artifact_dir,
        "NVSX_REPORT_FILE": str(Path(plan.run_dir) / "report.json"),
        "NVSX_TRIGGER_SOURCE": plan.trigger.source,
        "NVSX_TRIGGER_FILE": plan.trigger.file,
        "NVSX_EVENT_CHECK": incident.first_check,
        "NVSX_EVENT_CODES": " ".join(incident.error_codes),
        "NVSX_EVENT_ACTION": incident.action,
        "NVSX_EVENT_MESSAGE": _clean(incident.message),
        "NVSX_EVENT_ENTITIES": " ".join(incident.entities),
        "NVSX_EVENT_ID": incident.event_ids[0] if incident.event_ids else "",
        "NVSX_EVENT_TIME": _rfc3339(incident.fault_time),
        "NVSX_WAITING_FOR": moment.waiting_for,
        "NVSX_DRILL": "1" if plan.drill else "0",
        "NVSX_REPEAT_COUNT": str(plan.repeat_count),
    }


def read_outputs(path: Path, stage: str) -> dict[str, str]:
    """The `key=value` lines that a process left in its NVSX_OUTPUT file, as NVSX_OUT_<STAGE>_<KEY> variables.

    Lines that are not of that form, and all beyond 64 KiB, are passed over.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_OUTPUT_FILE).decode("utf-8", "replace")
    except OSError:
        return {}
    found = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        key = key.strip()
        if equals and key.isascii() and key.replace("_", "a").isalnum() and not key[0].isdigit():
            found[f"NVSX_OUT_{stage.upper()}_{key.upper()}"] = _clean(value)
    return found


def expand(argument: str, values: Mapping[str, str]) -> str:
    """An action's argument with `$NVSX_NAME` and `${NVSX_NAME}` replaced by whole name; all else stays as it is."""
    import re

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        return values.get(name, match[0])

    return re.sub(r"\$(?:\{(NVSX_[A-Z0-9_]+)\}|(NVSX_[A-Z0-9_]+))", value, argument)


def _milliseconds(seconds: float) -> str:
    return str(max(0, round(seconds * 1000)))


def _clean(text: str) -> str:
    """An environment value cannot hold NUL."""
    return text.replace("\0", "")


def _rfc3339(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds") if time else ""
