"""Health events from every place that tells of them, decoded to one type: pure functions, no I/O.

Each decoder answers a `HealthEvent`, or a `Rejection` that says which field it could not read. Neither raises.
"""

from __future__ import annotations

from nvsx.healthevents.cloudevent import from_cloudevent
from nvsx.healthevents.fields import Rejection
from nvsx.healthevents.node import from_annotation, from_conditions, from_node_event
from nvsx.healthevents.stored import from_document

__all__ = ["Rejection", "from_annotation", "from_cloudevent", "from_conditions", "from_document", "from_node_event"]
