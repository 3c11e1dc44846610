"""Answers JSON-RPC requests: from the Anvil behind, through whatever the behaviour makes of its words."""

import asyncio
import itertools
import json
from typing import Any

import httpx

from tests.proxy.behaviour import Answer, Ask, Behaviour
from tests.proxy.lies import lying
from tests.proxy.past import living
from tests.proxy.proofs import proving
from tests.proxy.script import Script

UPSTREAM_SECONDS = 60.0


class UpstreamGoneError(Exception):
    """The Anvil behind does not answer: then neither does the proxy."""


class Node:
    """One node. Lives in the proxy's event loop."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._numbers = itertools.count(1)
        # Loopback only, and no proxy that the environment may name.
        self._client = httpx.AsyncClient(trust_env=False, timeout=UPSTREAM_SECONDS)

    async def close(self) -> None:
        await self._client.aclose()

    def received(self, body: bytes | str) -> Any:
        """The request, or list of requests, in a body; counted. None if it is no JSON."""
        try:
            asked = json.loads(body)
        except ValueError:
            self._script.record([])
            return None
        every = asked if isinstance(asked, list) else [asked]
        calls = [one for one in every if isinstance(one, dict)]
        self._script.record([(str(one.get("method")), one.get("params", [])) for one in calls])
        return asked

    async def answer(self, asked: Any, behaviour: Behaviour) -> Any:
        """The answer, or list of answers, with the ids of what was `received`."""
        if isinstance(asked, list) and asked:
            return list(await asyncio.gather(*(self._one(request, behaviour) for request in asked)))
        return await self._one(asked, behaviour)

    async def _one(self, request: Any, behaviour: Behaviour) -> dict[str, Any]:
        if not isinstance(request, dict) or "method" not in request:
            said: Answer = {"error": {"code": -32600, "message": "Invalid request"}}
            return {"jsonrpc": "2.0", "id": None, **said}
        hook = self._script.hooks.get(request["method"])
        if hook is None:
            said = await self._say(request, behaviour)
        else:
            loop = asyncio.get_running_loop()

            def forward(other: dict[str, Any] = request) -> Answer:
                return asyncio.run_coroutine_threadsafe(self._say(other, behaviour), loop).result(
                    UPSTREAM_SECONDS
                )

            said = await asyncio.to_thread(hook, request, forward)
        return {"jsonrpc": "2.0", "id": request.get("id"), **said}

    async def _say(self, request: dict[str, Any], behaviour: Behaviour) -> Answer:
        if behaviour.error is not None:
            return {"error": dict(behaviour.error)}
        return await self.asking(behaviour)(request["method"], list(request.get("params", [])))

    def asking(self, behaviour: Behaviour) -> Ask:
        """The node as this behaviour makes it."""
        ask = self._truth(behaviour.upstream)
        if behaviour.past is not None:
            ask = living(ask, behaviour.past)
        if behaviour.lies or behaviour.council:
            ask = lying(ask, behaviour.lies, behaviour.council)
        if behaviour.proofs is not None:
            ask = proving(ask, behaviour.proofs)
        return ask

    def _truth(self, url: str) -> Ask:
        async def ask(method: str, params: list[Any]) -> Answer:
            request = {"jsonrpc": "2.0", "id": next(self._numbers), "method": method, "params": params}
            try:
                response = await self._client.post(url, json=request)
            except httpx.TransportError as error:
                raise UpstreamGoneError(url) from error
            answer = response.json()
            return {name: answer[name] for name in ("result", "error") if name in answer}

        return ask
