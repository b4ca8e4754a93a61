"""mongo-event watches on the simulated database: only this incident's documents count, and blindness is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nvsx.errors import Forbidden
from nvsx.events import Watch
from tests.story import NODE, T0, Story
from tests.test_healthevents import DOCUMENT

if TYPE_CHECKING:
    from nvsx.sim.world import Request, World

RUNBOOK = """
stages:
  - id: detect
    timeout: 1m
    watch: [{kind: mongo-event, filter: {healthevent.checkname: SysLogsXIDError, healthevent.isfatal: true}}]
"""


def insert(node: str, at: float) -> Any:
    def change(world: World) -> None:
        document = json.loads(json.dumps(DOCUMENT))
        document["createdAt"] = {"$date": {"$numberLong": str(int(at * 1000))}}
        document["healthevent"]["nodename"] = node
        world.insert_document("HealthEvents", document)

    return change


def test_a_document_of_this_incident_meets_the_watch() -> None:
    story = Story(RUNBOOK).at("0s", insert(NODE, T0 - 7200)).at("5s", insert("other-node", T0 + 5))
    story = story.at("20s", insert(NODE, T0 + 20)).run()
    assert story.stage("detect").status == "pass"
    assert 20.0 <= float(story.stages[0].split()[-1]) <= 24.0


def test_old_documents_and_those_of_other_nodes_do_not() -> None:
    story = Story(RUNBOOK).at("0s", insert(NODE, T0 - 7200)).at("5s", insert("other-node", T0 + 5)).run()
    assert story.stage("detect").status == "timeout"


def test_a_database_that_refuses_blinds() -> None:
    def refuse(world: World) -> None:
        async def react(request: Request) -> None:
            if request.verb == "exec":
                raise Forbidden('pods "mongodb-0" is forbidden', hint="kubectl auth can-i create pods/exec")

        world.react(react)

    story = Story(RUNBOOK).at("0s", refuse).at("5s", insert(NODE, T0 + 5)).run()
    assert story.stage("detect").status == "blind"
    assert any("mongodb-0" in watch.detail for watch in story.of(Watch))
