"""`python -m agent_guard.drill.agent TACTIC MARK`: carries one tactic out, then lives on as long as it can."""

import sys

from agent_guard.drill.agent import asking, delegating, filling, meddling, outliving, striking
from agent_guard.drill.agent.stage import Unable, beat, say

TACTICS = (
    outliving.TACTICS
    | striking.TACTICS
    | meddling.TACTICS
    | filling.TACTICS
    | asking.TACTICS
    | delegating.TACTICS
)


def main() -> None:
    say("beat")
    try:
        TACTICS[sys.argv[1]]()
    except Unable as why:
        say("unable", str(why))
    except Exception as error:  # noqa: BLE001 - told to whoever measures; the agent lives on
        say("unable", f"{type(error).__name__}: {error}")
    beat()


if __name__ == "__main__":
    main()
