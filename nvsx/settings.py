"""Where nvsx's settings come from, and the only place that reads the environment on its own behalf.

Flags come before variables, variables before `nvsx.yaml`, that before the defaults. A variable may stand in the
process's environment or in the env file, because cron has no environment.
"""

from __future__ import annotations

import os
from stat import S_ISREG
from typing import TYPE_CHECKING, NamedTuple

from nvsx.errors import EnvironmentUnusable, NotFoundHere, NvsxError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VARIABLES = {
    # variable: (the flag it stands for, meaning)
    "NVSX_PROJECT_ROOT": ("--project", "project root"),
    "NVSX_CONTEXT": ("--context", "kubectl context"),
    "NVSX_NAMESPACE": ("--namespace", "NVSentinel's namespace"),
    "NVSX_STATE_DIR": ("--state-dir", "where runs are recorded"),
    "NVSX_ENV_FILE": ("--env-file", "file of KEY=value lines"),
    "NVSX_MONGO_URI": ("--mongo-uri", "NVSentinel's MongoDB"),
}
"""The only variables that are settings. What nvsx gives to hooks is never read back."""

DEFAULT_NAMESPACE = "nvsentinel"
SHARED_STATE = "/var/lib/nvsx"
CONFIG_FILE = "nvsx.yaml"
ENV_FILE = "nvsx.env"
_CONFIG_KEYS = {"--context": "context", "--namespace": "namespace", "--state-dir": "stateDir", "--env-file": "envFile"}
_SECRET_NAMES = ("TOKEN", "SECRET", "PASSWORD")
_SECRET_ENDINGS = ("_KEY", "WEBHOOK_URL")
_SHORTEST_SECRET = 8
_RICH_TERMS = ("256", "direct", "kitty", "alacritty", "ghostty", "wezterm")


class Settings(NamedTuple):
    """What one command works with; resolved once, then only passed on."""

    project: Path | None  # the project root; None: only the bundled library was found
    context: str  # kubectl context, "" for the current one
    namespace: str  # NVSentinel's
    state_dir: Path  # chosen, not yet created: see `state_directory`
    env_file: Path | None
    env_values: Mapping[str, str]  # the variables of the env file
    env_problem: NvsxError | None  # why the env file could not be used; raised where its values are needed
    mongo_uri: str
    color: str  # auto, always or never, with NO_COLOR and TERM taken into account
    deep_color: bool  # the terminal has 24-bit colour
    few_colors: bool  # the terminal has 16 colours only
    verbose: bool
    home: Path | None
    uid: int
    notes: tuple[str, ...]  # what was passed over while looking, for -v and doctor

    @property
    def bundled(self) -> bool:
        return self.project is None


def load(
    flags: Mapping[str, str], *, environ: Mapping[str, str] | None = None, directory: Path | None = None
) -> Settings:
    """Settings from the global flags (`--name` to value) and the environment, as seen from a working directory."""
    environ = os.environ if environ is None else environ
    home = _home(environ)
    notes: list[str] = []
    project = _project(flags.get("--project") or environ.get("NVSX_PROJECT_ROOT", ""), directory, home, notes)
    config = _config(project)
    chosen = {flag: flags.get(flag) or environ.get(name, "") for name, (flag, _) in VARIABLES.items()}
    env_file = _env_file(chosen["--env-file"], config.get("--env-file", ""), project)
    values, problem = _read_env_file(env_file)
    for name, (flag, _) in VARIABLES.items():
        chosen[flag] = chosen[flag] or values.get(name, "") or config.get(flag, "")

    from nvsx.names import check_context, check_namespace

    return Settings(
        project=project,
        context=check_context(chosen["--context"]) if chosen["--context"] else "",
        namespace=check_namespace(chosen["--namespace"] or DEFAULT_NAMESPACE),
        state_dir=_state_dir(chosen["--state-dir"], environ, home),
        env_file=env_file,
        env_values=values,
        env_problem=problem,
        mongo_uri=chosen["--mongo-uri"],
        color=_color(flags.get("--color", ""), environ),
        deep_color=environ.get("COLORTERM", "") in ("truecolor", "24bit"),
        few_colors=not any(word in environ.get("TERM", "") for word in _RICH_TERMS),
        verbose="--verbose" in flags,
        home=home,
        uid=os.getuid(),
        notes=tuple(notes),
    )


