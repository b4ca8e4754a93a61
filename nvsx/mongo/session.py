"""One mongosh that runs the program: a request on a line in, an answer on a line out, each with a deadline."""

from __future__ import annotations

import asyncio
import json
import shlex
from typing import TYPE_CHECKING, Any

from nvsx.cluster.decoding import lines
from nvsx.cluster.kube_errors import classify, last_word
from nvsx.errors import ClusterError, Garbled, TimedOut, Unreachable
from nvsx.mongo.complaints import classify_answer, hidden, not_in_container
from nvsx.mongo.program import TAG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.clock import Clock
    from nvsx.mongo.places import Place
    from nvsx.ports import Conversation

CONNECT_S = 30.0
"""For starting mongosh (a second), kubectl's way into the pod, TLS and the login."""

_TAG = TAG.encode()
_SHOWN = 200


class Session:
    """A conversation with one mongosh at one place. After any ClusterError that is not the database's own, close it."""

    def __init__(
        self, conversation: Conversation, place: Place, clock: Clock, *, command: str, secrets: frozenset[str]
    ) -> None:
        self.place = place
        self.started = clock.monotonic()
        self.broken = False
        self._conversation = conversation
        self._command = command
        self._secrets = secrets
        self._lines = lines(conversation.read, command)
        self._asked = 0
        self._noise = ""  # the last line that was no answer
        self._turn = asyncio.Lock()

    async def connect(self) -> None:
        """Reach the database; ClusterError says why it cannot be."""
        await self.ask(self.place.request(), timeout_s=CONNECT_S)

    async def ask(self, request: Mapping[str, Any], *, timeout_s: float) -> Any:
        """The answer to one request. A failure that the database told leaves the session usable, others break it."""
        async with self._turn:
            self._asked += 1
            line = json.dumps({"n": self._asked, **request}, ensure_ascii=True, allow_nan=False) + "\n"
            try:
                async with asyncio.timeout(timeout_s):
                    await self._conversation.write(line.encode())
                    answer = await self._answer()
            except BrokenPipeError:
                raise await self._ended() from None
            except TimeoutError:
                self.broken = True
                raise self._error(TimedOut, f"mongosh did not answer within {timeout_s:.0f} s") from None
            except BaseException:
                self.broken = True  # the answer is still on its way and must not be taken for the next one
                raise
        if "error" in answer:
            raise classify_answer(answer["error"], command=self._command, secrets=self._secrets)
        if "ok" not in answer:
            self.broken = True
            raise self._garbled(json.dumps(answer))
        return answer["ok"]

    async def close(self) -> None:
        """End mongosh and what came of it."""
        self.broken = True
        await self._conversation.close()

    async def _answer(self) -> dict[str, Any]:
        """The next answer, after whatever else is said on stdout."""
        async for raw, complete in self._lines:
            if not raw.startswith(_TAG):
                self._noise = raw[:_SHOWN].decode("utf-8", "replace").strip() or self._noise
                continue
            if not complete:
                break
            try:
                answer = json.loads(raw[len(_TAG) :])
            except ValueError:
                raise self._garbled(raw.decode("utf-8", "replace")) from None
            if not isinstance(answer, dict) or answer.get("n") != self._asked:
                raise self._garbled(raw.decode("utf-8", "replace"))
            return answer
        raise await self._ended()

    async def _ended(self) -> ClusterError:
        """Why there is no answer any more: what mongosh, kubectl or the container said last."""
        self.broken = True
        code = await self._conversation.wait()
        errors = self._conversation.errors
        if missing := not_in_container(errors, command=self._command):
            return missing
        if self.place.pod and errors.strip() and not last_word(errors).startswith("command terminated"):
            return classify(hidden(errors, self._secrets), command=self._command)
        word = hidden(last_word(_without_exit_line(errors)) or self._noise, self._secrets)[:_SHOWN]
        how = "was ended by a signal" if code is None else f"ended with exit status {code}"
        return self._error(Unreachable, f"mongosh {how}" + (f": {word}" if word else " without a word"))

    def _garbled(self, text: str) -> Garbled:
        shown = hidden(text, self._secrets)[:80]
        return Garbled(f"mongosh answered what nvsx did not ask: {shown!r}", hint=self._command, command=self._command)

    def _error(self, kind: type[ClusterError], text: str) -> ClusterError:
        hint = "kubectl -n {} get pod {}".format(*map(shlex.quote, (self.place.namespace, self.place.pod)))
        return kind(text, hint=hint if self.place.pod else "mongosh --version", command=self._command)


def _without_exit_line(stderr: str) -> str:
    """kubectl's own last line repeats only the exit status."""
    return "\n".join(line for line in stderr.splitlines() if not line.startswith("command terminated"))
