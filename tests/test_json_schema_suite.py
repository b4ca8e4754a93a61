"""The official JSON Schema test suite (draft 2020-12), put to the validator inside the archive on every Python.

The suite is in jsonschema's source distribution, which `make test` fetches.
"""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.archives import ROOT, inside, pythons

if TYPE_CHECKING:
    from pathlib import Path

SDISTS = ROOT / "build" / "suite"
KNOWN_FAILURES = 1  # what jsonschema fails with the native rpds as well

CODE = """
import json
from nvsx._vendor import jsonschema, referencing
from nvsx._vendor.referencing.jsonschema import DRAFT202012
validator = jsonschema.Draft202012Validator
with open(sys.argv[2]) as stream:
    suite = json.load(stream)
registry = referencing.Registry().with_resources(
    (uri, DRAFT202012.create_resource(contents)) for uri, contents in suite["remotes"].items()
)
failures, count = [], 0
for file, cases in suite["tests"].items():
    for case in cases:
        for test in case["tests"]:
            count += 1
            try:
                answer = validator(case["schema"], registry=registry).is_valid(test["data"])
            except Exception as error:
                answer = repr(error)
            if answer != test["valid"]:
                failures.append([file, case["description"], test["description"], answer])
print(json.dumps([count, failures]))
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The required tests of the suite and the documents they refer to, as one JSON file."""
    sdists = sorted(SDISTS.glob("jsonschema-*.tar.gz"))
    if not sdists:
        pytest.skip("the suite is not here; `make test` fetches it where there is a network")
    found: dict[str, dict[str, object]] = {"tests": {}, "remotes": {}}
    with tarfile.open(sdists[-1]) as archive:
        for member in archive:
            _, _, name = member.name.partition("/json/")
            folder, _, rest = name.partition("/")
            stream = archive.extractfile(member) if name.endswith(".json") else None
            if stream is None:
                continue
            if folder == "remotes":
                found["remotes"]["http://localhost:1234/" + rest] = json.load(stream)
            elif name.startswith("tests/draft2020-12/") and name.count("/") == 2:
                found["tests"][name.rpartition("/")[2]] = json.load(stream)
    path = tmp_path_factory.mktemp("suite") / "suite.json"
    path.write_text(json.dumps(found))
    return path


@pytest.mark.parametrize("version", sorted({"3.11", "3.12", "3.13", *pythons()}))
def test_the_official_suite_passes_inside_the_archive(version: str, pyz: Path, suite: Path) -> None:
    if version not in pythons():
        pytest.skip(f"there is no Python {version} here")
    count, failures = inside(pythons()[version], pyz, CODE, str(suite))
    assert count > 1000
    assert len(failures) <= KNOWN_FAILURES, failures
