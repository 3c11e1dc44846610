"""What a mirror keeps of an operator who signed two histories halts his agent without a vote."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from agent_guard.typed_data import SignedHead
from tests.chain.guard import AGENT, Guard
from tests.chain.test_accuse import PAID_BY, head
from tests.chain.test_mirror import copy, files, grow, guard, mirror, rewritten, site
from tests.chain.test_proof_files import serving, steps

pytestmark = pytest.mark.chain
__all__ = ["guard", "serving"]


def accused(guard: Guard, remedy: str) -> dict[str, Any]:
    """Does what the mirror says, word for word but for the agent's name."""
    command = shlex.split(remedy.partition("agent-guard ")[2].replace("AGENT", AGENT))
    assert command[:3] == ["log", "accuse", AGENT]
    return dict(guard.town.cli.ask(*command, *PAID_BY))


def fork(guard: Guard, code: str, *options: object) -> str:
    """The mirror ends with 5; what it says is to be done."""
    error = mirror(guard, *options, expect=5)["error"]
    assert error["code"] == code
    return str(error["remedy"])


def evidence(guard: Guard) -> list[SignedHead]:
    kept = sorted((copy(guard) / "evidence").glob("*.json"))
    return [SignedHead.decode(path.read_text()) for path in kept]


def put_back(guard: Guard, before: dict[str, bytes]) -> None:
    shutil.rmtree(site(guard))
    for name, data in before.items():
        (site(guard) / name).parent.mkdir(parents=True, exist_ok=True)
        (site(guard) / name).write_bytes(data)


@pytest.mark.parametrize("chain", [(), ("--no-chain",)])
@pytest.mark.parametrize("entries", [6, 10, 20])
def test_two_published_histories_halt_the_agent_with_what_the_mirror_kept(guard, entries, chain):
    """Shorter, as long and longer than the first; anchored or not, for the operator signed both."""
    assert mirror(guard, *chain)["signed"] is True
    rewritten(guard, entries)
    remedy = fork(guard, "AG542" if (entries, chain) == (10, ()) else "AG545", *chain)
    assert {one.size for one in evidence(guard)} == {10, entries}
    assert guard.town.state(AGENT).may_run
    done = accused(guard, remedy)
    assert (done["applied"], done["detail"]["state"]) == (True, "halted")
    assert done["detail"]["older"]["source"] == done["detail"]["newer"]["source"] == "signed"
    assert not guard.town.state(AGENT).may_run


def test_proof_needs_neither_the_site_nor_the_operators_log(guard):
    """Once the mirror has both heads of one size, all may be taken away."""
    mirror(guard)
    rewritten(guard, 10)
    remedy = fork(guard, "AG542")
    shutil.rmtree(site(guard))
    guard.path.unlink()
    assert accused(guard, remedy)["detail"]["state"] == "halted"


def test_head_of_a_size_that_the_chain_has_left_behind_is_held_against_the_copy(guard):
    mirror(guard)
    before = files(site(guard))
    grow(guard, site(guard))
    mirror(guard)
    rewritten(guard, 10)
    remedy = fork(guard, "AG542")
    assert remedy.endswith(f"--log {copy(guard)}")
    assert accused(guard, remedy)["detail"]["newer"]["size"] == 20
    put_back(guard, before)
    assert mirror(guard)["event"] == "behind"  # the honest head is still taken for one


def test_who_never_saw_the_log_accuses_against_the_chain(guard):
    rewritten(guard, 10)
    remedy = fork(guard, "AG542")
    assert "once the chain has gone on" in remedy
    done = accused(guard, remedy)
    assert (done["detail"]["state"], done["detail"]["newer"]["source"]) == ("halted", "chain")


def test_command_is_fit_for_a_shell_whatever_the_folder_is_called(guard):
    odd = guard.town.folder / "my copy; $(true)"
    guard.town.cli("mirror", site(guard), odd, "--once")
    rewritten(guard, 6)
    error = guard.town.cli("mirror", site(guard), odd, "--once", "--json", expect=5).json["error"]
    assert accused(guard, error["remedy"])["detail"]["state"] == "halted"


def test_copy_without_a_signature_of_its_own_opens_the_chains_head(guard):
    (site(guard) / "head.json").unlink()
    assert mirror(guard)["signed"] is False
    rewritten(guard, 6)
    done = accused(guard, fork(guard, "AG545"))
    assert (done["detail"]["state"], done["detail"]["newer"]["source"]) == ("halted", "chain")


