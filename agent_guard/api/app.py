"""The HTTP application that an agent talks to, through the gate and to nothing else.

Guarantees: an answer of 200 with `allow` means that the gate said yes; whatever is not understood is refused in one
error shape, says what is wrong, and is recorded as refused (bounded by the gate). The agent's input is hostile: it is
read by `body`, checked by `models`, and handed on as data; `asking` answers the question that precedes every action.
Trusts the gate.

The endpoints read the request themselves, so that nothing is parsed before it is bounded; their models stand in the
OpenAPI description all the same.
"""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

from agent_guard import __version__
from agent_guard.api import asking, failures, models
from agent_guard.api.asking import decision, gate_of, parsed, proposal
from agent_guard.errors import GuardError
from agent_guard.gate import POLICY, Answer, Gate, Inclusion, Receipt, Recorded
from agent_guard.types import Decision, Standing

SCHEMAS = "#/components/schemas/"

DESCRIPTION = """The guard's door for one agent. Ask before every action, act only on a 200 whose `decision` is `allow`,
report the outcome afterwards. Every other answer, and none within your time limit, means *do not act*: 403 refused,
423 halted, 503 the guard is in doubt. A 403 with the code AG620 announces a stop: report what is under way, save your
work and exit. All numbers called `seq` are indices in the guard's log."""

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": models.Failure, "description": description}
    for status, description in {
        400: "The body is not acceptable JSON.",
        403: "Refused, for the reason given; AG620: a stop was announced.",
        409: "Closed already, or the idempotency key stands for another action.",
        413: "The body is larger than 1 MiB.",
        415: "The body is not announced as application/json.",
        422: "A field is missing, unknown or of the wrong type.",
        423: "The agent is halted.",
        503: "The guard is in doubt, or could not record it.",
    }.items()
}
UNKNOWN: dict[int | str, dict[str, Any]] = {
    404: {"model": models.Failure, "description": "No such action of this agent."}
}


def create_app() -> FastAPI:
    """The application for any agent: `door` says whose gate it asks."""
    app = FastAPI(
        title="agent-guard", version=__version__, description=DESCRIPTION, docs_url=None, redoc_url=None
    )
    failures.install(app)
    _add_actions(app)
    _add_states(app)
    _describe_nested(app, models.ProposedBatch)
    return app


def _add_actions(app: FastAPI) -> None:
    @app.post(
        asking.PATH,
        summary="Ask to act",
        description="Answers when the intent is durable. Act only on `allow`.",
        response_model=models.Decided,
        responses=REFUSALS,
        openapi_extra=_body_of(models.ProposedAction),
    )
    async def propose(request: Request) -> Response:
        return await asking.propose(request)

    @app.post(
        "/v1/actions/batch",
        summary="Ask to do several actions",
        description="At most 256. Each is decided for itself, in the order given; act only on those with `allow`.",
        response_model=models.DecidedBatch,
        responses=REFUSALS,
        openapi_extra=_body_of(models.ProposedBatch),
    )
    async def propose_batch(request: Request) -> JSONResponse:
        batch = await parsed(request, models.ProposedBatch)
        results = await gate_of(request).batch([proposal(action) for action in batch.actions])
        return JSONResponse({"results": [_decided_or_refused(result) for result in results]})

    @app.post(
        "/v1/actions/{seq}/outcome",
        summary="Report how an action ended",
        description="Once for each allowed action; taken also while the agent is frozen, stopping or halted.",
        response_model=models.Closed,
        responses=REFUSALS | UNKNOWN,
        openapi_extra=_body_of(models.Outcome),
    )
    async def report(request: Request, seq: str) -> JSONResponse:
        outcome = await parsed(request, models.Outcome)
        gate = gate_of(request)
        closing = await gate.outcome(await _number(gate, seq), outcome.status, outcome.result)
        return JSONResponse(
            {"seq": closing.seq, "outcome_seq": closing.outcome_seq, "leaf_hash": _hex(closing.leaf_hash)}
        )

    @app.get(
        "/v1/actions/{seq}",
        summary="An action as the log holds it",
        response_model=models.Recorded,
        responses=UNKNOWN,
    )
    async def show(request: Request, seq: str) -> JSONResponse:
        gate = gate_of(request)
        return JSONResponse(_recorded(await gate.get(await _number(gate, seq))))


