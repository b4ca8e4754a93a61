"""Reads of the ledger, on a connection of their own: they see what is committed and never wait for the writer."""

from __future__ import annotations

import json
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

from nvsx.errors import NotFoundHere
from nvsx.ledger import rows
from nvsx.ledger.opening import connect
from nvsx.ledger.schema import FIRST_WITH_ALARMS, version
from nvsx.ledger.troubles import damaged, explained

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_RUN = ", ".join(rows.RunRow._fields)
_DECISION = ", ".join(rows.DecisionRow._fields)
_EVIDENCE = ", ".join(rows.EvidenceRow._fields)
_INCIDENT = ", ".join(rows.IncidentRow._fields)
_ALARM = ", ".join(rows.Alarm._fields)
UNKNOWN = "unknown"


class Reader:
    """Answers from any thread, one question at a time."""

    def __init__(self, path: Path, *, writing: bool) -> None:
        self._path = path
        try:
            self._connection = connect(path, writing=writing)
            self._has_alarms = version(self._connection) >= FIRST_WITH_ALARMS
        except sqlite3.Error as error:
            raise explained(path, error) from error
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def runs(
        self, *, limit: int = 50, node: str = "", runbook: str = "", since: float = 0.0, unfinished: bool = False
    ) -> list[rows.RunRow]:
        """Runs, the newest first. `node` is a name or an alias."""
        where, values = ["created >= ?"], [since]
        for sql, value in (("(node = ? OR alias = ?)", [node, node]), ("runbook = ?", [runbook])):
            if value[0]:
                where.append(sql)
                values += value  # type: ignore[arg-type]
        if unfinished:
            where.append("ended = 0")
        sql = f"SELECT {_RUN} FROM runs WHERE {' AND '.join(where)} ORDER BY created DESC, id DESC LIMIT ?"  # noqa: S608
        return [_run(row) for row in self.ask(sql, *values, limit)]

    def run(self, run_id: str) -> rows.RunRecord:
        """All that is known of a run. Raises NotFoundHere."""
        found = self.ask(f"SELECT {_RUN}, text_sha, trigger, plan, facts FROM runs WHERE id = ?", run_id)  # noqa: S608
        if not found:
            raise NotFoundHere(f"there is no run {run_id}", hint="nvsx runs")
        *row, sha, trigger, plan, facts = found[0]
        run = _run(row)
        texts = self.ask("SELECT text FROM texts WHERE sha = ?", sha)
        return rows.RunRecord(
            run,
            texts[0][0] if texts else "",
            self._decoded(trigger),
            self._decoded(plan),
            self._decoded(facts),
            self.stages(run_id),
            self.effects(run_id, ended=bool(run.ended)),
            self.clauses(run_id),
            self.evidence(run_id=run_id, incident=run.incident),
            self.decisions(run_id=run_id),
        )

    def facts(self, since: float = 0.0) -> dict[str, dict[str, Any]]:
        """What the cluster showed of the incidents of all runs made since a time, by the runs' ids."""
        found = self.ask("SELECT id, facts FROM runs WHERE created >= ?", since)
        return {str(run_id): self._decoded(text) for run_id, text in found}

    def stages(self, run_id: str) -> list[rows.StageRow]:
        found = self.ask(
            "SELECT stage, began, ended, status, reason, inferred, elapsed, decided FROM stages WHERE run_id = ?"
            " ORDER BY began, ended",
            run_id,
        )
        return [rows.StageRow._make((*row[:5], bool(row[5]), *row[6:])) for row in found]

    def effects(self, run_id: str, *, ended: bool = False) -> list[rows.EffectRow]:
        """Attempts of a run's processes, in order. `ended`: what has no outcome never will have one: "unknown"."""
        found = self.ask(
            "SELECT key, attempt, stage, role, name, script, intended, started, pid, start_time, ended, outcome,"
            " exit_code, outputs, missing, detail FROM effects WHERE run_id = ? ORDER BY intended, key, attempt",
            run_id,
        )
        return [
            rows.EffectRow._make(
                (
                    *row[:11],
                    row[11] or (UNKNOWN if ended else ""),
                    row[12],
                    self._decoded(row[13]),
                    tuple(self._decoded(row[14])),
                    row[15],
                )
            )
            for row in found
        ]

    def clauses(self, run_id: str) -> list[rows.ClauseRow]:
        found = self.ask(
            "SELECT stage, clause, at, detail, version, inferred FROM clauses WHERE run_id = ? ORDER BY at", run_id
        )
        return [rows.ClauseRow._make((*row[:5], bool(row[5]))) for row in found]

    def evidence(self, *, run_id: str = "", incident: int = 0) -> list[rows.EvidenceRow]:
        """What sources said about a run, or about an incident."""
        sql = f"SELECT {_EVIDENCE} FROM evidence WHERE (run_id = ? AND run_id != '') OR (incident = ? AND incident)"  # noqa: S608
        return [rows.EvidenceRow(*row) for row in self.ask(f"{sql} ORDER BY id", run_id, incident)]

    def decisions(
        self, *, run_id: str = "", node: str = "", source: str = "", since: float = 0.0, limit: int = 100
    ) -> list[rows.DecisionRow]:
        """Admission decisions, the newest first: of a run, of a node, of a source, or all."""
        where, values = ["at >= ?"], [since]
        for column, value in (("run_id", run_id), ("node", node), ("source", source)):
            if value:
                where.append(f"{column} = ?")
                values.append(value)  # type: ignore[arg-type]
        sql = f"SELECT {_DECISION} FROM decisions WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?"  # noqa: S608
        return [rows.DecisionRow._make((*row[:-1], self._decoded(row[-1]))) for row in self.ask(sql, *values, limit)]

    def nodes(self) -> list[str]:
        """Every node about which something was decided."""
        return [str(row[0]) for row in self.ask("SELECT DISTINCT node FROM decisions WHERE node != '' ORDER BY node")]

    def events(self, run_id: str, after_seq: int = -1, limit: int = 1000) -> list[tuple[int, str]]:
        """Events of a run after a number: (number, wire line)."""
        return self.ask(
            "SELECT seq, line FROM events WHERE run_id = ? AND seq > ? ORDER BY seq LIMIT ?", run_id, after_seq, limit
        )

    def last_event(self, run_id: str) -> tuple[int, float]:
        """Number and time of the last event that was kept of a run; (-1, 0.0) if there is none."""
        found = self.ask("SELECT seq, line FROM events WHERE run_id = ? ORDER BY seq DESC LIMIT 1", run_id)
        return (int(found[0][0]), float(self._decoded(found[0][1]).get("t", 0.0))) if found else (-1, 0.0)

    def find(self, word: str) -> rows.RunRow:
        """The run that a word means: its id (or the only one that begins so), `last`, or the newest of a node by name
        or alias. Raises NotFoundHere.
        """
        if word == "last":
            found = self.runs(limit=1)
        else:
            found = [_run(row) for row in self.ask(f"SELECT {_RUN} FROM runs WHERE id = ?", word)]  # noqa: S608
            found = found or self.runs(limit=1, node=word)
        if not found:
            like = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            sql = f"SELECT {_RUN} FROM runs WHERE id LIKE ? ESCAPE '\\' ORDER BY created DESC LIMIT 2"  # noqa: S608
            found = [_run(row) for row in self.ask(sql, like)] if word else []
            if len(found) > 1:
                raise NotFoundHere(
                    f"several runs begin with {word}: {found[0].id}, {found[1].id} …", hint="nvsx runs, and name one"
                )
        if not found and self.alarm(word):
            raise NotFoundHere(f"{word} is a call of nvsx's own, and no run", hint=f"nvsx explain {word}")
        if not found:
            what = "no run is recorded yet" if word == "last" else f"no run, node or alias {word} is recorded"
            raise NotFoundHere(what, hint="nvsx runs")
        return found[0]

    def incidents(self, *, open: bool = True, since: float = 0.0, node: str = "") -> list[rows.IncidentRow]:  # noqa: A002
        """Incidents, the oldest first: open ones, or all that were opened since."""
        where, values = ["opened >= ?"], [since]
        if open:
            where.append("closed = 0")
        if node:
            where.append("node = ?")
            values.append(node)  # type: ignore[arg-type]
        sql = f"SELECT {_INCIDENT} FROM incidents WHERE {' AND '.join(where)} ORDER BY id"  # noqa: S608
        return [rows.IncidentRow(*row) for row in self.ask(sql, *values)]

    def alarms(
        self, *, limit: int = 50, node: str = "", since: float = 0.0, unfinished: bool = False
    ) -> list[rows.Alarm]:
        """Calls of nvsx's own, the newest first. `node` is a name or an alias."""
        if not self._has_alarms:
            return []
        sql = f"SELECT {_ALARM} FROM alarms WHERE at >= ? AND (? = '' OR node = ? OR alias = ?)"  # noqa: S608
        if unfinished:
            sql += " AND ended = 0"
        found = self.ask(f"{sql} ORDER BY at DESC, id DESC LIMIT ?", since, node, node, node, limit)
        return [rows.Alarm(*row) for row in found]

    def alarm(self, alarm: str) -> rows.Alarm | None:
        """One call of nvsx's own, by its id."""
        if not self._has_alarms:
            return None
        found = self.ask(f"SELECT {_ALARM} FROM alarms WHERE id = ?", alarm)  # noqa: S608
        return rows.Alarm(*found[0]) if found else None

    def failed_alarms(self, cluster: str) -> dict[str, float]:
        """When a call of nvsx's own about a cluster last reached nobody, by its kind."""
        if not self._has_alarms:
            return {}
        sql = "SELECT hook, key, ended FROM alarms WHERE cluster = ? AND ended != 0 AND outcome != 'ok' ORDER BY ended"
        return {rows.alarm_kind(hook, key): ended for hook, key, ended in self.ask(sql, cluster)}

    def rung(self, scope: str, prefix: str = "") -> dict[str, str]:
        """Topics that begin so and for which people are called no more, each with the id of its alarm, if any."""
        found = self.ask("SELECT topic, alarm FROM rung WHERE scope = ?", scope)
        return {str(topic): str(alarm) for topic, alarm in found if str(topic).startswith(prefix)}

    def heard(self, scope: str) -> dict[str, float]:
        """The same topics, each with when it was last heard of."""
        found = self.ask("SELECT topic, heard FROM rung WHERE scope = ?", scope)
        return {str(topic): float(heard) for topic, heard in found}

    def repeat_count(self, cluster: str, node: str, since: float) -> int:
        """How many runs on a node were made since a time; drills do not count."""
        sql = "SELECT count(*) FROM runs WHERE cluster = ? AND node = ? AND created >= ? AND drill = 0"
        return int(self.ask(sql, cluster, node, since)[0][0])

    def cursor(self, name: str) -> str:
        """A cursor as it was kept, "" if none was."""
        found = self.ask("SELECT value FROM cursors WHERE name = ?", name)
        return str(found[0][0]) if found else ""

    def silences(self, now: float) -> list[rows.SilenceRow]:
        """Silences made by command that have neither passed nor been removed."""
        columns = ", ".join(rows.SilenceRow._fields)
        sql = f"SELECT {columns} FROM silences WHERE removed = 0 AND until > ? ORDER BY id"  # noqa: S608
        return [rows.SilenceRow(*row) for row in self.ask(sql, now)]

    def drills(self) -> list[rows.DrillRow]:
        """When each runbook was last rehearsed with success."""
        return [rows.DrillRow(*row) for row in self.ask("SELECT runbook, at, scenario FROM drills ORDER BY runbook")]

    def owner(self, owner: str) -> tuple[int, str, str] | None:
        """(pid, start time, what it is) of an owner."""
        found = self.ask("SELECT pid, start_time, what FROM owners WHERE id = ?", owner)
        return (int(found[0][0]), str(found[0][1]), str(found[0][2])) if found else None

    def _decoded(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            raise damaged(self._path, f"a text in it cannot be read: {error}") from None

    def ask(self, sql: str, *values: Any) -> list[Any]:
        """Rows of one SELECT. Raises EnvironmentUnusable where the file cannot be read."""
        try:
            with self._lock:
                return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise explained(self._path, error) from error


def _run(row: Sequence[Any]) -> rows.RunRow:
    run = rows.RunRow(*row)
    return run._replace(drill=bool(run.drill))
