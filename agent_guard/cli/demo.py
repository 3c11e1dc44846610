"""`agent-guard demo`: the whole story in a minute, by the commands a user would type."""

from agent_guard.cli.options import Json
from agent_guard.cli.output import Output


def demo(as_json: Json = False) -> None:
    """Show the whole path: a local chain, an agent at work under guard, a halt by 2 of 3 signers, its death, the audit.

    Every step is done by the commands that it prints, in a temporary folder; nothing is left running or lying about.
    """
    from agent_guard.demo.story import tell

    tell(Output(as_json))
