"""Deployment records and the deploying itself: `deployments/<network>/Council.json` and `LogVerifier.json`, in
hardhat-deploy's shape.

A record names the chain (id and genesis hash), the address, the block and the hash of the code that stood there. A
command that uses a record checks all of them first, so that a vote or an audit can't go to the wrong place.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from web3 import Web3

from agent_guard.chain.artifact import council_artifact
from agent_guard.chain.endpoint import Endpoint
from agent_guard.chain.periphery import verifier_artifact
from agent_guard.chain.sender import Sender
from agent_guard.errors import GuardError
from agent_guard.types import Thresholds, Timing

# More than any record takes.
RECORD_BYTES = 1 << 17
COUNCIL = "Council"
LOG_VERIFIER = "LogVerifier"
ARTIFACTS = {COUNCIL: council_artifact, LOG_VERIFIER: verifier_artifact}
NAMES = {COUNCIL: "council", LOG_VERIFIER: "log verifier"}


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where a contract lives. Hashes are "0x" hex; `code_hash` is keccak256 of the code on chain."""

    network: str
    address: str
    chain_id: int
    genesis_hash: str
    deploy_block: int
    transaction_hash: str
    code_hash: str
    args: list[Any]
    receipt: dict[str, Any]
    contract: str = COUNCIL

    def to_json(self) -> str:
        artifact = ARTIFACTS[self.contract]()
        record = {
            "contractName": self.contract,
            "address": self.address,
            "chainId": self.chain_id,
            "genesisHash": self.genesis_hash,
            "deployBlock": self.deploy_block,
            "transactionHash": self.transaction_hash,
            "receipt": self.receipt,
            "args": self.args,
            "codeHash": self.code_hash,
            "bytecodeHash": "0x" + Web3.keccak(hexstr=artifact["bytecode"]).hex(),
            "compiler": artifact["compiler"],
            "abi": artifact["abi"],
        }
        return json.dumps(record, indent=2) + "\n"


def create(
    endpoint: Endpoint,
    sender: Sender,
    network: str,
    signers: Sequence[str],
    thresholds: Thresholds,
    timing: Timing,
) -> Deployment:
    """Deploys a council and describes it; the caller saves the record.

    Raises:
        GuardError: AG205 if the constructor refuses the parameters or the transaction fails.
    """
    limits = (thresholds.halt, thresholds.resume, thresholds.retire)
    delays = (timing.pause, timing.resume_delay, timing.ballot_window, timing.lease, timing.lease_grace)
    args = [list(signers), list(limits), list(delays)]
    return _deploy(endpoint, sender, network, COUNCIL, args, "deploy the council")


def create_verifier(endpoint: Endpoint, sender: Sender, network: str) -> Deployment:
    """Deploys a log verifier, which serves every council of its chain, and describes it; the caller saves the record.

    Raises:
        GuardError: AG205 if the transaction fails.
    """
    return _deploy(endpoint, sender, network, LOG_VERIFIER, [], "deploy the log verifier")


def _deploy(
    endpoint: Endpoint, sender: Sender, network: str, contract: str, args: list[Any], what: str
) -> Deployment:
    artifact = ARTIFACTS[contract]()
    factory = endpoint.web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
    receipt = sender.send(factory.constructor(*args), what)
    address = str(receipt["contractAddress"])
    return Deployment(
        contract=contract,
        network=network,
        address=address,
        chain_id=endpoint.chain_id(),
        genesis_hash="0x" + endpoint.block(0).hash.hex(),
        deploy_block=receipt["blockNumber"],
        transaction_hash="0x" + bytes(receipt["transactionHash"]).hex(),
        code_hash=code_hash(endpoint, address),
        args=args,
        receipt=json.loads(Web3.to_json(dict(receipt))),
    )


