"""The fleet's file: what no process can be given is refused before anything starts."""

from pathlib import Path

import pytest

from agent_guard.errors import GuardError
from agent_guard.wiring import fleet

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ('command = ["sh\\u0000x"]', "agents.good.command.0"),
        ('command = ["sh"]\nenv = { A = "x\\u0000--share-net" }', "agents.good.env.A"),
        ('command = ["sh"]\nenv = { "A=B" = "x" }', "agents.good.env.A=B"),
        ('command = ["sh"]\nenv = { "" = "x" }', "agents.good.env"),
    ],
)
def test_agent_of_words_that_no_process_can_be_given_is_refused_by_name(
    tmp_path: Path, lines: str, named: str
) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(f"[agents.good]\n{lines}\n")

    with pytest.raises(GuardError) as refused:
        fleet.load(path, (), ())

    assert refused.value.code == "AG102"
    assert named in refused.value.message


def test_agent_may_have_words_of_several_lines(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text('[agents.good]\ncommand = ["sh", "-c", "true\\ntrue\\n"]\nenv = { A = "1\\n2\\n" }\n')

    (command,) = fleet.load(path, (), ())

    assert command.argv == ("sh", "-c", "true\ntrue\n")
    assert command.env == {"A": "1\n2\n"}
