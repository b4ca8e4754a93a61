"""Starter runbooks: what `nvsx init` and the first-run wizard begin a team's own runbook with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsx.runbook.faults import ANY_SITE, FAULTS, starter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nvsx.catalog import Catalog
    from nvsx.runbook.faults import Site


def shipped(runbook: str) -> dict[str, Any]:
    """The data of a runbook that ships with nvsx."""
    from nvsx.catalog import Catalog
    from nvsx.documents import read_yaml

    bundled = Catalog(None)
    data: dict[str, Any] = read_yaml(bundled.read(runbook), bundled.label(runbook)).data
    return data


def starter_for(
    fault: str, about: Mapping[str, str], hooks: Mapping[str, str], site: Site = ANY_SITE
) -> dict[str, Any]:
    """A runbook for one of FAULTS, as data; `about`, `hooks` and `site` as `nvsx.runbook.faults.starter` takes them."""
    return starter(shipped(FAULTS[fault].runbook), about, hooks, site)


def free_nickname(name: str, taken: Iterable[str]) -> str:
    """A nickname from the words of the aliases that nobody in the library has yet; the same for the same library."""
    from nvsx.names import alias
    from nvsx.words import ADJECTIVES, ANIMALS

    used = set(taken)
    tries = (alias(name if not count else f"{name}/{count}") for count in range(len(ADJECTIVES) * len(ANIMALS)))
    return next((found for found in tries if found not in used), f"{alias(name)}-{len(used)}")


def nicknames(catalog: Catalog, *, but: str = "") -> tuple[str, ...]:
    """The nicknames of a library, and the names of its runbooks, which a nickname must not repeat either; without
    those of the runbook `but`.
    """
    listed = (one for one in catalog.summaries() if one.name != but)
    return tuple(word for one in listed for word in (one.nickname, one.name) if word)
