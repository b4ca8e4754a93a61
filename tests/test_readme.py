"""Every command of the README is typed as it stands there, in its order, by somebody with one file in a directory.

`HOW` says how each kind of line is typed, `SENTENCES` what stands for the commands inside sentences and tables. A line
that neither knows is a failure, and so is an entry that the README has no line for.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

from nvsx.cells import width
from nvsx.commands import COMMANDS
from nvsx.commands.help import command_help
from nvsx.model import STAGE_IDS
from nvsx.sinks.choose import MODES
from nvsx.topics import TOPICS, exit_codes
from tests.frames.sizes import file_of
from tests.readme import PATIENCE_S, PICTURE, README, Line, Newcomer, blocks, lines, typed
from tests.rehearsing import CHECKOUT
from tests.servers.claude import good_answer, message, playing
from tests.servers.kube import KubeServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Way = Callable[[Newcomer, Line], None]

PAGE = README.read_text("utf-8")
needs_tools = pytest.mark.skipif(
    not all(shutil.which(name) for name in ("kubectl", "curl", "make")), reason="kubectl, curl or make is missing"
)


@pytest.fixture
def newcomer(pyz: Path, tmp_path: Path) -> Iterator[Newcomer]:
    with KubeServer("xid-79", tmp_path, speed=60.0) as kube:
        made = Newcomer(tmp_path, pyz, kube)
        try:
            yield made
        finally:
            made.leave()


# The ways to type a line


def as_it_stands(*says: str) -> Way:
    def way(who: Newcomer, line: Line) -> None:
        said = who.run(line.text)
        assert all(words in said for words in says), said

    return way


def check_target(who: Newcomer, line: Line) -> None:
    """make builds and tests for minutes: here it only says what it would do."""
    assert who.run(f"make -n PYTHON=python3 {line.command.removeprefix('make')}", cwd=CHECKOUT)


def check_requirement(who: Newcomer, line: Line) -> None:
    """Nothing is fetched: the project's own extras have to exist, and other packages have to be among them."""
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (wanted,) = shlex.split(line.command)[2:]
    found = re.fullmatch(r"\.(?:\[(\w+)\])?|(\w+)", wanted)
    assert found, wanted
    assert found[1] is None or found[1] in extras
    if found[2]:
        assert found[2] in {re.split(r"[^\w-]", each)[0] for each in extras["convert"]}
        who.install_sdk()


ASKED = (
    # what `setup` asks, what a person types
    (r"Use this cluster\? \[Y/n\] ", ""),
    (r"Which\? \[all\]: ", ""),
    (r"Write these \d+ files to [^?]*\? \[y/n[^]]*\] ", "y"),
    (r"Slack, incoming webhook: ", ""),
    (r"PagerDuty, [^:]*: ", ""),
    (r"Opsgenie, [^:]*: ", ""),
    (r"Jira, address: ", ""),
    (r"Write this file to [^?]*\? \[y/n[^]]*\] ", "y"),
    (r"Rehearse gpu-off-bus now\? \[Y/n\] ", ""),
)


def at_the_keyboard(who: Newcomer, line: Line) -> None:
    child = pexpect.spawn(
        "bash", ["-c", line.text], cwd=str(who.place), env=who.env, encoding="utf-8", timeout=60,  # type: ignore[arg-type]
        dimensions=(24, 80),
    )  # fmt: skip
    for question, reply in ASKED:
        child.expect(question)
        child.sendline(reply)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    assert "gpu-off-bus: PASSED" in child.before


