"""nvsx.yaml as the program sees it, and the silences in it."""

from __future__ import annotations

from typing import Any

import pytest

from nvsx.catalog import config_schema
from nvsx.config import Config, ConfigInvalid, Heartbeat, Limits, Silence, covers, read_config
from nvsx.documents import problems, read_yaml
from nvsx.selectors import parse_labels

WHOLE = """
cluster: prod-a
hooks: {onBlind: hooks/lib/page.sh}
heartbeat: {url: "https://hc.example/x", every: 30s}
limits: {maxHooks: 4, stormWindow: 1m}
silences:
  - {selector: "pool=h100", from: "2026-12-24T12:00Z", until: "2026-12-24T18:00Z", why: driver update, by: mara}
sources:
  grafana: {format: grafana, secretFiles: [secrets/grafana], timestampHeader: X-Stamp, runbooks: [gpu-off-bus]}
  home: {format: map, map: {node: host.name}, observe: true}
"""
NOON, SIX = 1798113600.0, 1798135200.0


def config(text: str) -> Config:
    document = read_yaml(text, "nvsx.yaml")
    assert problems(document, config_schema()) == ()
    return read_config(document.data)


def test_everything_that_may_stand_there() -> None:
    found = config(WHOLE)
    assert found.cluster == "prod-a"
    assert found.heartbeat == Heartbeat(url="https://hc.example/x", every_s=30.0)
    assert found.limits == Limits(max_hooks=4, storm_window_s=60.0)
    assert found.silences[0][:4] == (SIX, "driver update", "2026-12-24T18:00Z", NOON)
    assert found.sources["grafana"].timestamp_header == "X-Stamp"
    assert found.sources["home"].map == {"node": "host.name"}


@pytest.mark.parametrize("text", ["", "{}", "cluster: x"])
def test_what_is_left_out_has_its_default(text: str) -> None:
    assert config(text or "{}").limits == Limits()
    assert read_config(None) == Config()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('silences: [{until: "2026-02-30T00:00Z", why: x}]', ("silences", 0, "until")),
        ('silences: [{from: "2026-03-01T00:00Z", until: "2026-03-01T00:00Z", why: x}]', ("silences", 0, "until")),
        ('silences: [{selector: "a in", until: "2026-03-01T00:00Z", why: x}]', ("silences", 0, "selector")),
    ],
)
def test_what_has_the_form_and_no_meaning_is_refused_with_its_place(text: str, path: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        config(text)
    assert refused.value.path == path


@pytest.mark.parametrize(
    "text", ["sources: {x: {format: map}}", "sources: {x: {format: grafana, map: {node: a}}}", "sources: {x: {}}"]
)
def test_a_map_and_its_format_go_together(text: str) -> None:
    assert problems(read_yaml(text, "nvsx.yaml"), config_schema())


@pytest.mark.parametrize(
    ("silence", "time", "expected"),
    [
        (Silence(SIX, "x"), SIX - 1, True),
        (Silence(SIX, "x"), SIX, False),
        (Silence(SIX, "x", start=NOON), NOON - 1, False),
        (Silence(SIX, "x", start=NOON), NOON, True),
        (Silence(SIX, "x", node="gpu-*"), NOON, True),
        (Silence(SIX, "x", node="gpu-8"), NOON, False),
        (Silence(SIX, "x", selector="pool=h100,!cpu"), NOON, True),
        (Silence(SIX, "x", selector="pool=a100"), NOON, False),
        (Silence(SIX, "x", runbook="gpu-off-bus"), NOON, True),
        (Silence(SIX, "x", runbook="gpu-reset"), NOON, False),
    ],
)
def test_a_silence_covers_what_it_names_and_only_then(silence: Silence, time: float, *, expected: bool) -> None:
    assert covers(silence, time, "gpu-7", {"pool": "h100"}, "gpu-off-bus") is expected


@pytest.mark.parametrize("text", ["a in", "a b", "=x", "a=b=c", "a in (", ",", "a,,b"])
def test_a_selector_that_the_api_server_would_refuse_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="label selector"):
        parse_labels(text)
