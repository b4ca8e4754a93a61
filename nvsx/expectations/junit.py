"""JUnit XML, the one form of test results that every CI system reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree

if TYPE_CHECKING:
    from collections.abc import Sequence

_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class CaseReport(NamedTuple):
    """A test as CI shows it: `failures` are what did not hold, `error` is why it could not be tried."""

    suite: str
    name: str
    file: str
    line: int
    seconds: float
    failures: Sequence[str] = ()
    error: str = ""
    output: Sequence[str] = ()


def junit(cases: Sequence[CaseReport]) -> str:
    """The document, one suite for each runbook in the order in which they come."""
    root = ElementTree.Element("testsuites", {"name": "nvsx test", **_totals(cases)})
    for suite in dict.fromkeys(case.suite for case in cases):
        mine = [case for case in cases if case.suite == suite]
        element = ElementTree.SubElement(root, "testsuite", {"name": suite, **_totals(mine)})
        for case in mine:
            _add(element, case)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _add(suite: ElementTree.Element, case: CaseReport) -> None:
    element = ElementTree.SubElement(
        suite,
        "testcase",
        classname=_clean(case.suite),
        name=_clean(case.name),
        file=_clean(case.file),
        line=str(case.line),
        time=f"{case.seconds:.3f}",
    )
    if case.error:
        ElementTree.SubElement(element, "error", message=_clean(case.error.partition("\n")[0])).text = _clean(
            case.error
        )
    if case.failures:
        first = case.failures[0].partition("\n")[0]
        more = f" (and {len(case.failures) - 1} more)" if len(case.failures) > 1 else ""
        failure = ElementTree.SubElement(element, "failure", message=_clean(first + more))
        failure.text = _clean("\n".join(case.failures))
    if case.output:
        ElementTree.SubElement(element, "system-out").text = _clean("\n".join(case.output))


def _totals(cases: Sequence[CaseReport]) -> dict[str, str]:
    return {
        "tests": str(len(cases)),
        "failures": str(sum(1 for case in cases if case.failures and not case.error)),
        "errors": str(sum(1 for case in cases if case.error)),
        "time": f"{sum(case.seconds for case in cases):.3f}",
    }


def _clean(text: str) -> str:
    """XML 1.0 cannot hold most control characters, not even escaped."""
    return _NOT_IN_XML.sub("\ufffd", text)
