"""Checks of this machine: programs, the project, the env file and the state directory."""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from nvsx import __version__
from nvsx.cluster import processes
from nvsx.doctor.finding import Finding, count, fail, ok, some, warn
from nvsx.ledger.troubles import NETWORK_FILE_SYSTEMS, file_system

if TYPE_CHECKING:
    from nvsx.doctor.ground import Ground

TOOL_TIMEOUT_S = 10.0
OLD_BASH = 4
LITTLE_SPACE, TOO_LITTLE_SPACE = 1 << 30, 64 << 20
_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)?")


async def python(ground: Ground) -> Finding:
    return ok(f"{platform.python_version()}, nvsx {__version__}")


async def kubectl(ground: Ground) -> Finding:
    return ok(await ground.client_version() or "present")


async def tools(ground: Ground) -> Finding:
    """What hooks are written in, and what sends their messages."""
    wants_mongosh = bool(ground.site.settings.mongo_uri)
    asked = ("bash", "curl", *(("mongosh",) if wants_mongosh else ()))  # mongosh takes a second to tell its version
    versions = {name: await _version(ground, name) for name in asked}
    shown = [f"{name} {version}" for name, version in versions.items() if version]
    if not versions["bash"]:
        return fail("bash is missing: no hook and no prerequisite can run", "sudo apt-get install bash")
    if int(versions["bash"].partition(".")[0]) < OLD_BASH:
        return warn(f"bash {versions['bash']} is old: the shipped hooks want 4 or newer", "bash --version")
    if wants_mongosh and not versions["mongosh"]:
        hint = "https://www.mongodb.com/try/download/shell, or unset NVSX_MONGO_URI"
        return fail("mongosh is missing, and NVSX_MONGO_URI needs it", hint)
    if not versions["curl"]:
        return warn("curl is missing: the shipped hooks send with it", "sudo apt-get install curl")
    if not wants_mongosh:
        there = shutil.which("mongosh", path=ground.site.environment.get("PATH"))
        shown.append("mongosh" if there else "no mongosh (only NVSX_MONGO_URI needs one)")
    return ok(", ".join(shown))


async def _version(ground: Ground, program: str) -> str:
    """A program's version; "" where it cannot be started."""
    environment = dict(ground.site.environment)
    try:
        answer = await processes.capture(
            [program, "--version"], env=environment, cwd="/", timeout_s=TOOL_TIMEOUT_S, clock=ground.site.clock
        )
    except processes.CannotStart:
        return ""
    found = _VERSION.search(answer.stdout.decode("utf-8", "replace"))
    return found[0] if found else "0"


async def project(ground: Ground) -> Finding:
    """Where runbooks come from, and what was passed over on the way."""
    settings = ground.site.settings
    number = len(ground.catalog().names())
    if settings.bundled:
        text = f"only the {number} bundled runbooks: none of your own yet"
        return warn(text, "nvsx setup", *settings.notes)
    found = count(number, "runbook")
    if not number:
        return fail(f"no runbook in {ground.catalog().where}", "nvsx setup")
    if settings.notes:
        return warn(f"{found} in {settings.project}; {settings.notes[0]}", f"ls -ld {settings.project}/runbooks")
    return ok(f"{found} in {settings.project}")


async def env_file(ground: Ground) -> Finding:
    settings = ground.site.settings
    if settings.env_problem:
        return fail(settings.env_problem.message, settings.env_problem.hint)
    if settings.env_file is None:
        return ok("none; hooks get what nvsx was started with")
    mode = stat.S_IMODE(settings.env_file.stat().st_mode)
    return ok(f"{settings.env_file.name}, mode {mode:04o}, {count(len(settings.env_values), 'variable')}")


async def state_directory(ground: Ground) -> Finding:
    """The nearest directory that is there decides: doctor makes none itself."""
    chosen = ground.site.settings.state_dir
    there = _nearest(chosen)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        owner = ground.site.settings.uid
        hint = f"sudo install -d -m 700 -o {owner} {chosen}, or nvsx --state-dir DIR"
        return fail(f"{chosen} cannot be written to: no run can be recorded there", hint)
    kind, _ = file_system(str(_real(there)))
    if kind in ("proc", "sysfs", "cgroup2", "devtmpfs"):
        return fail(f"{chosen} is in {kind}, where nothing can be kept", "nvsx --state-dir DIR")
    if kind in NETWORK_FILE_SYSTEMS:
        hint = "nvsx --state-dir DIR, on a disk of this machine"
        return fail(f"{chosen} is on {kind}, where file locks cannot be relied on", hint)
    free = shutil.disk_usage(there).free
    text = f"{chosen}, {kind or 'unknown file system'}, {_size(free)} free"
    if kind == "tmpfs":
        return warn(f"{text}: a reboot forgets every run", "nvsx --state-dir DIR, on a disk")
    if free < TOO_LITTLE_SPACE:
        return fail(text, f"df -h {there}")
    if free < LITTLE_SPACE:
        return warn(text, f"df -h {there}")
    return ok(text)


async def hook_variables(ground: Ground) -> Finding:
    """Whether what hooks say they require is set; a hook without it tells nobody."""
    from nvsx.runbook.requires import requirements

    environment = ground.site.environment
    wanting: dict[str, list[str]] = {}
    texts = ground.hook_texts()
    for hook, text in texts.items():
        for variable in requirements(text):
            if not environment.get(variable):
                wanting.setdefault(variable, []).append(hook)
    if not wanting:
        return ok(f"all that {count(len(texts), 'hook')} require is set")
    names = sorted(wanting, key=lambda name: -len(wanting[name]))
    hooks = {hook for found in wanting.values() for hook in found}
    details = [f"{name}: {some(sorted(wanting[name]))}" for name in names]
    file = ground.site.settings.env_file or (ground.site.settings.project or Path()) / "nvsx.env"
    hint = f"echo '{names[0]}=…' >> {file} && chmod 600 {file}"
    missing = f"{names[0]} is not set" if len(names) == 1 else f"{some(names)} are not set"
    return warn(f"{missing}: {len(hooks)} of {count(len(texts), 'hook')} ask for that", hint, *details)


def _nearest(path: Path) -> Path:
    for one in (path, *path.parents):
        try:
            if one.exists():
                return one
        except OSError:
            continue
    return Path("/")


def _size(number: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} TB"


def _real(path: Path) -> Path:
    """The path without links, which a mount table does not know."""
    return path.resolve()