def _add_states(app: FastAPI) -> None:
    @app.get("/v1/status", summary="Where the agent stands", response_model=models.Status)
    async def status(request: Request) -> JSONResponse:
        gate = gate_of(request)
        return JSONResponse(_status(gate, gate.standing()))

    @app.get("/health", summary="Whether the guard answers", response_model=models.Health)
    async def health() -> JSONResponse:
        return JSONResponse({"ok": True})


def door(app: ASGIApp, gate: Gate) -> ASGIApp:
    """The application as the agent behind this gate is served by it; what is asked all day goes by a shorter way."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        answer = asking.answer if asking.is_asked(scope) else app
        await answer({**scope, "state": {**scope.get("state", {}), "gate": gate}}, receive, send)

    return serve


async def _number(gate: Gate, text: str) -> int:
    """A seq from the path: ASCII digits, as a log index could be written, and nothing else."""
    if text.isascii() and text.isdigit() and len(text) <= 16 and str(int(text)) == text:
        return int(text)
    error = GuardError(
        "AG611", "An action's number is a whole number. Nothing was done.", "Use the seq you were given."
    )
    await gate.refuse(error, action=ascii(text))
    raise error


def _decided_or_refused(result: Answer | GuardError) -> dict[str, Any]:
    return {"decision": "deny", **result.as_dict()} if isinstance(result, GuardError) else decision(result)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _recorded(action: Recorded) -> dict[str, Any]:
    return {
        "seq": action.seq,
        "tool": action.tool,
        "arguments": action.arguments,
        "entry": action.entry.decode(),
        "leaf_hash": _hex(action.leaf_hash),
        "closed_by": action.closed_by,
        "proof": action.proof and _proof(action.proof),
        "receipt": action.receipt and _receipt(action.receipt),
    }


def _receipt(receipt: Receipt) -> dict[str, Any]:
    return {**receipt.head.fields(), "inclusion": [_hex(node) for node in receipt.inclusion]}


def _proof(proof: Inclusion) -> dict[str, Any]:
    return {
        "index": proof.index,
        "tree_size": proof.tree_size,
        "root": _hex(proof.root),
        "hashes": [_hex(node) for node in proof.hashes],
        "checkpoint": proof.checkpoint,
        "tx": proof.tx,
    }


def _status(gate: Gate, standing: Standing) -> dict[str, Any]:
    lag, limits = gate.lag(), gate.limits
    within = lag.entries <= limits.tail_entries and lag.seconds <= limits.tail_seconds
    return {
        "agent": gate.agent,
        "may_act": standing.verdict.decision is Decision.RUN and not standing.stopping and within,
        "verdict": standing.verdict.decision.value,
        "reason": standing.verdict.reason,
        "stopping": standing.stopping,
        "state": standing.state and standing.state.state.name.lower(),
        "epoch": standing.state and standing.state.epoch,
        "observed_block": models.block_of(standing.block),
        "anchor_lag": {
            "entries": lag.entries,
            "seconds": lag.seconds,
            "max_entries": limits.tail_entries,
            "max_seconds": limits.tail_seconds,
        },
        "policy": POLICY,
        "refusals_unrecorded": gate.refusals_unrecorded,
    }


def _body_of(model: type[BaseModel]) -> dict[str, Any]:
    """The request body's schema: the endpoint reads the body itself, so FastAPI can't know it."""
    schema = model.model_json_schema(ref_template=SCHEMAS + "{model}")
    schema.pop("$defs", None)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _describe_nested(app: FastAPI, model: type[BaseModel]) -> None:
    """Adds the models that a body's schema refers to."""
    nested = model.model_json_schema(ref_template=SCHEMAS + "{model}")["$defs"]
    app.openapi()["components"]["schemas"].update(nested)
