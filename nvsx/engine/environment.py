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
