"""What the SDK raises. `except Denied` is enough never to act without a yes."""

from typing import Any

from agent_guard.errors import CATALOGUE, GuardError


class Denied(GuardError):  # noqa: N818 - the public contract names it so
    """The guard did not say yes: *do not act*. `status` is the HTTP status, 0 when there was none."""

    def __init__(self, code: str, message: str, remedy: str, status: int = 0) -> None:
        super().__init__(code, message, remedy)
        self.status = status


class Halted(Denied):
    """The council has halted the agent (423): stop everything; the guard is about to kill it."""


class Stopping(Denied):
    """A stop was announced, by the guard (403 with AG620) or by SIGTERM: begin nothing new, save the work, and exit."""


class Unreachable(Denied):
    """No answer, not in time, or none that makes sense: that is no permission."""


class Unrecorded(GuardError):  # noqa: N818 - as its siblings
    """The action was allowed and took place; its outcome is not in the log (AG619)."""


def refusal(status: int, body: Any) -> Denied:
    """The exception for an answer other than 200, from the API's error shape."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return unreachable(f"it answered {status} without a reason")
    code = error.get("code") if error.get("code") in CATALOGUE else "AG601"
    kind = Halted if status == 423 else Stopping if code == "AG620" else Denied
    return kind(str(code), str(error.get("message")), str(error.get("remedy")), status)


def unreachable(reason: str) -> Unreachable:
    """The guard gave no answer that could be a yes (AG617)."""
    return Unreachable(
        "AG617",
        f"The guard gave no usable answer: {reason}. The action must not happen.",
        "Wait and ask again; if the guard is gone, this process is about to be as well.",
    )
