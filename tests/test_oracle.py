"""The state oracle over every row and edge of NVSentinel's behaviour.

Each row names its topic: 0 overview, 3 documents, 4 conditions and Events, 5 quarantine (.1 marks, .2 rules, .3 state
label, .4 edges, .5 breaker), 6 drain, 7 remediate (.2 actions, .3 bookkeeping, .4 janitor), 8 recover, 11 variants.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.oracle.chain import position
from nvsx.oracle.maintenance import repair
from nvsx.oracle.position import PHASES, UNSEEN, Position, reopened
from nvsx.oracle.stalling import FOREVER, stalled, stalls_at
from nvsx.watches.incident import Incident, observe
from nvsx.watches.nvsentinel import STATES
from tests.chain import (
    FAULT,
    ID,
    NODE,
    OLD_ID,
    SECOND_ID,
    T0,
    UUID,
    breaker,
    condition,
    document,
    event,
    node,
    quarantined,
    ready,
    request,
)

SEEN_HELD = Incident(
    NODE,
    FAULT,
    fault_time=FAULT,
    event_ids=(ID,),
    opened_by=("SysLogsXIDError",),
    quarantined=True,
    progress_time=T0 + 9,
)
"""What a run remembers that has seen the node in quarantine."""

CLEARED = condition(status="False", at=FAULT + 390)
SENT = ("SignalSent", "True", "Succeeded")
WAITING = ("NodeReady", "Unknown", "Initializing")


class Row(NamedTuple):
    """A view and what is made of it. `flags`: t terminal, p people, w working. `says`: words of reason or wait."""

    topic: str
    view: dict[str, Any]
    phase: str
    flags: str = ""
    says: tuple[str, ...] = ()
    against: tuple[str, ...] = ()  # words of each contradiction


def row(
    topic: str, view: Any, phase: str, flags: str = "", *says: str, against: tuple[str, ...] = (), **more: Any
) -> Row:
    return Row(topic, {"node": view, **more}, phase, flags, says, against)


def after(*conditions: Any, **marks: Any) -> Any:
    return quarantined("remediation-succeeded", *conditions, **marks)


ROWS = [
    # 0 and 4: what is to be seen before anybody acts
    row("0 healthy", node(), "healthy"),
    row("4.1 healthy events create conditions", node(condition(status="False")), "healthy"),
    row("4.1 an absent condition is no fault", node(), "healthy", "", "no fault"),
    row("4.1 True means broken", node(condition()), "detected", "", "SysLogsXIDError=True 79", "to cordon"),
    row("4.1 Ready=True is no fault", node(ready()), "healthy"),
    row("0 monitors only", node(condition()), "detected", "", "not installed", breaker=None),
    row("0 fault-quarantine is there", node(condition()), "detected", "", "to cordon", breaker=breaker()),
    row("4.2 not fatal", node(), "reported", "t", "not fatal", event=document(fatal=False, action="NONE")),
    row("3.4 STORE_ONLY", node(), "reported", "t", "STORE_ONLY", event=document(strategy="STORE_ONLY")),
    row("3.4 STORE_AND_ANALYSE", node(), "reported", "t", "ANALYSE", event=document(strategy="STORE_AND_ANALYSE")),
    row("11 the condition comes after the document", node(), "detected", "", "is stored", event=document()),
    row("11 the condition comes after the cordon", quarantined("quarantined", ready()), "quarantined"),
    # 5.1 and 5.3: the marks, and the label along the way
    row("5.3 quarantined", quarantined(), "quarantined", "", "node-drainer to begin"),
    row("5.3 draining", quarantined("draining"), "draining", "", "user pods"),
    row("5.3 drain-succeeded", quarantined("drain-succeeded"), "drain-succeeded", "", "fault-remediation"),
    row("5.3 remediating", quarantined("remediating"), "remediating", "", "fault-remediation"),
    row("5.3 remediation-succeeded is not a repair", after(), "remediation-succeeded", "", "not yet done", "come back"),
    row("5.3 drain-failed", quarantined("drain-failed"), "drain-failed", "tp", "never starts", "people"),
    row("5.3 remediation-failed", quarantined("remediation-failed"), "remediation-failed", "tp", "RESTART_BM"),
    row("5.3 a word that is none", quarantined("cordoned"), "quarantined", against=("never writes",)),
    row("5.1 an empty list is no quarantine", node(events=[]), "healthy"),
    row("5.1 without a cordon", node(condition(), state="quarantined", events=[event()]), "quarantined",
        against=("can be scheduled",)),
    row("5.1 without a state label", quarantined(""), "quarantined", against=("no state label",)),
    row("5.1 without the annotation", quarantined(events=None), "quarantined", against=("no annotation",)),
    row("5.1 cordon labels alone", quarantined("", events=None), "quarantined", against=("does not hold",)),
    row("5.1 cordon labels on a schedulable node", node(cordon_by=True), "healthy", against=("schedulable",)),
    row("5.1 a damaged annotation", quarantined(events="[{"), "quarantined", against=("cannot be read",)),
    row("5.1 an annotation that is no list", quarantined(events='"x"'), "quarantined", against=("cannot be read",)),
    row("5.1 a taint of the rule changes nothing",
        quarantined(taints=[{"key": "nvidia.com/gpu-error", "value": "fatal", "effect": "NoSchedule"}]), "quarantined"),
    # 5.2: opted out
    row("5.2 ManagedByNVSentinel=false", node(condition(), labels={"k8saas.nvidia.com/ManagedByNVSentinel": "false"}),
        "detected", "tp", "opts it out"),
    row("5.2 managed=false", node(condition(), labels={"nvsentinel.dgxc.nvidia.com/managed": "false"}),
        "detected", "tp", "opts it out"),
    row("5.2 managed=true", node(condition(), labels={"nvsentinel.dgxc.nvidia.com/managed": "true"}), "detected"),
    row("5.2 opted out and healthy", node(labels={"nvsentinel.dgxc.nvidia.com/managed": "false"}), "healthy"),
    row("5.2 opted out while held", quarantined(labels={"nvsentinel.dgxc.nvidia.com/managed": "false"}),
        "quarantined", "p", "opted out"),
    # 5.4: edges
    row("5.4 second fault", quarantined("draining", events=[event(), event("COMPONENT_RESET", id_=SECOND_ID)]),
        "draining"),
    row("5.4 second fault is for people", quarantined("draining", events=[event(), event("CONTACT_SUPPORT",
        id_=SECOND_ID)]),
        "draining", "p", "CONTACT_SUPPORT", "user pods"),
    row("5.4 second document", quarantined(events=[event(), event(id_=SECOND_ID)]), "quarantined",
        event=document(id=SECOND_ID, quarantine="AlreadyQuarantined")),
    row("5.4 pre-cordoned", quarantined(cordon_by=False,
        annotations={"quarantineHealthEventCordonPreExisting": "True"}),
        "quarantined"),
    row("5.4 pre-cordoned and signed", quarantined(annotations={"quarantineHealthEventCordonPreExisting": "True"}),
        "quarantined", against=("cordoned before",)),
    row("5.4 pre-cordoned, recovered", node(CLEARED, cordoned=True), "recovered", "t", "as it was before",
        "uncordon it",
        incident=SEEN_HELD._replace(cordoned_before=True)),
    row("5.4 a human cordoned it meanwhile", node(CLEARED, cordoned=True), "released", "p", "somebody else",
        incident=SEEN_HELD),
    row("5.4 manual uncordon, fault is there",
        node(condition(), cordon_by=True, annotations={"quarantinedNodeUncordonedManually": "True"}), "cancelled", "tp",
        "a human has uncordoned", "still there"),
    row("5.4 manual uncordon, fault is gone",
        node(CLEARED, cordon_by=True, annotations={"quarantinedNodeUncordonedManually": "True"}), "cancelled", "t",
        "no fault is left", incident=SEEN_HELD),
    row("5.4 manual uncordon of an older incident", node(annotations={"quarantinedNodeUncordonedManually": "True"}),
        "healthy"),
    row("5.4 manual untaint", node(condition(), annotations={"quarantinedNodeUntaintedManually": "True"}), "cancelled",
        "tp", "untainted"),
    row("5.4 the human's uncordon, not yet noticed", quarantined("draining", cordoned=False), "draining",
        against=("can be scheduled",)),
    row("5.4 quarantined anew with the old mark",
        quarantined(annotations={"quarantinedNodeUncordonedManually": "True"}),
        "quarantined", against=("by a human",)),
    row("5.4 Cancelled by its document", node(condition()), "cancelled", "tp",
        "uncordoned", event=document(quarantine="Cancelled")),
    row("5.4 Cancelled, and held", quarantined(), "quarantined", event=document(quarantine="Cancelled"),
        against=("says Cancelled",)),
    row("5.4 node deleted", None, "deleted", "tp", "deleted", incident=SEEN_HELD),
    row("5.4 partial recovery", quarantined("draining", condition(), condition("GpuMemWatch", "False", at=FAULT + 60)),
        "draining"),
    # 5.5: the circuit breaker
    row("5.5 tripped before the cordon", node(condition()), "detected", "tp", "TRIPPED", breaker=breaker("TRIPPED")),
    row("5.5 tripped while held", quarantined("draining"), "draining", "p", "TRIPPED", breaker=breaker("TRIPPED")),
    row("5.5 tripped when all is over", after(CLEARED), "remediation-succeeded", "tp", "releases nothing",
        breaker=breaker("TRIPPED")),
    row("5.5 tripped and healthy", node(), "healthy", breaker=breaker("TRIPPED")),
    row("5.5 closed", quarantined("draining"), "draining", breaker=breaker("CLOSED")),
    row("5.5 a document with no status", node(), "detected", "tp", "TRIPPED", breaker=breaker("TRIPPED"),
        event=document()),
    # 6: drain
    row("6 drain Failed by its document", quarantined("drain-failed"), "drain-failed", "tp",
        event=document(quarantine="Quarantined", eviction="Failed")),
    row("6 drain Failed, and the label went on", after(), "remediation-succeeded",
        event=document(quarantine="Quarantined", eviction="Failed"), against=("has Failed",)),
    row("6 drained, and the label says failed", quarantined("drain-failed"), "drain-failed", "tp",
        event=document(quarantine="Quarantined", eviction="Succeeded"), against=("drain-failed",)),
    row("6 AlreadyDrained", quarantined("drain-succeeded"), "drain-succeeded",
        event=document(quarantine="Quarantined", eviction="AlreadyDrained")),
    row("6 a drain plug-in's object is no repair", after(), "remediation-succeeded",
        requests=[request(kind="DrainRequest", name=f"drain-{NODE}-{ID}")], against=("no repair",)),
    # 7.2: actions
    *(
        row(f"7.2 {action} is known early", quarantined("quarantined", action=action), "quarantined", "p", action)
        for action in ("CONTACT_SUPPORT", "RUN_FIELDDIAG", "RUN_DCGMEUD", "UNKNOWN")
    ),
    *(
        row(f"7.2 {action} orders nothing", quarantined("remediation-failed", action=action), "remediation-failed",
        "tp",
            f"recommends {action}", requests=[])
        for action in ("CONTACT_SUPPORT", "RUN_FIELDDIAG", "RUN_DCGMEUD", "UNKNOWN")
    ),
    row("7.2 CONTACT_SUPPORT before the cordon", node(condition(action="CONTACT_SUPPORT")), "detected", "p",
        "CONTACT_SUPPORT", "to cordon"),
    row("7.2 unmapped CUSTOM", quarantined("remediation-failed", action="CUSTOM"), "remediation-failed", "tp",
        "CUSTOM"),
    row("7.2 mapped CUSTOM", quarantined("draining", action="CUSTOM"), "draining"),
    row("7.2 NONE is passed over", quarantined("drain-succeeded", action="NONE"), "drain-succeeded", "tp", "NONE"),
    row("7.2 REPLACE_VM, done", None, "deleted", "t", "replacement", incident=SEEN_HELD._replace(action="REPLACE_VM")),
    row("7.2 TerminateNode was ordered", None, "deleted", "t", "replacement", incident=SEEN_HELD,
        requests=[request(kind="TerminateNode")]),
    row("7.2 the order failed", quarantined("remediation-failed"), "remediation-failed", "tp", "could not order",
        event=document(quarantine="Quarantined", eviction="Succeeded", remediated=False)),
    # 7.3: bookkeeping
    row("7.3 ours by the event's id", after(), "remediation-succeeded", "w", "come back", requests=[request(SENT,
        WAITING)]),
    row("7.3 yesterday's is not ours", after(), "remediation-succeeded", requests=[request(("NodeReady", "True",
        "Succeeded"),
        id_=OLD_ID, at=T0 - 86_400)], against=("1 of older",)),
    row("7.3 another node's is not ours", after(), "remediation-succeeded",
        requests=[request(SENT, WAITING, target="gpu-node-2")], against=("no repair",)),
    row("7.3 PostgreSQL's id", after(events=[event(id_=UUID)]), "remediation-succeeded", "w",
        requests=[request(SENT, WAITING, id_=UUID)]),
    row("7.3 no id known: by age", after(events=[event(id_="")]), "remediation-succeeded", "w",
        requests=[request(SENT, WAITING), request(id_=OLD_ID, at=T0 - 86_400)]),
    row("7.3 a second one after the first failed", after(), "remediation-succeeded", "w", requests=[
        request(("SignalSent", "False", "Failed"), completed=FAULT + 60),
        request(SENT, WAITING, id_=SECOND_ID, at=FAULT + 600)],
        event=document(id=SECOND_ID, quarantine="AlreadyQuarantined")),
    row("7.3 not looked for", after(), "remediation-succeeded", "", "come back"),
    row("7.3 recomputed to failed beside a repair", quarantined("remediation-failed"), "remediation-failed", "tp",
        requests=[request(SENT, WAITING)], against=("there is RebootNode",)),
    row("7.3 document against label", after(), "remediation-succeeded", "w", requests=[request(SENT, WAITING)],
        event=document(quarantine="Quarantined", eviction="Succeeded", remediated=False),
        against=("faultremediated false",)),
    row("7.3 label against document", quarantined("remediation-failed"), "remediation-failed", "tp",
        event=document(quarantine="Quarantined", eviction="Succeeded", remediated=True),
        against=("faultremediated true",)),
    # 7.4: janitor
    row("7.4 nobody has taken it up", after(), "remediation-succeeded", "", "janitor to take up", requests=[request()]),
    row("7.4 first reconcile", after(), "remediation-succeeded", "", "SignalSent=Unknown",
        requests=[request(("SignalSent", "Unknown", "Initializing"), WAITING)]),
    row("7.4 accepted", after(), "remediation-succeeded", "w", "NodeReady=Unknown", requests=[request(SENT, WAITING)]),
    row("7.4 refused", after(), "remediation-succeeded", "tp", "the repair failed", "SignalSent=False (Failed): quota",
        requests=[request(("SignalSent", "False", "Failed"), WAITING, completed=FAULT + 30, message="quota")]),
    row("7.4 provider error", after(), "remediation-succeeded", "tp", "NodeReady=False (Failed)",
        requests=[request(SENT, ("NodeReady", "False", "Failed"), completed=FAULT + 90)]),
    row("7.4 25 minutes", after(), "remediation-succeeded", "tp", "NodeReady=False (Timeout)",
        requests=[request(SENT, ("NodeReady", "False", "Timeout"), completed=FAULT + 1500)]),
    row("7.4 rebooted", after(), "remediation-succeeded", "", "monitor to clear SysLogsXIDError",
        requests=[request(SENT, ("NodeReady", "True", "Succeeded"), completed=FAULT + 400)]),
    row("7.4 manual mode", after(), "remediation-succeeded", "tp", "left to people", "OutsideActorRequired",
        requests=[request(("ManualMode", "True", "OutsideActorRequired"))]),
    row("7.4 manual mode, signal given", after(), "remediation-succeeded", "w", "come back",
        requests=[request(("ManualMode", "True", "OutsideActorRequired"), SENT, WAITING)]),
    row("7.4 ended without a word", after(), "remediation-succeeded", "tp", "it has ended",
        requests=[request(SENT, WAITING, completed=FAULT + 99)]),
    row("7.4 GPUReset Pending", after(action="COMPONENT_RESET"), "remediation-succeeded", "", "phase Pending",
        requests=[request(kind="GPUReset", phase="Pending")]),
    row("7.4 GPUReset InProgress", after(action="COMPONENT_RESET"), "remediation-succeeded", "w", "phase InProgress",
        requests=[request(("Ready", "True", "ReadyForReset"), kind="GPUReset", phase="InProgress")]),
    row("7.4 GPUReset Succeeded", after(action="COMPONENT_RESET"), "remediation-succeeded", "", "monitor to clear",
        requests=[request(("Complete", "True", "GPUResetSucceeded"), kind="GPUReset", phase="Succeeded")]),
    row("7.4 Complete=True on failure, too", after(action="COMPONENT_RESET"), "remediation-succeeded", "tp",
        "phase Failed (ResetJobFailed)",
        requests=[request(("Complete", "True", "ResetJobFailed"), kind="GPUReset", phase="Failed")]),
    row("7.4 GPUReset Terminating", after(action="COMPONENT_RESET"), "remediation-succeeded", "w", "Terminating",
        requests=[request(kind="GPUReset", phase="Terminating")]),
    row("7.4 TerminateNode refused", after(action="REPLACE_VM"), "remediation-succeeded", "tp", "TerminateNode",
        requests=[request(("SignalSent", "False", "Failed"), kind="TerminateNode", completed=FAULT + 20)]),
    row("7.4 a site's own kind", after(action="CUSTOM"), "remediation-succeeded", "", "FlashFirmware",
        requests=[request(("Done", "Unknown", "")  , kind="FlashFirmware")]),
    row("7.1 handed over", node(condition(), labels={"nvsentinel.dgxc.nvidia.com/managed": "false"},
        taints=[{"key": "nvsentinel.dgxc.nvidia.com/external-remediation", "effect": "NoSchedule"}]), "detected", "tp",
        "external remediation"),
    row("7.1 handed over while held", quarantined("draining", labels={"nvsentinel.dgxc.nvidia.com/managed": "false"},
        taints=[{"key": "nvsentinel.dgxc.nvidia.com/external-remediation", "effect": "NoSchedule"}]), "draining", "",
        "external remediation"),
    # 8: recover
    row("8.1 the machine is down", after(condition(), {**ready("Unknown"), "type": "Ready"}),
        "remediation-succeeded", "",
        "come back"),
    row("8.2 the condition is False, nobody has released it", after(CLEARED), "remediation-succeeded", "",
        "fault is over", "to release the node"),
    row("8.2 cleared during the drain", quarantined("draining", condition(status="False", at=FAULT + 30)),
        "draining", "",
        "to release the node"),
    row("8.2 an older False proves nothing", quarantined("draining", condition(status="False", at=T0 - 9000)),
        "draining",
        "", "user pods"),
    row("8.2 cleared after remediation-failed", quarantined("remediation-failed", CLEARED, action="CONTACT_SUPPORT"),
        "remediation-failed", "", "fault is over", "to release"),
    row("8.2 one of two checks has cleared", after(CLEARED, condition("GpuMemWatch"),
        events=[event(), event(id_=SECOND_ID, check="GpuMemWatch")]), "remediation-succeeded", "", "come back"),
    row("8.3 released", node(CLEARED, released=FAULT + 392), "recovered", "t", "released the node", incident=SEEN_HELD),
    row("8.3 released, seen only afterwards", node(CLEARED, released=FAULT + 392), "recovered", "t",
        incident=Incident(NODE, FAULT)),
    row("8.3 released in an older incident", node(released=T0 - 9000), "healthy", incident=Incident(NODE, FAULT)),
    row("8.3 a look alone cannot know", node(CLEARED, released=FAULT + 392), "healthy"),
    row("8.3 released, and the fault is still True", node(condition(), released=FAULT + 60), "detected",
        incident=SEEN_HELD, against=("released the node, and SysLogsXIDError is True",)),
    row("8.3 a new fault after the release", node(condition(at=FAULT + 900), released=FAULT + 392), "detected",
        incident=SEEN_HELD),
    row("8.3 UnQuarantined by its document", node(CLEARED), "recovered", "t", incident=Incident(NODE, FAULT),
        event=document(healthy=True, fatal=False, quarantine="UnQuarantined", generated_time=FAULT + 390)),
    row("8.3 UnQuarantined, and held", after(), "remediation-succeeded", event=document(
        healthy=True, fatal=False, quarantine="UnQuarantined", generated_time=FAULT + 390), against=("UnQuarantined",)),
    row("8.3 Quarantined, and free", node(), "detected", event=document(quarantine="Quarantined"),
        against=("not in quarantine",)),
    row("8.3 another fault of before remains", node(condition("GpuPowerWatch", at=T0 - 9000), CLEARED), "recovered",
        "t",
        incident=SEEN_HELD),
    row("8.5 the state label is left behind", node(CLEARED, state="remediation-succeeded"), "remediation-succeeded",
        incident=SEEN_HELD, against=("no annotation", "can be scheduled")),
    row("8.6 uncordoned before janitor looks", node(CLEARED, released=FAULT + 392), "recovered", "t",
        incident=SEEN_HELD,
        requests=[request(SENT, WAITING)]),
    row("8.6 released although the repair failed", node(CLEARED, released=FAULT + 1800), "recovered", "t",
        incident=SEEN_HELD, requests=[request(SENT, ("NodeReady", "False", "Timeout"), completed=FAULT + 1500)],
        against=("its repair failed",)),
    # Documents alone
    row("3.5 nothing is known", UNSEEN, "unknown"),
    row("3.5 a document with no status", UNSEEN, "detected", "", "not looked at", event=document()),
    row("3.5 Quarantined", UNSEEN, "quarantined", event=document(quarantine="Quarantined")),
    row("3.5 InProgress", UNSEEN, "draining", event=document(quarantine="Quarantined", eviction="InProgress")),
    row("3.5 Failed", UNSEEN, "drain-failed", "tp", event=document(quarantine="Quarantined", eviction="Failed")),
    row("3.5 Succeeded", UNSEEN, "drain-succeeded", event=document(quarantine="Quarantined", eviction="Succeeded")),
    row("3.5 remediated", UNSEEN, "remediation-succeeded", event=document(eviction="Succeeded", remediated=True)),
    row("3.5 not remediated", UNSEEN, "remediation-failed", "tp", event=document(eviction="Succeeded",
        remediated=False)),
    row("3.5 for people", UNSEEN, "quarantined", "p", event=document(quarantine="Quarantined", action="RUN_FIELDDIAG")),
    row("3.5 a healthy document says nothing of the node", UNSEEN, "unknown", "", "UnQuarantined",
        event=document(healthy=True, quarantine="UnQuarantined")),
    row("3.5 Cancelled says nothing of the node", UNSEEN, "unknown", "", event=document(quarantine="Cancelled")),
    row("3.5 not fatal", UNSEEN, "reported", "t", event=document(fatal=False)),
]  # fmt: skip


def test_there_is_a_row_for_every_phase_and_every_topic() -> None:
    assert len(ROWS) == len({row.topic for row in ROWS}) >= 60
    assert {row.phase for row in ROWS} == set(PHASES)
    topics = "5.1 5.2 5.3 5.4 5.5 6 7.1 7.2 7.3 7.4 8.1 8.2 8.3 8.5 8.6"
    assert {row.topic.split()[0] for row in ROWS} >= set(topics.split(" "))


@pytest.mark.parametrize("row", ROWS, ids=[row.topic.replace(" ", "-") for row in ROWS])
def test_where_the_chain_stands(row: Row) -> None:
    found = position(row.view["node"], **{key: value for key, value in row.view.items() if key != "node"})
    assert found.phase == row.phase, found
    flags = "t" * found.terminal + "p" * found.needs_people + "w" * found.working
    assert flags == row.flags, found
    for words in row.says:
        assert words in f"{found.reason} | {found.waits_for}"
    assert len(found.contradictions) == len(row.against), found.contradictions
    for words, text in zip(row.against, found.contradictions, strict=True):
        assert words in text
    assert found.reason
    assert found.waits_for or found.terminal or found.phase in ("healthy", "unknown"), found
    assert found.held is (row.phase in STATES or row.phase.endswith("-failed"))
    assert not found.failed or found.waits_for.startswith("people")


def test_a_chain_that_had_ended_reopens_when_it_is_decided_anew() -> None:
    gave_up = position(quarantined("remediation-failed", action="CONTACT_SUPPORT"))
    events = [event("CONTACT_SUPPORT"), event("RESTART_BM", id_=SECOND_ID)]
    again = position(
        quarantined("remediation-succeeded", events=events), requests=[request(SENT, WAITING, id_=SECOND_ID)]
    )
    assert reopened(gave_up, again._replace(needs_people=False))
    assert again.terminal is False
    assert not reopened(again, gave_up)
    assert not reopened(gave_up, gave_up)


def test_since_is_the_last_sign_of_progress() -> None:
    assert position(node(condition())).since == int(FAULT)
    assert position(quarantined()).since == int(FAULT) + 1
    drained = document(quarantine="Quarantined", eviction="Succeeded", drain_time=FAULT + 60)
    assert position(quarantined("drain-succeeded"), event=drained).since == FAULT + 60
    asked = request(SENT, ("NodeReady", "False", "Timeout"), completed=FAULT + 1500)
    assert position(after(), requests=[asked]).since == int(FAULT) + 1500
    assert position(node(CLEARED, released=FAULT + 392), incident=SEEN_HELD).since == int(FAULT) + 392


def test_a_repair_reads_well() -> None:
    asked = request(SENT, ("NodeReady", "False", "Timeout"), completed=FAULT + 1500, message="not ready within 25m0s")
    assert (
        str(repair(asked)) == f"RebootNode maintenance-{NODE}-{ID}: NodeReady=False (Timeout): not ready within 25m0s"
    )
    assert repair({"kind": "RebootNode"}).progress == "waiting"


# Nobody is acting

STALLS = [
    # the view, seconds since the last sign, what is said, for how long (inf: nobody will)
    *(
        (row.topic, row.view, 0.0, FOREVER)
        for row in ROWS
        if "p" in row.flags and row.phase not in ("cancelled", "deleted", "released")
    ),
    ("quarantined for 9m59s", {"node": quarantined()}, 599.0, None),
    ("quarantined for 10m", {"node": quarantined()}, 600.0, 600.0),
    ("draining for an hour", {"node": quarantined("draining")}, 3600.0, 3600.0),
    ("detected for 10m", {"node": node(condition())}, 600.0, 600.0),
    ("rebooting", {"node": after(), "requests": [request(SENT, WAITING)]}, 3600.0, None),
    ("janitor is not there", {"node": after(), "requests": [request()]}, 600.0, 600.0),
    ("healthy", {"node": node()}, 9999.0, None),
    ("recovered", {"node": node(CLEARED, released=FAULT + 392), "incident": SEEN_HELD}, 9999.0, None),
    ("deleted", {"node": None, "incident": SEEN_HELD}, 9999.0, None),
    ("released", {"node": node(CLEARED, cordoned=True), "incident": SEEN_HELD}, 9999.0, None),
    ("not looked", {"node": UNSEEN}, 9999.0, None),
    ("not fatal", {"node": node(), "event": document(fatal=False)}, 9999.0, None),
    ("not released", {"node": after(CLEARED)}, 600.0, 600.0),
]


@pytest.mark.parametrize(
    ("view", "idle_s", "said_s"), [entry[1:] for entry in STALLS], ids=[entry[0] for entry in STALLS]
)
def test_nobody_acts(view: dict[str, Any], idle_s: float, said_s: float | None) -> None:
    found = position(view["node"], **{key: value for key, value in view.items() if key != "node"})
    stall = stalled(found, found.since + idle_s)
    assert (stall.idle_s if stall else None) == said_s
    assert stall is None or found.reason in stall.reason


def test_a_human_who_took_over_has_time_to_act() -> None:
    found = position(node(condition(), annotations={"quarantinedNodeUncordonedManually": "True"}))
    assert stalled(found, T0 + 300, moved_at=T0 + 200) is None
    stall = stalled(found, T0 + 800, moved_at=T0 + 200)
    assert stall == (f"{found.reason}, for 10m00s", 600.0)


def test_progress_that_was_seen_counts_beside_what_the_objects_show() -> None:
    found = position(quarantined("draining"))
    assert stalls_at(found) == found.since + 600
    assert stalls_at(found, moved_at=found.since + 50, after_s=60) == found.since + 110
    assert stalls_at(position(node())) is None


# Partial views

OPERATIONS = (
    "fault", "clear", "quarantine",
    "draining", "drain-succeeded", "drain-failed", "remediating", "remediation-succeeded",
    "remediation-failed", "order", "fail", "release", "human cordon", "human uncordon", "trip", "lose label",
    "lose annotation", "lose signature",
)  # fmt: skip


class Truth:
    """A node and what is around it, changed as NVSentinel and people change it."""

    def __init__(self) -> None:
        self.now = FAULT
        self.marks: dict[str, Any] = {
            "state": "",
            "events": None,
            "cordoned": False,
            "cordon_by": False,
            "released": 0.0,
        }
        self.annotations: dict[str, str] = {}
        self.condition = condition(status="False", at=T0 - 9000)
        self.requests: list[Any] = []
        self.breaker = breaker()
        self.document = document()
        self.cordoned_by_nvsentinel = False

    def node(self) -> dict[str, Any]:
        return node(self.condition, annotations=self.annotations, **self.marks)

    def play(self, operation: str) -> None:
        self.now += 5
        marks = self.marks
        held = marks["events"] is not None
        if operation in ("fault", "clear"):
            self.condition = condition(status="True" if operation == "fault" else "False", at=self.now)
        elif operation == "quarantine" and not held:
            human = marks["cordoned"]
            self.cordoned_by_nvsentinel = not human
            self.annotations = {"quarantineHealthEventCordonPreExisting": "True"} if human else {}
            marks.update(
                state="quarantined", events=[event(at=self.now)], cordoned=True, cordon_by=not human, released=0.0
            )
            self.document = document(quarantine="Quarantined")
        elif operation in (*STATES, "drain-failed", "remediation-failed") and held:
            marks["state"] = operation
        elif operation in ("order", "fail"):
            wrong = (("SignalSent", "False", "Failed"),) if operation == "fail" else (SENT, WAITING)
            self.requests = [request(*wrong)]
        elif operation == "release" and held:
            human = "quarantineHealthEventCordonPreExisting" in self.annotations
            self.cordoned_by_nvsentinel = False
            self.annotations = {}
            marks.update(state="", events=None, cordoned=human, cordon_by=False, released=0.0 if human else self.now)
            self.document = document(healthy=True, quarantine="UnQuarantined", generated_time=self.now)
        elif operation == "human cordon":
            marks["cordoned"] = True
        elif operation == "human uncordon" and marks["cordoned"]:
            marks["cordoned"] = self.cordoned_by_nvsentinel = False
            if held:
                self.annotations = {"quarantinedNodeUncordonedManually": "True"}
                marks.update(state="", events=None)
                self.document = document(quarantine="Cancelled")
        elif operation == "trip":
            self.breaker = breaker("TRIPPED")
        elif operation.startswith("lose") and sum(map(bool, (marks["state"], marks["events"], marks["cordon_by"]))) > 1:
            marks.update({"lose label": {"state": ""}, "lose annotation": {"events": None},
                          "lose signature": {"cordon_by": False}}[operation])  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from(OPERATIONS), st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.booleans()
        ),
        max_size=14,
    )
)
def test_no_sequence_of_partial_views_calls_a_node_recovered_that_nvsentinel_keeps_cordoned(looks: list[Any]) -> None:
    truth = Truth()
    incident = Incident(NODE, FAULT)
    stale = truth.document
    for operation, looked, with_requests, with_breaker, with_document, fresh in looks:
        truth.play(operation)
        stale = truth.document if fresh else stale
        if looked:
            incident = observe(incident, truth.node(), truth.now)
        found: Position = position(
            truth.node() if looked else UNSEEN,
            requests=truth.requests if with_requests else UNSEEN,
            breaker=truth.breaker if with_breaker else UNSEEN,
            event=stale if with_document else None,
            incident=incident,
        )
        assert found.phase in PHASES
        if truth.cordoned_by_nvsentinel or not looked:
            assert found.phase != "recovered"
        if truth.cordoned_by_nvsentinel and looked:
            assert found.held
        if found.phase == "recovered":
            assert not truth.marks["cordoned"] or incident.cordoned_before
