"""`POST /v1/actions`, the one endpoint that stands before every single action: answered without a framework around it.

Guarantees: the same answers as through `app`, which describes this endpoint and serves it by the same function
(`propose`); whatever fails ends in the API's one error shape, and in no yes. It only leaves out what FastAPI's layers
do for others (routing, dependencies, exit stacks: a third of the time that an answer takes). Trusts the gate.
"""

import json
from typing import Any, TypeVar, cast

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agent_guard.api import failures, models
from agent_guard.api.body import read_json
from agent_guard.errors import GuardError
from agent_guard.gate import Answer, Gate, Proposal

PATH = "/v1/actions"

Model = TypeVar("Model", bound=BaseModel)

_json = json.JSONEncoder(check_circular=False, allow_nan=False, separators=(",", ":")).encode


def is_asked(scope: Scope) -> bool:
    """Whether this request is one that `answer` answers."""
    return (scope["type"], scope.get("method"), scope.get("path")) == ("http", "POST", PATH)


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers the request; `scope` names the gate, as `app.door` hands it on."""
    request = Request(scope, receive)
    try:
        response = await propose(request)
    except GuardError as error:
        response = failures.respond(error)
    except Exception as error:
        await failures.unforeseen(error)(scope, receive, send)
        raise  # so that the server's own output has the traceback
    await response(scope, receive, send)


async def propose(request: Request) -> Response:
    """Has the gate decide on one action. Raises `GuardError` for whatever is no yes."""
    action = await parsed(request, models.ProposedAction)
    decided = decision(await gate_of(request).decide(proposal(action)))
    return Response(_json(decided), media_type="application/json")


def gate_of(request: Request) -> Gate:
    """The gate behind this door."""
    return cast(Gate, request.state.gate)


async def parsed(request: Request, model: type[Model]) -> Model:
    """The body as `model`; what can't be taken is recorded as refused. Raises AG607, AG608, AG609, AG610."""
    try:
        return _validated(model, await read_json(request))
    except GuardError as error:
        await gate_of(request).refuse(error, path=ascii(request.url.path))
        raise


def _validated(model: type[Model], value: Any) -> Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise failures.misshapen(error) from error


def proposal(action: models.ProposedAction) -> Proposal:
    """The action as the gate takes it."""
    return Proposal(action.tool, action.arguments, action.idempotency_key, action.critical)


def decision(answer: Answer) -> dict[str, Any]:
    """The gate's answer in the shape of `models.Decided`."""
    return {
        "seq": answer.seq,
        "decision": answer.ruling.value,
        "leaf_hash": "0x" + answer.leaf_hash.hex(),
        "observed_block": models.block_of(answer.observed_block),
    }
