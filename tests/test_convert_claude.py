"""`nvsx convert` with the real SDK against a server that plays Claude: every way in which it can go."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from nvsx import claude
from nvsx.app.drafting.prompting import draft_schema, preamble
from nvsx.main import main
from tests.rehearsing import CHECKOUT
from tests.servers.claude import Act, failure, good_answer, message, playing, tool

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = CHECKOUT / "examples/sample-runbook.md"
SECRETS = (
    "T00EXAMPLE/B00EXAMPLE/notARealWebhookOfAnybody",
    "ATATT3xNotARealTokenOfAnybody0000",
    "R0NOTAREALKEY0000000000000000000",
    "notTheRealPassword",
)
KEY = "sk-ant-test-key-of-nobody"

pytest.importorskip("anthropic")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    (root / "runbooks").mkdir(parents=True)
    monkeypatch.chdir(root)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NVSX_PROJECT_ROOT", str(root))
    monkeypatch.setenv("NVSX_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    for proxy in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
        monkeypatch.delenv(proxy.upper(), raising=False)
    return root


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("good")
    return good_answer(SAMPLE, root)


def convert(monkeypatch: pytest.MonkeyPatch, acts: list[Act], *words: str) -> tuple[int, Any]:
    with playing(acts) as stage:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", stage.url)
        return main(["convert", str(SAMPLE), *words]), stage


def written(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_good_answer_is_looked_over_and_written(
    project: Path, good: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code, stage = convert(monkeypatch, [message(json.dumps(good))])
    out, err = capfd.readouterr()
    assert code == 0, err
    assert {"runbooks/sample-runbook.yaml", "nvsx.env", "scripts/collect-metrics.sh"} < written(project)
    assert "tokens: 1200 sent, 0 from the cache, 9000 into it, 800 received" in err
    assert "kept back from it: SLACK_WEBHOOK_URL, JIRA_TOKEN, PAGERDUTY_ROUTING_KEY, IPMI_PASSWORD" in err
    assert "takes a GPU away" in out
    assert "fault-quarantine cordons" in out
    assert main(["lint", "--strict"]) == 0
    [request] = stage.requests
    assert request["model"] == "claude-opus-4-7"
    assert request["output_config"]["format"] == {"type": "json_schema", "schema": draft_schema()}
    assert request["system"][-1]["cache_control"] == {"type": "ephemeral"}
    assert [block["text"] for block in request["system"]] == list(preamble())
    for name in ("schemas/runbook.schema.json", "runbooks/gpu-off-bus.yaml"):
        assert (CHECKOUT / name).read_text() in request["system"][-1]["text"]
    assert KEY in "".join(stage.headers[0].values())


def test_no_secret_leaves_the_machine(
    project: Path, good: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = {**good, "runbook": "stages: ["}
    _, stage = convert(
        monkeypatch, [message(json.dumps(answer)) for answer in (broken, broken, good)], "--name", "sample-runbook"
    )
    told = "".join(capfd.readouterr())
    assert len(stage.raw) == 3
    env = (project / "nvsx.env").read_text()
    for secret in SECRETS:
        assert all(secret.encode() not in raw for raw in stage.raw)
        assert secret not in told
        assert secret in env
        assert all(secret not in (project / path).read_text() for path in written(project) - {"nvsx.env"})
    assert (project / "nvsx.env").stat().st_mode & 0o777 == 0o600
    assert "$SLACK_WEBHOOK_URL" in json.dumps(stage.requests[0]["messages"])


@pytest.mark.parametrize(
    "fault", ["yaml", "schema", "bash", "write", "hooks", "form", "text", "lost", "action", "path"]
)
def test_faults_go_back_and_are_mended(
    fault: str,
    project: Path,
    good: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    bad, told = broken_by(fault, good)
    code, stage = convert(monkeypatch, [message(bad), message(json.dumps(good))])
    assert code == 0, capfd.readouterr().err
    first, answer, second = stage.requests[1]["messages"]
    assert first == stage.requests[0]["messages"][0]
    assert answer == {"role": "assistant", "content": bad}
    assert told in second["content"]
    assert "/tmp" not in second["content"]
    err = capfd.readouterr().err
    assert "it goes back (1 of 2)" in err
    assert "tokens: 2400 sent, 0 from the cache, 18000 into it, 1600 received" in err


def broken_by(fault: str, good: dict[str, Any]) -> tuple[str, str]:
    """An answer with one thing wrong in it, and what has to be said about that."""
    first, *others = good["hooks"]
    script, runbook = first["script"], good["runbook"]
    answers: dict[str, tuple[Any, str]] = {
        "yaml": ({"runbook": runbook.replace("stages:", "stages: [")}, "runbooks/sample-runbook.yaml"),
        "schema": ({"runbook": runbook.replace("timeout: 40m", "timeout: soon")}, "stages[5].timeout"),
        "bash": ({"hooks": [{**first, "script": script.replace("exit ", "fi\nexit ")}, *others]}, "acknowledge.sh"),
        "write": (
            {"hooks": [{**first, "script": script + "sudo kubectl drain x\n"}, *others]},
            "NVSentinel's work (drain)",
        ),
        "hooks": ({"hooks": good["hooks"][:2]}, "has 2 hooks"),
        "form": ({"lines": "none"}, "has not the form"),
        "lost": ({"hooks": [{**first, "script": script.replace(":eyes: I am", "I am")}, *others]}, "is in no hook"),
        "action": ({"runbook": runbook.replace("scripts/collect-metrics.sh", "scripts/fix.sh")}, "scripts/fix.sh"),
        "path": ({"hooks": [{**first, "path": "../../x.sh"}, *others]}, "is not where it belongs"),
    }
    if fault == "text":
        return "Here is your runbook!", "has not the form"
    change, told = answers[fault]
    lines = [line for line in good["lines"] if fault != "lost" or line["fate"] != "kept"]
    return json.dumps({**good, "lines": lines, **change}), told


def test_a_draft_that_stays_wrong_is_kept_aside(
    project: Path, good: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = message(json.dumps({**good, "runbook": good["runbook"].replace("kind: Runbook", "kind: Book")}))
    code, stage = convert(monkeypatch, [bad] * 4)
    err = capfd.readouterr().err
    assert code == 1
    assert len(stage.requests) == 3
    assert "kind: must be Runbook, not 'Book'" in err
    assert "not sound after 3 rounds" in err
    assert written(project) == set()
    kept = next(word for word in err.split() if word.endswith("/drafts/sample-runbook;")).rstrip(";")
    text = (project / kept / "runbooks/sample-runbook.yaml").read_text()
    assert "kind: Book" in text
    again, _ = convert(monkeypatch, [bad] * 3)
    assert again == 1


REFUSAL = message(
    "", stop="refusal", stop_details={"type": "refusal", "category": "cyber", "explanation": "no exploits"}
)
ENDS: dict[str, tuple[Act, int, str, str]] = {
    # what the server does: exit code, the fact, the hint
    "refusal": (REFUSAL, 1, "declined to convert this page: no exploits", "--offline"),
    "max_tokens": (message('{"runbook": "api', stop="max_tokens"), 1, "cut off after 800 tokens", "a part of the page"),
    "401": (failure(401, "authentication_error", "bad key"), 3, "does not accept this key", "ANTHROPIC_API_KEY"),
    "403": (failure(403, "permission_error", "not yours"), 3, "may not use claude-opus-4-7: not yours", "--model"),
    "404": (failure(404, "not_found_error", "model: x"), 3, "there is no model", "--model claude-opus-4-7"),
    "400": (failure(400, "invalid_request_error", "credit is low"), 3, "credit is low", "--offline"),
    "413": (failure(413, "request_too_large", "big"), 3, "too long for one request", "a part of it"),
    "429": (failure(429, "rate_limit_error", "slow", retry_after="37"), 3, "too many requests", "try again in 37 s"),
    "429 without": (failure(429, "rate_limit_error", "slow"), 3, "too many requests", "try again in a minute"),
    "500": (failure(500, "api_error", "oops"), 3, "an error (500): oops", "--offline"),
    "529": (failure(529, "overloaded_error", "Overloaded"), 3, "overloaded at the moment", "try again in a minute"),
    "hang": (Act(how="hang"), 3, "did not answer in time", "--timeout"),
    "cut": (message("x" * 4000)._replace(how="cut"), 3, "cannot be reached", "--offline"),
    "no message": (Act(body=[1, 2]), 3, "is not Claude's Messages API", "--offline"),
}  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_every_other_end_is_said_in_a_line(
    end: str, project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    act, expected, fact, hint = ENDS[end]
    code, stage = convert(monkeypatch, [act], "--timeout", "1s" if end == "hang" else "30s")
    out, err = capfd.readouterr()
    assert code == expected, err
    assert len(stage.requests) == 1
    [error] = [line for line in err.splitlines() if line.startswith("error[")]
    assert fact in error
    assert hint in err
    assert "Traceback" not in err
    assert "error[bug]" not in err
    assert out == ""
    assert written(project) == set()


def test_offline_is_said(project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
    assert main(["convert", str(SAMPLE)]) == 3
    err = capfd.readouterr().err
    assert "Claude cannot be reached" in err
    assert "nvsx convert FILE --offline" in err


def test_a_key_is_asked_for_before_anything_is_sent(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    code, stage = convert(monkeypatch, [])
    assert code == 3
    assert stage.requests == []
    assert "export ANTHROPIC_API_KEY" in capfd.readouterr().err
    (project / "nvsx.env").write_text(f"ANTHROPIC_API_KEY={KEY}\n")
    (project / "nvsx.env").chmod(0o600)
    convert(monkeypatch, [failure(401, "authentication_error", "no")])
    assert "does not accept this key" in capfd.readouterr().err


@pytest.mark.parametrize("missing", ["anthropic", "jiter"])
def test_without_the_sdk_there_is_a_recipe(missing: str, project: Path) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        f"from nvsx.main import main; sys.exit(main(['convert', {str(SAMPLE)!r}]))"
    )
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(CHECKOUT), "ANTHROPIC_API_KEY": KEY, "HOME": str(project)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=project)
    assert done.returncode == 3, done.stderr
    assert "the anthropic SDK" in done.stderr
    assert "pip install anthropic" in done.stderr
    assert "--offline" in done.stderr


def test_nothing_but_convert_imports_the_sdk(project: Path) -> None:
    code = (
        "import sys; from nvsx.main import main\n"
        f"main(['convert', {str(SAMPLE)!r}, '--offline', '--dry-run'])\n"
        "print('anthropic' in sys.modules, file=sys.stderr)"
    )
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(CHECKOUT), "HOME": str(project)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=project)
    assert done.stderr.splitlines()[-1] == "False"


def test_an_older_sdk_is_asked_through_a_tool(good: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An SDK that knows no output schema is stood in for by one whose `create` has no such parameter."""
    import anthropic

    class Old(anthropic.Anthropic):
        @property
        def messages(self) -> Any:  # type: ignore[override]
            real = super().messages

            class Messages:
                def create(self, *, model, max_tokens, system, messages, tools, tool_choice):  # type: ignore[no-untyped-def]
                    return real.create(
                        model=model, max_tokens=max_tokens, system=system, messages=messages, tools=tools,
                        tool_choice=tool_choice,
                    )  # fmt: skip

            return Messages()

    monkeypatch.setattr(anthropic, "Anthropic", Old)
    with playing([tool({"runbook": ""}), tool(good)]) as stage:
        environment = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": stage.url}
        talk = claude.Conversation(preamble(), draft_schema(), environment, timeout_s=30)
        assert talk.ask("first")[0] == {"runbook": ""}
        assert talk.ask("second")[0] == good
    first, second = stage.requests
    assert first["tool_choice"] == {"type": "tool", "name": "draft"}
    assert first["tools"][0]["input_schema"] == draft_schema()
    assert second["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True, "content": "second"}
    ]


def test_the_default_model_is_one_name() -> None:
    from nvsx.arguments import parser_for
    from nvsx.commands import convert as command

    parser = parser_for("convert", "x")
    command.add_arguments(parser)
    assert parser.get_default("model") == claude.DEFAULT_MODEL