def check(deployment: Deployment, endpoint: Endpoint) -> None:
    """Refuses an endpoint that serves another chain, or other code at the recorded address.

    Raises:
        GuardError: AG202 wrong chain, AG203 missing or wrong code, AG201 no answer.
    """
    found = endpoint.chain_id()
    if found != deployment.chain_id:
        raise _wrong_chain(deployment, endpoint, f"chain id {found} instead of {deployment.chain_id}")
    genesis = "0x" + endpoint.block(0).hash.hex()
    if genesis != deployment.genesis_hash:
        raise _wrong_chain(
            deployment, endpoint, f"genesis block {genesis} instead of {deployment.genesis_hash}"
        )
    code = code_hash(endpoint, deployment.address)
    if code != deployment.code_hash:
        found_code = "no code" if code == NO_CODE else f"code with hash {code}"
        raise GuardError(
            "AG203",
            f"{endpoint.name} has {found_code} at {deployment.address}; the record of {deployment.network!r}"
            f" names {deployment.code_hash}. Nothing was read or sent.",
            "Correct the record, or deploy with: agent-guard deployment create",
        )


NO_CODE = "0x" + Web3.keccak(b"").hex()


def code_hash(endpoint: Endpoint, address: str) -> str:
    """keccak256 of the code at an address, as "0x" hex."""
    with endpoint.calling("read the council's code"):
        return "0x" + Web3.keccak(endpoint.web3.eth.get_code(Web3.to_checksum_address(address))).hex()


def _wrong_chain(deployment: Deployment, endpoint: Endpoint, difference: str) -> GuardError:
    return GuardError(
        "AG202",
        f"{endpoint.name} is not the chain of the record {deployment.network!r}: {difference}."
        " Nothing was read or sent.",
        "Name the right node with --rpc-url, or the right record with --network.",
    )


def refuse_overwriting(path: Path) -> None:
    """Raises AG204 if a record stands at `path`: records are never overwritten."""
    if path.exists():
        raise GuardError(
            "AG204",
            f"{path} records a contract already. Nothing was deployed or written.",
            "Choose another --network name, or move the old record away.",
        )


def make_room(path: Path) -> None:
    """Makes sure, before a contract is paid for, that its record can be written. Raises AG204, AG104."""
    refuse_overwriting(path)
    try:
        _write(path, " " * RECORD_BYTES)
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as error:
        raise GuardError(
            "AG104",
            f"No record can be written to {path} ({error.strerror}). Nothing was deployed.",
            "Free some space, or work in a folder that this user may write.",
        ) from error


def save(deployment: Deployment, path: Path) -> None:
    """Writes the record in one step. Raises AG204 if one stands there, AG104 naming the contract it could not keep."""
    refuse_overwriting(path)
    try:
        _write(path, deployment.to_json())
    except OSError as error:
        raise GuardError(
            "AG104",
            f"The {NAMES[deployment.contract]} {deployment.address} was deployed (transaction"
            f" {deployment.transaction_hash}), but its record could not be written to {path} ({error.strerror}).",
            "Note the address and the transaction: the record can be made again from them.",
        ) from error


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    try:
        partial.write_text(content)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def load(path: Path) -> Deployment:
    """Reads a record of the contract that the file is named after.

    Raises:
        GuardError: AG204 if it is missing, unreadable, another contract's, or lacks a field.
    """
    try:
        record = json.loads(path.read_text())
        if record.get("contractName", COUNCIL) != path.stem:
            raise ValueError(f"it records another contract than {path.stem}")
        return Deployment(
            contract=path.stem,
            network=path.parent.name,
            address=Web3.to_checksum_address(record["address"]),
            chain_id=int(record["chainId"]),
            genesis_hash=str(record["genesisHash"]),
            deploy_block=int(record["deployBlock"]),
            transaction_hash=str(record["transactionHash"]),
            code_hash=str(record["codeHash"]),
            args=list(record["args"]),
            receipt=dict(record["receipt"]),
        )
    except FileNotFoundError as error:
        raise GuardError(
            "AG204",
            f"There is no deployment record {path}.",
            "Deploy with: agent-guard deployment create; or start a local chain with: agent-guard devnet",
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GuardError(
            "AG204",
            f"The deployment record {path} can't be used ({type(error).__name__}: {error}).",
            "Restore it from where the council was deployed.",
        ) from error
