"""The ledger: one SQLite file in the state directory, which several nvsx share and none of them can leave half done."""

from __future__ import annotations

from nvsx.ledger.ledger import Ledger
from nvsx.ledger.reading import UNKNOWN, Reader
from nvsx.ledger.rows import (
    ALARM_KINDS,
    Admitted,
    Alarm,
    DecisionRow,
    EffectRow,
    Evidence,
    EvidenceRow,
    IncidentRow,
    NewRun,
    Ring,
    Rung,
    RunRecord,
    RunRow,
    SilenceRow,
    StageRow,
)

__all__ = [
    "ALARM_KINDS",
    "UNKNOWN",
    "Admitted",
    "Alarm",
    "DecisionRow",
    "EffectRow",
    "Evidence",
    "EvidenceRow",
    "IncidentRow",
    "Ledger",
    "NewRun",
    "Reader",
    "Ring",
    "RunRecord",
    "RunRow",
    "Rung",
    "SilenceRow",
    "StageRow",
]
