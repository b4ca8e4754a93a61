"""Metrics: read by Prometheus's own parser, named by its rules, written to a file in one step."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.app.metricsfile import write_metrics
from nvsx.documents import read_yaml
from nvsx.errors import EnvironmentUnusable
from nvsx.metrics import COUNTER, FAMILIES, GAUGE, HISTOGRAM, Histogram, exposition
from nvsx.topics import TOPICS

if TYPE_CHECKING:
    from pathlib import Path

parser = pytest.importorskip("prometheus_client.parser")


def parsed(figures: Any) -> dict[str, Any]:
    return {family.name: family for family in parser.text_string_to_metric_families(exposition(figures))}


def everything() -> dict[str, dict[tuple[str, ...], float | Histogram]]:
    return {
        name: {("x",) * len(family.labels): Histogram(family.bounds) if family.kind == HISTOGRAM else 1.0}
        for name, family in FAMILIES.items()
    }


def test_the_official_parser_reads_all_of_it() -> None:
    families = parsed(everything())
    assert families.keys() == {name.removesuffix("_total") for name in FAMILIES}
    for name, family in FAMILIES.items():
        found = families[name.removesuffix("_total")]
        assert (found.type, found.documentation) == (family.kind, family.help)


@pytest.mark.parametrize("name", FAMILIES)
def test_names_follow_the_rules(name: str) -> None:
    """What `promtool check metrics` would complain about; the rules of prometheus.io/docs/practices/naming."""
    family = FAMILIES[name]
    assert re.fullmatch(r"nvsx_[a-z0-9]+(_[a-z0-9]+)*", name)
    assert name.endswith("_total") == (family.kind == COUNTER)
    assert not re.search(r"_(count|sum|bucket|gauge|counter|histogram|ms|milliseconds|minutes)(_|$)", name)
    assert not name.endswith("_info") or family.kind == GAUGE
    assert "timestamp" not in name or name.endswith("_timestamp_seconds")
    assert "duration" not in name or name.endswith("_duration_seconds")
    assert family.help.endswith(".")
    assert "\n" not in family.help
    assert "_by_" not in name
    assert not {"le", "quantile", "job", "instance"} & set(family.labels)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", label) for label in family.labels)
    assert (family.kind == HISTOGRAM) == bool(family.bounds)
    assert list(family.bounds) == sorted(set(family.bounds))


def test_help_names_every_metric_and_its_rules_ask_for_none_that_is_not_there() -> None:
    told = TOPICS["metrics"][1]()
    listed, rules = told.split("Rules to begin with:")
    assert re.findall(r"^  (nvsx_\w+)", listed, re.MULTILINE) == list(FAMILIES)
    expressions = [rule["expr"] for rule in read_yaml(rules, "rules").data["groups"][0]["rules"]]
    assert set(re.findall(r"nvsx_\w+", " ".join(expressions))) <= FAMILIES.keys()
    assert max(map(len, told.splitlines())) <= 120


def test_what_is_not_counted_is_not_told() -> None:
    assert exposition({}) == ""
    assert exposition({"nvsx_runs_total": {}}) == ""


def test_a_name_that_nobody_knows_is_a_defect() -> None:
    with pytest.raises(KeyError, match="nvsx_runs_totle"):
        exposition({"nvsx_runs_totle": {(): 1.0}})


def test_labels_must_be_as_many_as_the_family_has() -> None:
    with pytest.raises(ValueError, match="zip"):
        exposition({"nvsx_runs_total": {("gpu-off-bus",): 1.0}})


@given(st.text(), st.text(), st.floats(allow_nan=False, allow_infinity=False))
def test_any_text_is_a_label_and_any_number_a_value(runbook: str, status: str, value: float) -> None:
    line = exposition({"nvsx_runs_total": {(runbook, status): value}})
    assert line.count("\n") == 3 or not (runbook + status).isprintable()
    if not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", runbook + status):  # the parser is of another mind
        (sample,) = parsed({"nvsx_runs_total": {(runbook, status): value}})["nvsx_runs"].samples
        assert sample.labels == {"runbook": runbook, "status": status}
        assert sample.value == value


@given(st.lists(st.floats(0, 1e6)))
def test_a_histogram_counts_each_value_in_its_bucket(values: list[float]) -> None:
    bounds = FAMILIES["nvsx_stage_duration_seconds"].bounds
    histogram = Histogram(bounds)
    for value in values:
        histogram.observe(value)
    samples = parsed({"nvsx_stage_duration_seconds": {("drain", "pass"): histogram}})[
        "nvsx_stage_duration_seconds"
    ].samples
    buckets = {float(each.labels["le"]): each.value for each in samples if each.name.endswith("_bucket")}
    assert buckets == {bound: sum(value <= bound for value in values) for bound in (*bounds, math.inf)}
    told = {each.name.rpartition("_")[2]: each.value for each in samples if not each.name.endswith("_bucket")}
    assert told["count"] == len(values)
    assert told["sum"] == pytest.approx(sum(values))


def test_the_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "nvsx.prom"
    write_metrics(path, {"nvsx_ready": {(): 0.0}})
    before = path.stat().st_ino
    write_metrics(path, everything())
    assert path.stat().st_ino != before
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text("utf-8") == exposition(everything())


def test_a_file_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "nvsx.prom").mkdir()
    (tmp_path / "nvsx.prom" / "x").touch()
    with pytest.raises(EnvironmentUnusable, match="cannot write the metrics file"):
        write_metrics(tmp_path / "nvsx.prom", everything())
    assert [each.name for each in tmp_path.iterdir()] == ["nvsx.prom"]
    with pytest.raises(EnvironmentUnusable, match="No such file"):
        write_metrics(tmp_path / "nothing" / "nvsx.prom", everything())
