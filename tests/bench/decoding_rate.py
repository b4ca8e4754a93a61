"""How many documents nvsx decodes, and routes, in a second on one core, beside what their JSON alone costs."""

from __future__ import annotations

import json
import time

from nvsx.catalog import Catalog
from nvsx.health import HealthEvent
from nvsx.healthevents import from_document
from nvsx.routing.route import report_of, route
from tests.rehearsing import CHECKOUT
from tests.test_healthevents import DOCUMENT, canonical

DOCUMENTS = 20_000


def measure() -> dict[str, object]:
    """Lines of EJSON to HealthEvents, relaxed (as mongosh prints) and canonical; `json_share` is json.loads alone."""
    figures: dict[str, object] = {"routed": _routed()}
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


def _routed() -> dict[str, object]:
    """From a line of relaxed EJSON to the runbook that answers, among all that are shipped."""
    catalog = Catalog(CHECKOUT)
    runbooks = [catalog.load(name) for name in catalog.names()]
    lines = [json.dumps(DOCUMENT)] * (DOCUMENTS // 10)
    began = time.perf_counter()
    for line in lines:
        event = from_document(json.loads(line))
        assert isinstance(event, HealthEvent)
        assert route(report_of(event, node_labels={}), runbooks).runbook == "gpu-off-bus"
    return {"documents_per_s": round(len(lines) / (time.perf_counter() - began)), "runbooks": len(runbooks)}
