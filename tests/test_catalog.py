"""Finding and reading the runbooks of a project, and staying inside it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from nvsx.catalog import Catalog, read_runbook
from nvsx.errors import DocumentInvalid, EnvironmentUnusable, NotFoundHere, UsageError
from nvsx.names import alias

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
apiVersion: nvsx/v1
kind: Runbook
metadata: {{name: {name}{more}}}
stages:
  - id: detect
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "runbooks/hooks").mkdir(parents=True)
    (tmp_path / "scripts").mkdir()
    write(tmp_path, "gpu-off-bus", ", nickname: rogue-moose, title: Off the bus, tags: [xid-79, infra]")
    write(tmp_path, "thermal")
    return tmp_path


def write(root: Path, name: str, more: str = "", text: str = "") -> Path:
    file = root / f"runbooks/{name}.yaml"
    file.write_text(text or TEXT.format(name=name, more=more))
    return file


def test_names_and_summaries(root: Path) -> None:
    catalog = Catalog(root)
    assert catalog.names() == ("gpu-off-bus", "thermal")
    first, second = catalog.summaries()
    assert (first.nickname, first.title, first.tags, first.problem) == (
        "rogue-moose",
        "Off the bus",
        ("xid-79", "infra"),
        "",
    )
    assert (second.nickname, second.title) == (alias("thermal"), "thermal")


@pytest.mark.parametrize("wanted", ["gpu-off-bus", "rogue-moose", "#rogue-moose"])
def test_a_runbook_has_a_name_and_a_nickname(root: Path, wanted: str) -> None:
    assert Catalog(root).load(wanted).name == "gpu-off-bus"


def test_a_derived_nickname_finds_its_runbook(root: Path) -> None:
    assert Catalog(root).load(f"#{alias('thermal')}").name == "thermal"


def test_a_name_comes_before_a_nickname(root: Path) -> None:
    write(root, "rogue-moose")
    assert Catalog(root).load("rogue-moose").name == "rogue-moose"
    write(root, "another", ", nickname: rogue-moose")
    with pytest.raises(UsageError, match="several runbooks are called #rogue-moose"):
        Catalog(root).load("#rogue-moose")


def test_not_found_lists_what_there_is_and_where_it_looked(root: Path) -> None:
    with pytest.raises(NotFoundHere) as caught:
        Catalog(root).load("gpu-of-bus")
    assert str(root / "runbooks") in caught.value.message
    assert "did you mean `gpu-off-bus`?" in caught.value.hint
    assert "gpu-off-bus (#rogue-moose)" in caught.value.hint
    assert "thermal" in caught.value.hint
    with pytest.raises(NotFoundHere) as caught:
        Catalog(root).load("#roge-moose")
    assert "did you mean `#rogue-moose`?" in caught.value.hint


@pytest.mark.parametrize(
    "wanted", ["../../evil/x", "..", "a/b", "/etc/passwd", "", "-x", "a.yaml", "#", "A", "x\0y", "a" * 64]
)
def test_names_are_slugs(root: Path, wanted: str) -> None:
    with pytest.raises(UsageError):
        Catalog(root).load(wanted)


BROKEN = {
    "not-yaml": ("metadata: [\n", "is not YAML"),
    "no-metadata": ("a: 1\n", "it has no metadata"),
    "a-list": ("- a\n", "it has no metadata"),
    "other-name": (TEXT.format(name="thermal", more=""), "must be the file's name, other-name"),
    "other-version": (TEXT.format(name="other-version", more="").replace("/v1", "/v9"), "apiVersion must be nvsx/v1"),
    "Upper": (TEXT.format(name="Upper", more=""), "cannot be a runbook's file"),
}


def test_a_broken_file_is_listed_with_its_fault_and_hides_no_other(root: Path) -> None:
    for name, (text, _) in BROKEN.items():
        write(root, name, text=text)
    (root / "runbooks/old.yml").write_text(TEXT.format(name="old", more=""))
    (root / "runbooks/README.md").write_text("not a runbook")
    found = {summary.name: summary.problem for summary in Catalog(root).summaries()}
    assert {name for name, problem in found.items() if not problem} == {"gpu-off-bus", "thermal"}
    for name, (_, problem) in BROKEN.items():
        assert problem in found[name]
    assert "rename it to old.yaml" in found["old"]
    assert set(found) == {*BROKEN, "old", "gpu-off-bus", "thermal"}


def test_a_summary_reads_no_further_than_metadata(root: Path) -> None:
    write(root, "long", text=TEXT.format(name="long", more="") + "    watch: [\n")
    assert not next(summary for summary in Catalog(root).summaries() if summary.name == "long").problem
    with pytest.raises(DocumentInvalid):
        Catalog(root).load("long")


def test_all_faults_of_a_file_at_once(root: Path) -> None:
    write(root, "bad", text="kind: Runbook\nmetadata: {name: worse}\nstages: [{id: detct}, {id: drain, timeout: 0s}]\n")
    with pytest.raises(DocumentInvalid) as caught:
        Catalog(root).load("bad")
    assert [problem.path for problem in caught.value.problems] == [
        "",
        "metadata.name",
        "stages[0].id",
        "stages[1].timeout",
    ]
    assert all(problem.place.file.endswith("runbooks/bad.yaml") for problem in caught.value.problems)


def test_examine_raises_nothing(root: Path) -> None:
    write(root, "bad", text="kind: [")
    write(root, "worse", text="kind: x\n")
    catalog = Catalog(root)
    assert catalog.examine("bad").document is None
    assert catalog.examine("worse").problems
    assert catalog.examine("thermal").runbook
    assert not catalog.examine("thermal").problems


def test_paths_are_resolved_below_the_root(root: Path) -> None:
    hook, script = root / "runbooks/hooks/a.sh", root / "scripts/b.sh"
    hook.write_text("")
    script.write_text("")
    catalog = Catalog(root)
    assert catalog.resolve_hook("hooks/a.sh") == hook.resolve()
    assert catalog.resolve_script("scripts/b.sh") == script.resolve()
    (root / "runbooks/hooks/link.sh").symlink_to("../../scripts/b.sh")
    assert catalog.resolve_hook("hooks/link.sh") == script.resolve()
    with pytest.raises(NotFoundHere):
        catalog.resolve_hook("hooks/none.sh")


def test_links_out_of_the_root_are_refused(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "evil.sh").write_text("")
    (outside / "evil.yaml").write_text(TEXT.format(name="evil", more=""))
    (root / "runbooks/hooks/evil.sh").symlink_to(outside / "evil.sh")
    (root / "runbooks/hooks/folder").symlink_to(outside)
    (root / "runbooks/evil.yaml").symlink_to(outside / "evil.yaml")
    catalog = Catalog(root)
    for hook in ("hooks/evil.sh", "hooks/folder/evil.sh", "../../../../etc/passwd"):
        with pytest.raises((EnvironmentUnusable, NotFoundHere)):
            catalog.resolve_hook(hook)
    with pytest.raises(EnvironmentUnusable, match="leads out of the project"):
        catalog.load("evil")
    assert "leads out" in next(summary.problem for summary in catalog.summaries() if summary.name == "evil")
    (root / "scripts/loop").symlink_to("loop")
    with pytest.raises(NotFoundHere):
        catalog.resolve_script("scripts/loop")


def test_a_linked_root_is_a_root(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    link = tmp_path_factory.mktemp("home") / "project"
    link.symlink_to(root)
    assert Catalog(link).load("thermal").name == "thermal"


@pytest.mark.parametrize("path", [".", "runbooks", "runbooks/thermal.yaml"])
def test_what_everybody_may_write_is_refused(root: Path, path: str) -> None:
    target = root / path
    target.chmod(target.stat().st_mode | 0o002)
    with pytest.raises(EnvironmentUnusable) as caught:
        Catalog(root).load("thermal")
    assert caught.value.hint == f"chmod o-w {target}"


def test_a_root_without_runbooks_is_empty(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    assert catalog.names() == catalog.summaries() == ()
    with pytest.raises(NotFoundHere, match="it holds none"):
        catalog.load("x")
    with pytest.raises(NotFoundHere, match="no directory"):
        Catalog(tmp_path / "typo")


def test_the_bundled_library_loads() -> None:
    catalog = Catalog(None)
    assert catalog.bundled
    assert "gpu-off-bus" in catalog.names()
    for name in catalog.names():
        assert catalog.load(name).name == name
    assert not any(summary.problem for summary in catalog.summaries())
    with pytest.raises(NotFoundHere):
        catalog.load("nope")
    with pytest.raises(NotFoundHere):
        catalog.resolve_hook("hooks/incident/acknowledge.sh")


def test_a_text_is_read_with_all_its_faults() -> None:
    assert read_runbook(TEXT.format(name="x", more=""), "x.yaml").stages[0].title == "Detect the fault"
    with pytest.raises(DocumentInvalid):
        read_runbook("", "x.yaml")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
@pytest.mark.parametrize("folder", ["", "runbooks"])
def test_a_root_that_belongs_to_somebody_else_is_refused_even_when_it_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "runbooks").mkdir()
    os.chown(tmp_path / folder, 65534, 65534)
    with pytest.raises(EnvironmentUnusable, match=r"belongs to another user \(uid 65534\)") as refused:
        Catalog(tmp_path)
    assert "chown" in refused.value.hint
