"""T9 as a measurement: random stories of reports, runs, silences and restarts; nvsx's admission against the model.

Each story has a seed of its own: `--seed N --count 1` plays the one that is told of again.
"""

from __future__ import annotations

import random
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.trust import storyline
from tests.trust.storyline import Shelf, Story

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

MOST_FAULTS = 5
TOGETHER = 1000
"""Stories of one task: a process that dies takes no more than these with it."""

SHOWN = 3
"""So many of the stories that went wrong are told."""


class Played(NamedTuple):
    stories: int
    steps: int
    restarts: int
    wrong: list[str]  # the seeds of those that went wrong, their steps, and how


def measure(count: int, args: argparse.Namespace) -> dict[str, object]:
    """`python -m tests.trust stories`: so many of 40 steps each, in `--jobs` processes."""
    began = time.monotonic()
    seeds = [range(args.seed + first, args.seed + min(first + TOGETHER, count)) for first in range(0, count, TOGETHER)]
    with ProcessPoolExecutor(args.jobs) as pool:
        parts = list(pool.map(played, seeds))
    wrong = [one for part in parts for one in part.wrong]
    return {
        "stories": sum(part.stories for part in parts),
        "steps": sum(part.steps for part in parts),
        "restarts": sum(part.restarts for part in parts),
        "disagreed": len(wrong),
        "which": wrong[:SHOWN],
        "seconds": round(time.monotonic() - began),
    }


def played(seeds: Sequence[int]) -> Played:
    """Play the stories of these seeds on one ledger."""
    wrong = []
    steps = 0
    with closing(Shelf()) as shelf:
        for seed in seeds:
            story, told = shelf.story(), list[str]()
            try:
                play(story, random.Random(seed), told)
            except Exception:  # whatever went wrong, it is told
                wrong.append(f"seed {seed}: {', '.join(told)}: {traceback.format_exc(limit=-2)}")
            steps += len(told)
            story.end()
    return Played(len(seeds), steps, shelf.restarts, wrong)


def play(story: Story, rng: random.Random, told: list[str]) -> None:
    """Take random steps; what they are is put into `told`. Each story does without some kinds, so that others come in
    a row that they would else never make.
    """
    kinds = [kind for kind in STEPS if rng.random() < 0.8] or list(STEPS)
    for _ in range(storyline.STEPS):
        kind = rng.choice([one for one in kinds if _is_possible(one, story)] or ["time_passes"])
        told.append(kind)
        STEPS[kind](story, rng)
        story.agree()


def passed(figures: dict[str, object]) -> bool:
    return figures["stories"] != 0 and figures["disagreed"] == 0


def _is_possible(kind: str, story: Story) -> bool:
    if kind in ("run_ends", "run_pages"):
        return bool(story.model.unfinished)
    return kind != "speaks_again" or bool(story.model.hushes)


def _drawn(fields: Mapping[str, Sequence[Any]], rng: random.Random) -> dict[str, Any]:
    return {name: rng.choice(values) for name, values in fields.items()}


STEPS: Mapping[str, Callable[[Story, random.Random], None]] = {
    "nodes_fail": lambda story, rng: story.nodes_fail(
        [_drawn(storyline.FAULT, rng) for _ in range(rng.randint(1, MOST_FAULTS))]
    ),
    "report": lambda story, rng: story.report(_drawn(storyline.REPORT, rng)),
    "run_ends": lambda story, rng: story.run_ends(rng.choice(story.unfinished)),
    "run_pages": lambda story, rng: story.run_pages(rng.choice(story.unfinished), rng.choice(storyline.PAGES)),
    "nodes_are_released": lambda story, _: story.nodes_are_released(),
    "time_passes": lambda story, rng: story.time_passes(rng.choice(storyline.PAUSES_S)),
    "is_silenced": lambda story, rng: story.is_silenced(**_drawn(storyline.SILENCE, rng)),
    "speaks_again": lambda story, _: story.speaks_again(),
    "restarts": lambda story, _: story.restarts(),
}