def while_it_happens(who: Newcomer, line: Line) -> None:
    """The fault comes while somebody looks."""
    with subprocess.Popen(
        ["bash", "-c", line.text], cwd=who.place, env=who.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as run:  # fmt: skip
        assert run.stdout
        for said in run.stdout:
            if '"stage_begin"' in said and '"detect"' in said:
                who.kube.play()
        assert run.wait(PATIENCE_S) == 0, run.stderr.read() if run.stderr else ""


with socket.socket() as _probe:
    _probe.bind(("127.0.0.1", 0))
    PORT = str(_probe.getsockname()[1])


def on_loopback(command: str) -> str:
    """The README's server listens to everybody, at a port that may be taken here."""
    return command.replace("0.0.0.0", "127.0.0.1").replace("8080", PORT)


def in_the_background(who: Newcomer, line: Line) -> None:
    who.start(on_loopback(line.command), "ready:")


def until_ctrl_c(who: Newcomer, line: Line) -> None:
    who.end(who.start(line.command, "ready:"), signal.SIGINT)


def to_the_server(who: Newcomer, line: Line) -> None:
    """The answer is the documented one; then the run and the server are ended."""
    said = who.run(on_loopback(f"{line.text} 2>/dev/null"))
    promised = json.loads(line.answer.replace(", …}", "}"))
    answered = json.loads(said)
    assert answered["status"] == promised["status"], said
    assert list(answered)[: len(promised)] == list(promised)
    assert {name: value for name, value in answered.items() if promised.get(name, "…") != "…"} == {
        name: value for name, value in promised.items() if value != "…"
    }
    assert answered["run_id"] in who.run("nvsx cancel last")
    who.end(who.daemons[0], signal.SIGTERM)


def from_cron(who: Newcomer, line: Line) -> None:
    """A project below /opt, a Python where cron looks, and nothing in the environment but what cron gives."""
    opt = who.directory / "opt"
    shutil.copytree(who.place / "runbooks", opt / "gpu/runbooks")
    shutil.copytree(who.place / "scripts", opt / "gpu/scripts")
    shutil.copy(who.place / "nvsx.pyz", opt)
    env = opt / "gpu/nvsx.env"
    env.write_text(f"KUBECONFIG={who.kube.kubeconfig}\nPATH={who.env['PATH']}\n")
    env.chmod(0o600)
    usr = who.directory / "usr"
    usr.mkdir()
    (usr / "python3").symlink_to(sys.executable)
    cron = {"HOME": str(opt), "LOGNAME": "nvsx", "SHELL": "/bin/sh", "PATH": f"/usr/bin:/bin:{usr}"}
    at = re.fullmatch(r"((?:\S+ ){5})(.*)", line.text)
    assert at
    assert at[1] == "* * * * * "
    command = at[2].replace("/opt/", f"{opt}/")
    for _ in range(2):
        done = subprocess.run(
            ["/bin/sh", "-c", command], env=cron, cwd=opt, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
    assert said == "", "nothing is to be done or to be learned, but the second sweep speaks"


def with_the_sample_page(who: Newcomer, line: Line) -> None:
    """The page is a file of the checkout; whoever has the archive alone brings a page of his own."""
    shutil.copytree(CHECKOUT / "examples", who.place / "examples")
    who.run(line.text)


def remembered(who: Newcomer, line: Line) -> None:
    name, value = line.command.removeprefix("export ").split("=", 1)
    who.env[name] = value


def with_claude(who: Newcomer, line: Line) -> None:
    with playing([message(json.dumps(good_answer(CHECKOUT / "examples/sample-runbook.md", who.other)))]) as stage:
        who.env["ANTHROPIC_BASE_URL"] = stage.url
        who.run(line.text)
    assert len(stage.requests) == 1
    assert who.env["ANTHROPIC_API_KEY"] in "".join(stage.headers[0].values())


class Slack(BaseHTTPRequestHandler):
    heard: list[Any]

    def do_POST(self) -> None:
        self.heard.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200 if self.path == "/good" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def as_a_hook(who: Newcomer, line: Line) -> None:
    """In an environment of a hook; a Slack that refuses is a failure."""
    hook = who.place / "runbooks/hooks/told.sh"
    hook.write_text(line.text)
    Slack.heard = []
    with HTTPServer(("127.0.0.1", 0), Slack) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        who.env |= {"NVSX_TARGET_ALIAS": "brave-wombat", "NVSX_INCIDENT_MS": "61500"}
        for path, status in (("good", 0), ("bad", 22)):
            who.env["SLACK_WEBHOOK_URL"] = f"http://127.0.0.1:{server.server_port}/{path}"
            who.run(f"bash {hook}", status)
        server.shutdown()
    assert Slack.heard[0] == {"text": "GPU fault on brave-wombat, 61 s ago"}
    hook.unlink()
    for name in ("SLACK_WEBHOOK_URL", "NVSX_TARGET_ALIAS", "NVSX_INCIDENT_MS"):
        del who.env[name]


HOW: dict[str, Way] = {
    r"make \w+": check_target,
    r"pip install .*": check_requirement,
    r"scp nvsx\.pyz \S+": as_it_stands(),
    r"ssh \w+ .*list.*": as_it_stands("10 runbooks in the bundled library"),
    r"ssh \w+ 'cat > .*": as_it_stands(),
    r"\./nvsx\.pyz init .*": as_it_stands("nvsx drill my-fault"),
    r"\./nvsx\.pyz drill my-fault": as_it_stands("nvsx · my-fault · PASSED", "nothing would have been sent"),
    r"\./nvsx\.pyz setup": at_the_keyboard,
    r"\./nvsx\.pyz doctor": as_it_stands(" ok, "),
    r"\./nvsx\.pyz list": as_it_stands("9 runbooks in ", "gpu-off-bus", "my-fault"),
    r"install -D nvsx\.pyz .*": as_it_stands(),
    r"nvsx run .* --dry-run": as_it_stands("nothing was written"),
    r"nvsx run .* --target-node \S+": while_it_happens,
    r"nvsx attach last": as_it_stands("PASSED"),
    r"nvsx serve --mode webhook .*": in_the_background,
    r"nvsx serve --mode poll": until_ctrl_c,
    r"nvsx serve --mode poll --once": as_it_stands(),
    r"curl -X POST (?s:.*)": to_the_server,
    r"(\* ){5}/opt/nvsx\.pyz serve --once .*": from_cron,
    r"#!/usr/bin/env bash\n(?s:.*)": as_a_hook,
    r"nvsx convert \S+ --offline": with_the_sample_page,
    r"nvsx drill sample-runbook": as_it_stands("PASSED"),
    r"export ANTHROPIC_API_KEY=\S+": remembered,
    r"nvsx convert \S+ --dry-run": with_claude,
}

TYPED_ABOVE = ""
SENTENCES: dict[str, str] = {
    # as it stands in a sentence or a table: what is typed for it
    "make dist": "make -n -C CHECKOUT PYTHON=python3 dist",
    "make lint types test bench": "make -n -C CHECKOUT PYTHON=python3 lint types test bench",
    "make trust": "make -n -C CHECKOUT PYTHON=python3 trust",
    "pip install .": TYPED_ABOVE,
    "pip install '.[convert]'": TYPED_ABOVE,
    "nvsx": "nvsx help",
    "nvsx shell": "nvsx shell --help",
    "nvsx setup": TYPED_ABOVE,
    "nvsx doctor": TYPED_ABOVE,
    "nvsx run RUNBOOK": TYPED_ABOVE,
    "nvsx serve": TYPED_ABOVE,
    "nvsx convert": TYPED_ABOVE,
    "nvsx convert FILE.md": TYPED_ABOVE,
    "nvsx drill RUNBOOK": TYPED_ABOVE,
    "nvsx list": TYPED_ABOVE,
    "nvsx list | head": "nvsx list | head",
    "nvsx cancel RUN": TYPED_ABOVE,
    "nvsx status": "nvsx status",
    "nvsx runs": "nvsx runs",
    "nvsx attach [RUN]": TYPED_ABOVE,
    "nvsx report [RUN]": "nvsx report && nvsx report brave-wombat",
    "nvsx report --since 30d": "nvsx report --since 30d",
    "nvsx explain RUN|NODE|EVENT.json": "nvsx explain brave-wombat && nvsx explain CHECKOUT/tests/examples/events/"
    "alertmanager.json",
    "nvsx silence add|list|rm": "nvsx silence add --all --for 1h --why tested && nvsx silence rm 1",
    "nvsx demo": "nvsx demo --speed 2000",
    "nvsx test [RUNBOOK…]": "cd / && nvsx test storm",
    "nvsx show RUNBOOK": "nvsx show my-fault",
    "nvsx lint": "nvsx lint my-fault",
    "nvsx init SLUG": TYPED_ABOVE,
    "nvsx manifest KIND": TYPED_ABOVE,
    "nvsx manifest cron|systemd|kubernetes": "nvsx manifest cron && nvsx manifest systemd",
    "nvsx manifest kubernetes": "nvsx manifest kubernetes",
    "nvsx help TOPIC": " && ".join(f"nvsx help {topic}" for topic in TOPICS),
    "nvsx help webhook": TYPED_ABOVE,
    "nvsx help cron": TYPED_ABOVE,
    "nvsx help metrics": TYPED_ABOVE,
    "nvsx completion SHELL": "nvsx completion bash | bash -n",
    "nvsx version --verify": "nvsx version --verify",
}


def way_of(line: Line) -> list[Way]:
    return [way for pattern, way in HOW.items() if re.fullmatch(pattern, line.command)]


@needs_tools
@pytest.mark.timeout(400)  # the archive may have to be built first, on a machine that does other things
def test_every_command_does_what_the_readme_says(newcomer: Newcomer) -> None:
    for line in lines(PAGE):
        try:
            way_of(line)[0](newcomer, line)
        except BaseException as error:
            error.add_note(f"README.md:{line.number}: {line.text}")
            raise
    for text, command in SENTENCES.items():
        try:
            newcomer.run(command.replace("CHECKOUT", str(CHECKOUT)))
        except BaseException as error:
            error.add_note(f"README.md: `{text}`")
            raise


def test_every_command_of_the_readme_has_its_way() -> None:
    found = lines(PAGE)
    assert len(found) > 25
    for line in found:
        assert len(way_of(line)) == 1, f"README.md:{line.number}: nothing, or too much, types {line.text}"
    unused = [pattern for pattern in HOW if not any(re.fullmatch(pattern, line.command) for line in found)]
    assert unused == []
    assert typed(PAGE) == set(SENTENCES)


# What the README says and something else knows


def table(heading: str) -> list[tuple[str, str]]:
    rows = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [tuple(re.split(r" (?<!\\)\| ", row.strip("| "), maxsplit=1)) for row in rows]  # type: ignore[misc]


def test_the_exit_codes_are_those_of_the_help() -> None:
    assert table("Exit code | Means") == [(str(code), meaning) for code, meaning in exit_codes().items()]


def test_the_table_of_commands_has_every_command_and_no_other() -> None:
    named = {name for row, _ in table("Command | Does") for name in re.findall(r"`nvsx (\w+)", row)}
    assert named == set(COMMANDS)


def test_every_flag_exists() -> None:
    known = "\n".join(command_help(name) for name in COMMANDS)
    for flag in set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", PAGE)):
        assert re.search(rf"(?<![\w-]){flag}(?![\w-])", known), flag


def test_the_closed_sets_are_those_of_the_code() -> None:
    assert " ".join(mode for mode in MODES if mode != "auto") in PAGE
    own = [stage for stage in STAGE_IDS if stage not in ("baseline", "inject")]
    assert f"`{' '.join(own)}`" in PAGE
    shipped = {file.stem for file in (CHECKOUT / "runbooks").glob("*.yaml")}
    told = PAGE.partition("## Runbooks")[2].partition("```")[0]
    assert {name for name in shipped if re.search(rf"[`/]{name}[`.]", told)} == shipped
    assert f"{['Eight', 'Nine', 'Ten', 'Eleven'][len(shipped) - 9]} more ship beside it" in told


def test_the_picture_is_what_the_deck_draws() -> None:
    [(_, picture)] = blocks(PAGE, "text")
    assert picture == file_of(*PICTURE).read_text("utf-8")
    assert max(width(line) for line in picture.splitlines()) <= 80


def test_it_can_be_read_in_one_go() -> None:
    assert len(PAGE.splitlines()) < 400
    for link in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert Path(CHECKOUT, link).exists(), link
