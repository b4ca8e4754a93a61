"""The schemas are sound, agree with the code that reads without them, and tell the README's tables."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nvsx.catalog import (
    config_schema,
    explain,
    piece_names,
    read_runbook,
    runbook_schema,
    schema_of_tests,
    schema_piece,
)
from nvsx.documents import read_yaml
from nvsx.errors import NotFoundHere
from nvsx.model import RUN_HOOKS, STAGE_HOOKS, STAGE_IDS
from nvsx.runbook.emit import block
from nvsx.runbook.grammar import FORMS
from nvsx.runbook.kinds import COMMON, EFFECTS, KINDS, STATE_NAMES
from nvsx.runbook.parse import parse
from nvsx.runbook.reference import described, refreshed
from nvsx.watches import table
from tests.corpus import PAGE, TESTS_PAGE

SCHEMAS = {"runbook": runbook_schema(), "config": config_schema(), "test": schema_of_tests()}
RUNBOOK = SCHEMAS["runbook"]
DEFS = RUNBOOK["$defs"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_is_a_schema_with_a_public_name(name: str) -> None:
    schema = SCHEMAS[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"].endswith(f"/schemas/{name}.schema.json")
    assert schema["title"]
    assert schema["description"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_field_is_described_and_unknown_ones_are_refused(name: str) -> None:
    schema = SCHEMAS[name]
    for piece in (schema, *(part for part in schema.get("$defs", {}).values() if "properties" in part)):
        assert piece.get("additionalProperties") is not None
        for key, field in piece["properties"].items():
            target = schema.get("$defs", {}).get(field.get("$ref", "").rpartition("/")[2], {})
            known = field.get("description") or target.get("description")
            assert known or "const" in field, key


@pytest.mark.parametrize("name", FORMS)
def test_the_forms_are_the_same_in_code_and_schema(name: str) -> None:
    ours = re.sub(r"\\x([0-9a-f]{2})", r"\\u00\1", FORMS[name].pattern)
    assert DEFS[name]["pattern"] == f"^{ours}$"
    assert DEFS[name]["maxLength"] == FORMS[name].longest
    assert DEFS[name]["errorMessage"].startswith("must be")


@pytest.mark.parametrize("kind", KINDS)
def test_the_kinds_are_the_same_in_code_and_schema(kind: str) -> None:
    piece = DEFS[f"watch.{kind}"]
    assert list(piece["properties"]) == ["kind", *KINDS[kind]]
    assert piece["required"] == ["kind", *(name for name, field in KINDS[kind].items() if field.required)]
    assert set(COMMON) <= set(KINDS[kind]) or kind in ("log", "training-log")


def test_the_closed_sets_are_the_same_in_code_and_schema() -> None:
    assert DEFS["stage"]["properties"]["id"]["enum"] == list(STAGE_IDS)
    assert list(DEFS["narration"]["properties"]) == list(STAGE_IDS)
    assert list(DEFS["runHooks"]["properties"]) == list(RUN_HOOKS)
    assert list(DEFS["stageHooks"]["properties"]) == list(STAGE_HOOKS)
    assert DEFS["watch"]["else"]["properties"]["kind"]["enum"] == list(KINDS) == list(table.KINDS)
    assert set(DEFS["watch.nvsentinel-state"]["properties"]["state"]["enum"]) == set(STATE_NAMES)
    assert DEFS["watch.taint"]["properties"]["effect"]["enum"] == list(EFFECTS)


def examples() -> list[tuple[str, Any]]:
    return [(name, example) for name, part in DEFS.items() for example in part.get("examples", ())]


@pytest.mark.parametrize(("name", "example"), examples())
def test_the_examples_are_valid(name: str, example: object) -> None:
    whole = {**RUNBOOK, "$ref": f"#/$defs/{name}"}
    for key in ("required", "properties", "additionalProperties", "type"):
        whole.pop(key)
    assert list(jsonschema.Draft202012Validator(whole).iter_errors(example)) == []


def test_the_first_example_is_a_runbook() -> None:
    for example in RUNBOOK["examples"]:
        document = read_yaml(block(example), f"{example['metadata']['name']}.yaml")
        assert explain(document) == ()
        assert parse(document).stages


@pytest.mark.parametrize("name", ["", *piece_names()])
def test_every_piece_can_be_shown(name: str) -> None:
    label, piece, schema = schema_piece(name)
    text = described(label, piece, schema)
    for field in piece.get("properties", {}):
        assert field in text


def test_taint_alone_finds_the_watch_and_a_misspelt_piece_finds_its_neighbour() -> None:
    assert schema_piece("taint")[0] == "watch.taint"
    with pytest.raises(NotFoundHere) as caught:
        schema_piece("watch.tant")
    assert caught.value.hint == "nvsx show --schema watch.taint"


def test_the_readme_tells_what_the_schema_says() -> None:
    page = PAGE.read_text("utf-8")
    assert refreshed(page, RUNBOOK) == page, "run: python -m tests.corpus"
    for name, part in DEFS.items():
        assert "title" not in part or name.startswith(("watch", "narration")) or f"<!-- fields of: {name} -->" in page
    for kind in KINDS:
        assert f"| `{kind}` |" in page


def test_the_page_on_tests_tells_what_their_schema_says() -> None:
    page = TESTS_PAGE.read_text("utf-8")
    assert refreshed(page, SCHEMAS["test"]) == page, "run: python -m tests.corpus"
    for name, part in SCHEMAS["test"]["$defs"].items():
        assert "title" not in part or name == "stages" or f"<!-- fields of: {name} -->" in page


def test_the_readme_s_runbook_loads() -> None:
    texts = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (text,) = [text for text in texts if "kind: Runbook" in text]
    assert read_runbook(text, "inforom-corrupt.yaml").stages


def test_editors_find_the_schema_from_the_line_at_the_top() -> None:
    root = Path(__file__).parent.parent
    files = [*root.glob("runbooks/*.yaml"), root / "tests/examples/valid/everything.yaml"]
    for file in files:
        found = re.match(r"# yaml-language-server: \$schema=(\S+)\n", file.read_text("utf-8"))
        assert found, file
        assert json.loads((file.parent / found[1]).resolve().read_text("utf-8"))["$id"] == RUNBOOK["$id"]