def test_operators_signature_of_another_root_beside_the_true_checkpoint_is_a_fork(guard):
    """Who signed it can't say that the site made it up."""
    mirror(guard)
    lie = head(guard, 10, b"\1" * 32)
    shutil.copy(lie, site(guard) / "head.json")
    remedy = fork(guard, "AG542")
    assert bytes([1] * 32) in {one.root for one in evidence(guard)}
    assert accused(guard, remedy)["detail"]["state"] == "halted"


def test_that_signature_accuses_nobody_where_no_chain_vouches_for_the_checkpoint(guard):
    mirror(guard)
    shutil.copy(head(guard, 10, b"\1" * 32), site(guard) / "head.json")
    assert mirror(guard, "--no-chain")["event"] == "same"
    assert not (copy(guard) / "evidence").exists()


@pytest.mark.parametrize("by", ["signer1", "nobody"])
def test_rogue_site_is_told_of_and_its_log_taken_all_the_same(guard, by):
    lie = Path(head(guard, 10, b"\1" * 32, by="signer1"))
    shutil.copy(lie, site(guard) / "head.json")
    if by == "nobody":
        (site(guard) / "head.json").write_text("x" * 1_000_000)
    said = guard.town.cli("mirror", site(guard), copy(guard), "--once", "--json")
    taken, trouble = map(json.loads, said.stdout.splitlines())
    assert (taken["event"], taken["size"], taken["signed"]) == ("grown", 10, False)
    assert (trouble["event"], trouble["error"]["code"]) == ("trouble", "AG547")
    assert not (copy(guard) / "evidence").exists()
    assert guard.town.state(AGENT).may_run


def test_fork_that_only_the_site_vouches_for_is_for_the_signers(guard):
    """A note that nobody signed for the council: kept, and no command is promised."""
    mirror(guard)
    rewritten(guard, 10)
    (site(guard) / "head.json").unlink()
    remedy = fork(guard, "AG542")
    assert "show it to the signers" in remedy
    assert "accuse" not in remedy
    assert evidence(guard) == []


def test_export_says_whether_the_operators_signature_went_with_it(guard):
    command = ("log", "export", AGENT, "--log", guard.path, "--tiles", site(guard))
    assert guard.town.cli.ask(*command)["detail"]["signed"] is True
    signed = SignedHead.decode((site(guard) / "head.json").read_text())
    assert (signed.operator, signed.signer()) == (guard.operator.address, guard.operator.address)
    guard.forge("UPDATE checkpoint SET signature = x'00'")
    assert guard.town.cli.ask(*command)["detail"]["signed"] is True  # of this head it is there already
    publish_anew = guard.town.folder / "anew"
    command = ("log", "export", AGENT, "--log", guard.path, "--tiles", publish_anew)
    assert guard.town.cli.ask(*command)["detail"]["signed"] is False
    assert not (publish_anew / "head.json").exists()


def test_stale_signature_beside_a_fork_is_no_proof_of_it(guard):
    mirror(guard)
    rewritten(guard, 10)
    shutil.copy(head(guard, 7, b"\1" * 32), site(guard) / "head.json")
    assert "show it to the signers" in fork(guard, "AG542")
    assert evidence(guard) == []


def test_signed_head_of_the_copys_size_proves_a_fork_whatever_its_tiles_are(guard):
    mirror(guard)
    rewritten(guard, 10)
    tile = site(guard) / "tile/0/000.p/10"
    tile.write_bytes(bytes(32) + tile.read_bytes()[32:])
    remedy = fork(guard, "AG545", "--no-chain")
    assert accused(guard, remedy)["detail"]["state"] == "halted"


def test_copy_that_followed_the_fork_itself_accuses_against_the_chain(guard):
    rewritten(guard, 10)
    mirror(guard, "--no-chain")
    done = accused(guard, fork(guard, "AG542"))
    assert (done["detail"]["state"], done["detail"]["newer"]["source"]) == ("halted", "chain")


def test_fork_served_over_http_halts_with_what_the_mirror_kept_and_the_sites_tiles(guard, serving):
    process, url = serving("--tiles", site(guard))
    steps(process, "serving")
    assert guard.town.cli.ask("mirror", url, copy(guard), "--once")["signed"] is True
    assert (copy(guard) / "head.json").read_bytes() == (site(guard) / "head.json").read_bytes()
    rewritten(guard, 20)
    error = guard.town.cli("mirror", url, copy(guard), "--once", "--json", expect=5).json["error"]
    assert error["remedy"].endswith(f"--log {url}")  # it alone has the newer head
    done = accused(guard, error["remedy"])
    assert (done["detail"]["newer"]["size"], done["detail"]["state"]) == (20, "halted")
