"""The door to Claude: the SDK of the host's Python, imported when a page is to be converted and never before.

It is not bundled, because it is native code. Whatever can go wrong between here and an answer is said in one line.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.errors import EnvironmentUnusable, NvsxError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_MODEL = "claude-opus-4-7"
MAX_TOKENS = 20_000
TIMEOUT_S = 600.0
_TOOL = "draft"
_OFFLINE = "or convert by rules, without a network: nvsx convert FILE --offline"


class Usage(NamedTuple):
    """Tokens. `written` went into the prompt cache, `cached` came out of it; `sent` is what was neither."""

    sent: int = 0
    written: int = 0
    cached: int = 0
    received: int = 0

    def plus(self, other: Usage) -> Usage:
        return Usage(*(one + two for one, two in zip(self, other, strict=True)))


class Unanswered(NvsxError):
    """Claude answered, but not with what was asked for: it declined, or its answer was cut off."""

    code = "no-answer"


class Conversation:
    """Questions and answers about one thing; every answer is an object that fits `schema`.

    `preamble` is what every question begins with, the same each time, so that it is kept in the prompt cache.
    """

    def __init__(
        self,
        preamble: Sequence[str],
        schema: Mapping[str, Any],
        environment: Mapping[str, str],
        *,
        model: str = DEFAULT_MODEL,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.usage = Usage()
        self._sdk = _sdk()
        self._client = _client(self._sdk, environment, timeout_s)
        self._model = model
        self._messages: list[dict[str, Any]] = []
        self._tool_use = ""  # id of the tool use that the next question answers
        blocks: list[dict[str, Any]] = [{"type": "text", "text": text} for text in preamble]
        blocks[-1]["cache_control"] = {"type": "ephemeral"}
        self._request = {"model": model, "max_tokens": MAX_TOKENS, "system": blocks, **self._structure(schema)}

    def ask(self, question: str) -> tuple[Any, str]:
        """The answer as data (None where it is no JSON) and as it was written. EnvironmentUnusable, Unanswered."""
        self._messages.append({"role": "user", "content": self._content(question)})
        try:
            message = self._client.messages.create(messages=self._messages, **self._request)
        except self._sdk.APIError as error:
            raise _failure(self._sdk, error, self._model) from None
        except self._sdk.AnthropicError as error:
            raise EnvironmentUnusable(f"the anthropic SDK gives up: {_first_line(error)}", hint=_OFFLINE) from None
        if not isinstance(getattr(message, "content", None), list) or getattr(message, "usage", None) is None:
            raise EnvironmentUnusable(
                "what answers is not Claude's Messages API", hint=f"ANTHROPIC_BASE_URL? {_OFFLINE}"
            )
        self.usage = self.usage.plus(_usage(message))
        _refuse_unfinished(message)
        return self._read(message)

    def _structure(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """An output schema where this SDK knows it, else a tool that has to be used."""
        from inspect import signature

        if "output_config" in signature(self._client.messages.create).parameters:
            return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
        tool = {"name": _TOOL, "description": "Hand in the converted runbook.", "input_schema": schema}
        return {"tools": [tool], "tool_choice": {"type": "tool", "name": _TOOL}}

    def _content(self, question: str) -> Any:
        if not self._tool_use:
            return question
        return [{"type": "tool_result", "tool_use_id": self._tool_use, "is_error": True, "content": question}]

    def _read(self, message: Any) -> tuple[Any, str]:
        for block in message.content:
            if block.type == "tool_use":
                self._tool_use = block.id
                used = {"type": "tool_use", "id": block.id, "name": block.name, "input": block.input}
                self._messages.append({"role": "assistant", "content": [used]})
                return block.input, json.dumps(block.input, ensure_ascii=False, indent=1)
        text = "".join(block.text for block in message.content if block.type == "text")
        self._messages.append({"role": "assistant", "content": text or "(nothing)"})
        try:
            return json.loads(text), text
        except ValueError:
            return None, text


def _sdk() -> Any:
    try:
        import anthropic
    except ImportError as error:
        missing = getattr(error, "name", None) or "anthropic"
        what = "is not installed" if missing.partition(".")[0] == "anthropic" else f"cannot be imported: {error}"
        raise EnvironmentUnusable(
            f"the anthropic SDK {what} for this Python ({sys.executable})",
            hint="python3 -m venv ~/.nvsx-venv && ~/.nvsx-venv/bin/pip install anthropic, then"
            f" ~/.nvsx-venv/bin/python {sys.argv[0] or 'nvsx.pyz'} convert FILE; {_OFFLINE}",
        ) from None
    return anthropic


def _client(sdk: Any, environment: Mapping[str, str], timeout_s: float) -> Any:
    key, token = (environment.get(name) or None for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"))
    if not key and not token:
        raise EnvironmentUnusable(
            "there is no key for Claude: ANTHROPIC_API_KEY is not set",
            hint=f"export ANTHROPIC_API_KEY=sk-ant-..., or put it into nvsx.env; {_OFFLINE}",
        )
    # Nobody waits in front of a bar that does not move: what cannot be had now is said, and can be asked for again.
    options: dict[str, Any] = {"timeout": timeout_s, "max_retries": 0}
    options |= {"api_key": key} if key else {"auth_token": token}
    if environment.get("ANTHROPIC_BASE_URL"):
        options["base_url"] = environment["ANTHROPIC_BASE_URL"]
    return sdk.Anthropic(**options)


def _usage(message: Any) -> Usage:
    used = message.usage
    counts = (used.input_tokens, used.cache_creation_input_tokens, used.cache_read_input_tokens, used.output_tokens)
    return Usage(*(count or 0 for count in counts))


def _refuse_unfinished(message: Any) -> None:
    if message.stop_reason == "refusal":
        why = getattr(getattr(message, "stop_details", None), "explanation", None)
        said = f": {why}" if why else ""
        raise Unanswered(f"Claude declined to convert this page{said}", hint="look at the page, or use --offline")
    if message.stop_reason in ("max_tokens", "model_context_window_exceeded"):
        raise Unanswered(
            f"the answer was cut off after {message.usage.output_tokens} tokens",
            hint="convert a part of the page at a time, or use --offline",
        )


_STATUSES: Mapping[int, tuple[str, str]] = {
    # HTTP status: the fact, and the next step
    400: ("Claude does not take this request: {said}", _OFFLINE),
    401: ("Claude does not accept this key", "check ANTHROPIC_API_KEY; a new one is made at platform.claude.com"),
    402: ("the account of this key has no credit left: {said}", _OFFLINE),
    403: ("this key may not use {model}: {said}", "use another key, or --model MODEL"),
    404: ("there is no model {model}", f"nvsx convert FILE --model {DEFAULT_MODEL}"),
    413: ("the page is too long for one request", "convert a part of it at a time"),
    429: ("too many requests with this key", "try again in {wait}"),
    529: ("Claude is overloaded at the moment", "try again in {wait}"),
}


def _failure(sdk: Any, error: Any, model: str) -> NvsxError:
    """What an error of the SDK means for the one who waits for the runbook."""
    if isinstance(error, sdk.APITimeoutError):
        return EnvironmentUnusable("Claude did not answer in time", hint=f"--timeout 20m, or try again; {_OFFLINE}")
    if isinstance(error, sdk.APIConnectionError):
        cause = error.__cause__ or error
        return EnvironmentUnusable(f"Claude cannot be reached: {_first_line(cause)}", hint=_OFFLINE)
    if not isinstance(error, sdk.APIStatusError):
        return EnvironmentUnusable(f"the answer cannot be read: {_first_line(error)}", hint=_OFFLINE)
    fact, hint = _STATUSES.get(error.status_code, ("Claude answers with an error ({status}): {said}", _OFFLINE))
    words = {
        "said": _said(error),
        "model": model,
        "status": error.status_code,
        "wait": f"{wait} s" if (wait := error.response.headers.get("retry-after", "")).isdigit() else "a minute",
    }
    return EnvironmentUnusable(fact.format(**words), hint=hint.format(**words))


def _said(error: Any) -> str:
    inner = error.body.get("error") if isinstance(error.body, dict) else None
    message = inner.get("message") if isinstance(inner, dict) else None
    return str(message or _first_line(error))[:300]


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200] or type(error).__name__
