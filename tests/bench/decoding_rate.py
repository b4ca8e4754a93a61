"""How many documents of the database nvsx decodes in a second on one core, beside what their JSON alone costs."""

from __future__ import annotations

import json
import time

from nvsx.health import HealthEvent
from nvsx.healthevents import from_document
from tests.test_healthevents import DOCUMENT, canonical

DOCUMENTS = 20_000


def measure() -> dict[str, object]:
    """Lines of EJSON to HealthEvents, relaxed (as mongosh prints) and canonical; `json_share` is json.loads alone."""
    figures: dict[str, object] = {}
    for form, document in (("relaxed", DOCUMENT), ("canonical", canonical(DOCUMENT))):
        lines = [json.dumps(document)] * DOCUMENTS
        began = time.perf_counter()
        parsed = [json.loads(line) for line in lines]
        middle = time.perf_counter()
        assert all(isinstance(from_document(one), HealthEvent) for one in parsed)
        ended = time.perf_counter()
        figures[form] = {
            "documents_per_s": round(DOCUMENTS / (ended - began)),
            "json_share": round((middle - began) / (ended - began), 2),
        }
    return figures
