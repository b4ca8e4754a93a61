"""`nvsx run --resume`: goes on with a run whose process died, on the cluster and from the text it began with."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvsx import __version__
from nvsx.app.live import carry_out, shown_commands
from nvsx.app.records.recorded import claim_again
from nvsx.app.records.recovery import take_up
from nvsx.catalog import read_runbook
from nvsx.engine.plan import Plan, TriggerFacts
from nvsx.errors import EnvironmentUnusable, Refused
from nvsx.settings import secret_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nvsx.app.live import Session
    from nvsx.ledger import RunRecord
    from nvsx.ports import Sink


async def resume_live(word: str, session: Session, sink: Callable[[], Sink]) -> int:
    """Take up the unfinished run that `word` means, and return its exit code. Raises where it has ended, is under way
    elsewhere, or belongs to another cluster.
    """
    with session.ledger() as ledger, _directory_of(session):
        if ledger is None:
            raise EnvironmentUnusable("no run can be resumed without a ledger", hint="nvsx --state-dir DIR …")
        record = ledger.run(ledger.find(word).id)
        with shown_commands(verbose=session.settings.verbose):
            cluster = await session.connect(str(record.plan.get("context", "")))
            identity = await cluster.identity()
            if record.run.cluster not in ("", identity):
                raise Refused(
                    f"run {record.run.id} is about another cluster ({record.run.cluster}, this is {identity})",
                    hint=f"nvsx --context CTX run --resume {record.run.id}",
                )
            await claim_again(ledger, record.run.id)
            record, history = await take_up(ledger, record.run.id)
            return await carry_out(_plan(record, session), history, session, cluster, ledger, sink)


@contextmanager
def _directory_of(session: Session) -> Iterator[None]:
    """This command's own directory holds the pinned context only, and goes with it: the run has one already."""
    try:
        yield
    finally:
        shutil.rmtree(session.places.run_dir, ignore_errors=True)


def _plan(record: RunRecord, session: Session) -> Plan:
    run, told, trigger = record.run, record.plan, record.trigger
    base = session.places.run_dir.parent / run.id
    run_dir = Path(told.get("run_dir") or base)
    artifact_dir = Path(told.get("artifact_dir") or base / "artifacts")
    artifact_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Plan(
        runbook=read_runbook(record.runbook_text, str(told.get("runbook_file") or f"{run.runbook}.yaml")),
        run_id=run.id,
        cluster=run.cluster,
        context=session.context,
        namespace=str(told.get("namespace") or session.settings.namespace),
        target_node=run.node,
        target_alias=run.alias,
        since=float(told.get("since") or trigger.get("since") or run.created),
        root=_root(told, session),
        run_dir=str(run_dir),
        artifact_dir=str(artifact_dir),
        environment=session.hook_environment,
        nvsx_version=__version__,
        secrets=secret_values(session.settings),
        drill=run.drill,
        repeat_count=int(told.get("repeat_count") or 1),
        trigger=TriggerFacts(
            source=str(trigger.get("source", "manual")),
            file=str(trigger.get("file", "")),
            incident_key=str(trigger.get("incident_key", "")),
            facts=trigger.get("facts") or {},
        ),
    )


def _root(told: Mapping[str, Any], session: Session) -> str:
    """The project root that the run began with; this command's own where that is gone."""
    root = str(told.get("root", ""))
    return root if root and Path(root).is_dir() else str(session.root)
