"""`nvsx serve` as processes: signals, SIGKILL, cron, and two of them on one state directory."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.ledger.opening import FILE
from tests.daemon_site import CHECKOUT, Site, pause, stop, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path) as made:
        made.do(lambda: made.place.node("gpu-1", "gpu-2", "gpu-3"))
        yield made


def break_node(site: Site, name: str) -> None:
    site.do(lambda: site.place.break_node(name))


def listening(site: Site) -> str:
    """The URL of its webhook, once the port is open."""
    return wait_for(lambda: next((w for w in site.said().split() if w.startswith("http://")), ""), "listening")


def answered(request: urllib.request.Request | str) -> tuple[int, Mapping[str, str], Any]:
    """Status, headers and JSON of an answer, whatever its status."""
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, json.load(error)


def test_it_says_its_root_first_runs_and_stops_in_order(site: Site) -> None:
    daemon = site.poll()
    assert f"project {site.root}" in site.said().splitlines()[0]
    break_node(site, "gpu-1")
    site.after("end xid detect gpu-1")
    site.do(lambda: site.place.state("gpu-1", "drain-succeeded"))
    wait_for(lambda: "PASSED" in site.said(), "passed")
    assert site.effects[-1] == "end xid postmortem gpu-1"
    assert stop(daemon) == 0


def test_sigterm_waits_for_the_hook_and_leaves_the_rest_to_the_next_start(site: Site) -> None:
    daemon = site.poll()
    site.hold()
    break_node(site, "gpu-1")
    site.after("begin xid detect gpu-1")
    daemon.send_signal(signal.SIGTERM)
    wait_for(lambda: "stopping: waiting" in site.said(), "stopping")
    assert daemon.poll() is None
    site.let_go()
    assert daemon.wait(20) == 0
    assert site.effects == ["begin xid detect gpu-1", "end xid detect gpu-1"], "no postmortem: the run goes on later"
    assert "1 run goes on at the next start" in site.said()
    daemon = site.poll()
    site.do(lambda: site.place.state("gpu-1", "drain-succeeded"))
    site.after("end xid postmortem gpu-1")
    assert stop(daemon) == 0
    assert [line for line in site.effects if line.startswith("begin")] == [
        f"begin xid {stage} gpu-1" for stage in ("detect", "drain", "postmortem")
    ]


def test_after_the_grace_a_hook_is_cut_off_and_counts_as_unknown(site: Site) -> None:
    daemon = site.poll("--grace", "0.3")
    site.hold()
    break_node(site, "gpu-1")
    site.after("begin xid detect gpu-1")
    assert stop(daemon) == 0
    site.let_go()
    daemon = site.poll()
    site.after("end xid detect gpu-1")  # retried: that is a hook's default
    assert site.effects.count("begin xid detect gpu-1") == 2
    assert stop(daemon) == 0


def test_a_second_signal_ends_it_at_once(site: Site) -> None:
    daemon = site.poll("--grace", "1h")
    site.hold()
    break_node(site, "gpu-1")
    site.after("begin xid detect gpu-1")
    daemon.send_signal(signal.SIGINT)
    wait_for(lambda: "stopping: waiting" in site.said(), "stopping")
    daemon.send_signal(signal.SIGINT)
    assert daemon.wait(20) == 130


def test_sighup_reloads_and_refuses_a_broken_set(site: Site) -> None:
    daemon = site.poll()
    file = site.root / "runbooks/xid.yaml"
    whole = file.read_text()
    file.write_text(whole.replace("hooks/note.sh", "hooks/gone.sh"))
    daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "not reloaded, the old runbooks stay" in site.said(), "refused")
    assert "hooks/gone.sh" in site.said()
    break_node(site, "gpu-1")
    site.after("end xid detect gpu-1")
    file.write_text(whole.replace("name: xid,", "name: xid, nickname: other-otter,"))
    (site.root / "runbooks/second.yaml").write_text(whole.replace("name: xid", "name: second"))
    daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "reloaded: 2 runbooks" in site.said(), "reloaded")
    assert "at once" not in site.said()
    (site.root / "nvsx.yaml").write_text("limits: {maxHooks: 1}\n")
    daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "reloaded: 2 runbooks; 1 hook at once" in site.said(), "fewer at once")
    assert stop(daemon) == 0
    daemon = site.poll("--max-hooks", "5")
    (site.root / "nvsx.yaml").write_text("limits: {maxHooks: 2}\n")
    daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: site.said().count("reloaded: 2 runbooks") == 3, "reloaded")
    assert "2 hooks at once" not in site.said(), "the flag comes first"
    assert stop(daemon) == 0


def test_who_only_listens_says_what_it_will_never_do(site: Site) -> None:
    file = site.root / "runbooks/xid.yaml"
    stuck = file.read_text().replace("name: xid", "name: stuck").replace("trigger: {", "trigger: {stalled: 10m, ")
    (site.root / "runbooks/stuck.yaml").write_text(stuck)
    never = (
        "--mode webhook only listens: it never starts stuck (trigger.stalled), never calls onBlind of nvsx.yaml;"
        " --mode both also watches the nodes"
    )
    (site.root / "nvsx.yaml").write_text("hooks: {onBlind: hooks/note.sh}\n")
    assert stop(site.poll()) == 0
    assert "only listens" not in site.said()
    daemon = site.start("--mode", "webhook", "--port", "0", log="webhook")
    wait_for(lambda: "ready:" in site.said("webhook"), "ready")
    assert site.said("webhook").count(never) == 1
    (site.root / "nvsx.yaml").unlink()
    (site.root / "runbooks/stuck.yaml").unlink()
    daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "reloaded: 1 runbook" in site.said("webhook"), "reloaded")
    assert stop(daemon) == 0
    assert site.said("webhook").count("only listens") == 1


def test_sigkill_loses_nothing_and_repeats_nothing_that_ended(site: Site) -> None:
    daemon = site.poll()
    break_node(site, "gpu-1")
    site.after("end xid detect gpu-1")
    site.hold()
    break_node(site, "gpu-2")
    site.after("begin xid detect gpu-2")
    assert stop(daemon, signal.SIGKILL) == -signal.SIGKILL
    break_node(site, "gpu-3")
    site.let_go()
    daemon = site.poll()
    for node in ("gpu-1", "gpu-2", "gpu-3"):
        site.do(lambda node=node: site.place.state(node, "drain-succeeded"))
        site.after(f"end xid postmortem {node}")
    assert stop(daemon) == 0
    begun = [line for line in site.effects if line.startswith("begin")]
    assert begun.count("begin xid detect gpu-1") == 1
    assert begun.count("begin xid detect gpu-2") == 2, "cut off, so unknown, so tried again"
    assert begun.count("begin xid detect gpu-3") == 1


def test_two_daemons_and_a_cron_job_never_run_one_incident_twice(site: Site) -> None:
    first, second = site.poll(log="one"), site.poll(log="two")
    for node in ("gpu-1", "gpu-2", "gpu-3"):
        break_node(site, node)
    swept = site.run("--once", "--events", "nodes")
    assert swept.returncode == 0, swept.stderr
    for node in ("gpu-1", "gpu-2", "gpu-3"):
        site.do(lambda node=node: site.place.state(node, "drain-succeeded"))
        site.after(f"end xid postmortem {node}")
    assert stop(first) == stop(second) == 0
    begun = [line for line in site.effects if line.startswith("begin")]
    assert len(begun) == len(set(begun)) == 9


# Cron


def test_nothing_to_do_says_nothing_and_a_long_drain_keeps_no_other_fault_from_the_next_sweep(site: Site) -> None:
    (site.root / "nvsx.env").write_text(f"KUBECONFIG={site.kubeconfig}\nNVSX_STATE_DIR={site.state}\n")
    (site.root / "nvsx.env").chmod(0o600)
    cron = {"PATH": "/usr/bin:/bin", "HOME": str(site.directory)}  # all that cron gives
    site.argv = lambda *words: [*site.program, "serve", "--project", str(site.root), *words]  # type: ignore[method-assign]
    site.environment = cron
    quiet = site.run("--once", "--events", "nodes")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    break_node(site, "gpu-1")
    draining = site.start("--once", "--events", "nodes", log="first")
    site.after("end xid detect gpu-1")
    break_node(site, "gpu-2")
    other = site.start("--once", "--events", "nodes", log="second")
    site.after("end xid detect gpu-2")
    assert draining.poll() is None
    third = site.run("--once", "--events", "nodes")
    assert (third.returncode, third.stdout, third.stderr) == (0, "", "")
    os.kill(draining.pid, signal.SIGKILL)
    draining.wait(10)
    resumed = site.start("--once", "--events", "nodes", log="third")
    wait_for(lambda: "goes on from its record" in site.said("third"), "resumed")
    for node in ("gpu-1", "gpu-2"):
        site.do(lambda node=node: site.place.state(node, "drain-succeeded"))
    assert other.wait(30) == resumed.wait(30) == 0, site.said("third")
    begun = [line for line in site.effects if line.startswith("begin")]
    assert len(begun) == len(set(begun)) == 6


def test_a_sweep_that_sees_nothing_is_blind(site: Site) -> None:
    assert site.run("--once", "--events", "nodes").returncode == 0
    site.do(lambda: site.server.__aexit__(None, None, None))
    swept = site.run("--once", "--events", "nodes")
    site.do(site.server.__aenter__)
    assert swept.returncode == 3
    assert "blind" in swept.stdout + swept.stderr


def test_a_paused_daemon_keeps_its_runs(site: Site) -> None:
    daemon = site.poll()
    break_node(site, "gpu-1")
    site.after("end xid detect gpu-1")
    wait_for(lambda: "waiting for NVSentinel state" in site.said(), "it waits")
    pause(daemon, site.state / FILE)
    site.do(lambda: site.place.state("gpu-1", "drain-succeeded"))
    swept = site.run("--once", "--events", "nodes")
    assert (swept.returncode, swept.stdout, swept.stderr) == (0, "", "")
    assert "begin xid drain gpu-1" not in site.effects
    os.kill(daemon.pid, signal.SIGCONT)
    site.after("end xid postmortem gpu-1")
    assert stop(daemon) == 0
    assert site.effects.count("begin xid drain gpu-1") == 1


# The webhook


def test_the_first_two_lines_of_the_tutorial(site: Site) -> None:
    daemon = site.start("--mode", "webhook", "--port", "0")
    url = listening(site)
    wait_for(lambda: "ready:" in site.said(), "ready")
    body = json.dumps({"runbook": "xid", "target_node": "gpu-1"}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        said = json.load(answer)
    assert (said["status"], said["runbook"], said["target_node"]) == ("fired", "xid", "gpu-1")
    with urllib.request.urlopen(request, timeout=10) as answer:
        again = json.load(answer)
    assert (again["status"], again["run_id"]) == ("duplicate", said["run_id"])
    site.after("end xid detect gpu-1")
    base = url.removesuffix("/webhook")
    with urllib.request.urlopen(f"{base}/runs/{said['run_id']}", timeout=10) as answer:
        assert json.load(answer)["node"] == "gpu-1"
    with urllib.request.urlopen(f"{base}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert 'nvsx_runs_open{state="running"} 1' in text
    assert 'nvsx_admissions_total{source="webhook",verdict="start"} 1' in text
    with urllib.request.urlopen(f"{base}/readyz", timeout=10) as answer:
        assert json.load(answer) == {"status": "ready"}
    assert stop(daemon) == 0


def test_the_port_is_open_while_the_cluster_cannot_be_reached(site: Site) -> None:
    site.do(lambda: site.server.__aexit__(None, None, None))
    metrics = site.directory / "nvsx.prom"
    daemon = site.start("--mode", "webhook", "--port", "0", "--metrics-file", str(metrics))
    url = listening(site)
    base = url.removesuffix("/webhook")
    body = json.dumps({"runbook": "xid", "target_node": "gpu-1"}).encode()
    post = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    status, headers, said = answered(post)
    assert (status, headers["Retry-After"], said["status"]) == (503, "15", "refused")
    wait_for(lambda: "nvsx is blind" in site.said(), "it says what it cannot reach")
    status, _, said = answered(post)
    assert status == 503
    assert "which cluster" in said["reason"]
    assert answered(f"{base}/healthz")[0] == 200
    status, _, said = answered(f"{base}/readyz")
    assert (status, said["status"]) == (503, "not ready")
    assert "which cluster this is" in said["reason"]
    assert answered(f"{base}/runs")[2] == {"v": 1, "runs": [], "calls": []}
    wait_for(lambda: metrics.exists() and "nvsx_ready 0" in metrics.read_text(), "the metrics file says it too")
    site.do(site.server.__aenter__)
    site.server.write_kubeconfig(site.kubeconfig)
    wait_for(lambda: "ready:" in site.said(), "ready")
    assert site.said().count("nvsx is blind") == 1
    assert answered(f"{base}/readyz")[0] == 200
    assert answered(post)[2]["status"] == "fired"
    site.after("end xid detect gpu-1")
    assert stop(daemon) == 0


def test_while_it_waits_for_the_cluster_a_signal_ends_it(site: Site) -> None:
    site.do(lambda: site.server.__aexit__(None, None, None))
    daemon = site.start("--mode", "webhook", "--port", "0")
    wait_for(lambda: "nvsx is blind" in site.said(), "blind")
    assert stop(daemon) == 0
    site.do(site.server.__aenter__)


def test_a_restart_in_an_outage_accepts_for_the_cluster_that_it_knows(site: Site) -> None:
    daemon = site.start("--mode", "webhook", "--port", "0", log="before")
    wait_for(lambda: "ready:" in site.said("before"), "ready")
    assert stop(daemon) == 0
    site.do(lambda: site.server.__aexit__(None, None, None))
    daemon = site.start("--mode", "webhook", "--port", "0")
    url = listening(site)
    wait_for(lambda: answered(f"{url.removesuffix('/webhook')}/readyz")[0] == 200, "it would accept")
    body = json.dumps({"runbook": "xid", "target_node": "gpu-1"}).encode()
    status, _, said = answered(urllib.request.Request(url, body, {"Content-Type": "application/json"}))
    assert (status, said["status"]) == (200, "fired")
    assert stop(daemon) == 0
    site.do(site.server.__aenter__)


def test_what_it_refuses_before_it_is_ready(site: Site, tmp_path: Path) -> None:
    bad = site.run("--poll-interval", "0")
    assert bad.returncode == 2
    assert "0" in bad.stderr
    (site.root / "runbooks/xid.yaml").write_text("apiVersion: nvsx/v1\nkind: Runbook\nmetadata: {name: xid}\n")
    broken = site.run("--mode", "poll")
    assert broken.returncode == 2
    assert "xid.yaml" in broken.stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    site.argv = lambda *words: [*site.program, "serve", "--state-dir", str(site.state), *words]  # type: ignore[method-assign]
    site.root = empty
    import subprocess

    bundled = subprocess.run(
        site.argv("--mode", "poll"), env={**site.environment, "PYTHONPATH": str(site.place.directory.parents[0])},
        capture_output=True, text=True, cwd=empty, timeout=40, check=False,
    )  # fmt: skip
    assert bundled.returncode == 2
    assert "--bundled" in bundled.stderr


# The archive


def test_the_file_is_replaced_by_cp_under_a_running_daemon(site: Site, tmp_path: Path) -> None:
    """Everything is imported and read before ready: a new run, a reload, a resumed view and the webhook all work."""
    built = CHECKOUT / "nvsx.pyz"
    if not built.exists():
        pytest.skip("nvsx.pyz is not built: make build")
    alone = tmp_path / "nvsx.pyz"
    shutil.copy(built, alone)
    site.program = [sys.executable, str(alone)]
    daemon = site.poll("--mode", "both", "--port", "0")
    size = alone.stat().st_size
    with alone.open("r+b") as file:  # as cp does: the same file, other bytes
        file.write(b"garbage " * (size // 8 + 1))
    break_node(site, "gpu-1")
    site.after("end xid detect gpu-1")
    daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "reloaded: 1 runbook" in site.said(), "reloaded")
    url = next(word for word in site.said().split() if word.startswith("http://"))
    body = json.dumps({"runbook": "xid", "target_node": "gpu-2"}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.load(answer)["status"] == "fired"
    site.after("end xid detect gpu-2")
    site.do(lambda: site.place.state("gpu-1", "drain-succeeded"))
    wait_for(lambda: "PASSED" in site.said(), "passed")
    (site.root / "runbooks/xid.yaml").write_text("metadata: [\n")
    daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "not reloaded" in site.said(), "refused")
    assert stop(daemon) == 0
    assert "Traceback" not in site.said()
