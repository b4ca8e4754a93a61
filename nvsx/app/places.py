"""The directories of one run: private to nvsx, one per run, and never in the way of another run's artifacts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

from nvsx.errors import EnvironmentUnusable


class RunPlaces(NamedTuple):
    """Absolute and existing."""

    run_dir: Path
    artifact_dir: Path


def make_places(base: Path, run_id: str) -> RunPlaces:
    """`base/runs/RUN_ID` and its artifact directory, readable by nobody else."""
    run_dir = base / "runs" / run_id
    artifacts = run_dir / "artifacts"
    try:
        artifacts.mkdir(mode=0o700, parents=True)
        run_dir.chmod(0o700)
    except OSError as error:
        raise EnvironmentUnusable(
            f"cannot make the run's directory {run_dir}: {error.strerror}", hint="nvsx --state-dir DIR"
        ) from error
    return RunPlaces(run_dir, artifacts)


def temporary_base(prefix: str) -> Path:
    """A new private directory for what should not touch the state directory; kept, because its artifacts are shown."""
    try:
        return Path(tempfile.mkdtemp(prefix=prefix))
    except OSError as error:
        raise EnvironmentUnusable(
            f"no temporary directory can be written: {error.strerror or error}", hint="TMPDIR=/some/where nvsx …"
        ) from error