def process_environment(
    settings: Settings, *, env_file: bool = True, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment for what nvsx starts: its own, and over it the env file as if that had been sourced.

    Only a variable that is a setting of nvsx keeps the value of the process, which is the nearer one. Raises the
    problem with the env file, if there was one; `env_file=False` leaves the file out (demo, drill and test).
    """
    own = dict(os.environ if environ is None else environ)
    if not env_file:
        return own
    if settings.env_problem:
        raise settings.env_problem
    return own | {
        name: value for name, value in settings.env_values.items() if not (name in VARIABLES and own.get(name))
    }


def secret_values(settings: Settings | None, environ: Mapping[str, str] | None = None) -> frozenset[str]:
    """What must not be shown anywhere: the env file's values and those of variables named like secrets."""
    own = os.environ if environ is None else environ
    named = {value for name, value in own.items() if _is_secret_name(name)}
    filed = (
        {value for name, value in settings.env_values.items() if not name.startswith("NVSX_")} if settings else set()
    )
    uri = {settings.mongo_uri} if settings else set()
    return frozenset(value for value in named | filed | uri if len(value) >= _SHORTEST_SECRET)


def state_directory(settings: Settings) -> Path:
    """The state directory, created if it is not there yet (0700, parents too); EnvironmentUnusable if it cannot be."""
    path = settings.state_dir
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentUnusable(
            f"cannot create the state directory {path}: {error.strerror}",
            hint="nvsx --state-dir DIR, with a directory that you may write to",
        ) from error
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        raise EnvironmentUnusable(
            f"the state directory {path} is on a read-only file system", hint=f"findmnt -T {path}; or --state-dir DIR"
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise EnvironmentUnusable(
            f"the state directory {path} is not writable", hint=f"sudo chown {settings.uid} {path}, or --state-dir DIR"
        )
    return path


def state_directory_or_scratch(settings: Settings) -> tuple[Path, str]:
    """The state directory, or a new private temporary one and a note that says so: the run matters more."""
    try:
        return state_directory(settings), ""
    except EnvironmentUnusable as error:
        from pathlib import Path
        from tempfile import mkdtemp

        try:
            scratch = Path(mkdtemp(prefix="nvsx-"))
        except OSError:
            raise error from None
        return scratch, f"{error.message}; this run is recorded in {scratch} only"


def _home(environ: Mapping[str, str]) -> Path | None:
    from pathlib import Path

    if environ.get("HOME", "").startswith("/"):
        return Path(environ["HOME"])
    try:
        from pwd import getpwuid

        return Path(getpwuid(os.getuid()).pw_dir)
    except (KeyError, ImportError):
        return None


def _project(named: str, directory: Path | None, home: Path | None, notes: list[str]) -> Path | None:
    from pathlib import Path

    if named:
        root = Path(named).expanduser().absolute()
        _may_enter(root)
        if not root.is_dir():
            raise NotFoundHere(f"the project root {root} is not a directory", hint=f"mkdir -p {root}/runbooks")
        return root
    try:
        here = directory or Path.cwd()
    except OSError:  # the working directory was removed
        here = None
    near = [here, *here.parents] if here else []
    return next(
        (root for root in [*near, *([home / ".config/nvsx"] if home else [])] if _holds_runbooks(root, notes)), None
    )


def _may_enter(root: Path) -> None:
    """EnvironmentUnusable where this user can see nothing of a directory that is there."""
    try:
        os.stat(f"{root}/.")  # noqa: PTH116 - a Path drops the dot, which asks for the right to enter
    except PermissionError as error:
        raise EnvironmentUnusable(
            f"user {os.getuid()} may not enter the project root {root}", hint=f"namei -l {root} shows who may"
        ) from error
    except OSError:
        return


def _holds_runbooks(root: Path, notes: list[str]) -> bool:
    """Whether `root/runbooks` has an nvsx/v1 file and belongs to someone whose scripts we may run."""
    folder = root / "runbooks"
    try:
        facts = folder.stat()
        files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
        if not any(_is_runbook(file) for file in files):
            return False
    except OSError:
        return False
    if facts.st_uid not in (0, os.getuid()):
        notes.append(f"{folder} is passed over: it belongs to another user")
        return False
    if facts.st_mode & 0o002:
        notes.append(f"{folder} is passed over: everybody may write to it (chmod o-w {folder})")
        return False
    return True


def _is_runbook(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            head = stream.read(4096)
    except OSError:
        return False
    return any(
        line.startswith(b"apiVersion") and line.partition(b":")[2].split(b"#")[0].strip(b" \t\r\"'") == b"nvsx/v1"
        for line in head.split(b"\n")
    )


def _config(project: Path | None) -> dict[str, str]:
    """The settings that `nvsx.yaml` may hold, by flag; the rest of that file is for the daemon."""
    file = project / CONFIG_FILE if project else None
    if not file or not file.is_file():
        return {}
    from nvsx.documents import load_document

    data = load_document(file).data
    if not isinstance(data, dict):
        return {}
    return {flag: data[key] for flag, key in _CONFIG_KEYS.items() if isinstance(data.get(key), str)}


def _env_file(named: str, configured: str, project: Path | None) -> Path | None:
    """The env file as flag or variable name it, as `nvsx.yaml` does (from the root), or the root's own if any."""
    from pathlib import Path

    if named:
        return Path(named).expanduser().absolute()
    if not project:
        return None
    file = project / Path(configured or ENV_FILE).expanduser()
    return file if configured or file.exists() else None


def _read_env_file(file: Path | None) -> tuple[dict[str, str], NvsxError | None]:
    if not file:
        return {}, None
    try:
        # Opened first and asked afterwards, so that the file that is checked is the file that is read.
        with file.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            # A device such as /dev/null, which stands for "no env file", holds no secret to protect.
            if S_ISREG(mode) and mode & 0o004:
                raise EnvironmentUnusable(
                    f"the env file {file} can be read by every user of this machine", hint=f"chmod 640 {file}"
                )
            text = stream.read().decode()
    except OSError as error:
        return {}, EnvironmentUnusable(f"cannot read the env file {file}: {error.strerror}", hint=f"ls -l {file}")
    except UnicodeDecodeError:
        return {}, EnvironmentUnusable(f"the env file {file} is not UTF-8", hint=f"file {file}")
    except NvsxError as error:
        return {}, error
    from nvsx.envfile import parse_env

    try:
        return parse_env(text, str(file)), None
    except NvsxError as error:
        return {}, error


def _state_dir(named: str, environ: Mapping[str, str], home: Path | None) -> Path:
    from pathlib import Path

    if named:
        return Path(named).expanduser().absolute()
    shared = Path(SHARED_STATE)
    try:
        facts = shared.stat()
        if facts.st_uid == os.getuid() or (facts.st_mode & 0o020 and facts.st_gid in {os.getgid(), *os.getgroups()}):
            return shared
    except OSError:
        pass
    base = environ.get("XDG_STATE_HOME", "")
    if base.startswith("/"):
        return Path(base) / "nvsx"
    if home:
        return home / ".local/state/nvsx"
    from tempfile import gettempdir

    return Path(gettempdir()) / f"nvsx-{os.getuid()}"


def _color(flag: str, environ: Mapping[str, str]) -> str:
    if flag and flag != "auto":
        return flag
    return "never" if environ.get("NO_COLOR") or environ.get("TERM") == "dumb" else "auto"


def _is_secret_name(name: str) -> bool:
    if name.startswith("NVSX_"):
        return name == "NVSX_MONGO_URI"
    return any(part in name for part in _SECRET_NAMES) or name.endswith(_SECRET_ENDINGS)
