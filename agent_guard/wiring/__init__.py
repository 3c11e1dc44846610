"""The only place that builds adapters from settings and hands them to services."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from eth_account.signers.local import LocalAccount

from agent_guard import typed_data
from agent_guard.chain import deployment as records
from agent_guard.chain.council import CouncilContract
from agent_guard.chain.deployment import Deployment
from agent_guard.chain.endpoint import Endpoint
from agent_guard.chain.log_verifier import LogVerifier
from agent_guard.chain.patience import PatientEndpoint
from agent_guard.chain.quorum import QuorumEndpoint
from agent_guard.chain.sender import Sender
from agent_guard.errors import GuardError
from agent_guard.keys import keystore, password
from agent_guard.settings import Settings
from agent_guard.voting.voting import Voting


@dataclass(frozen=True, slots=True)
class Connection:
    """A council and the endpoint it was found at, checked against the deployment record.

    With several endpoints `endpoint` and `contract` read a quorum of them as one, and `members` are the council seen
    through each.
    """

    settings: Settings
    deployment: Deployment
    endpoint: Endpoint
    contract: CouncilContract
    members: tuple[CouncilContract, ...]

    def sender(self, account: LocalAccount) -> Sender:
        return sender(self.endpoint, account, self.settings)

    def patient(self) -> "Connection":
        """The same, asked again where an endpoint fails in passing: for long reads that nobody's stop waits for."""
        endpoint = PatientEndpoint(self.endpoint)
        return replace(self, endpoint=endpoint, contract=CouncilContract(endpoint, self.deployment.address))

    def voting(self) -> Voting:
        return Voting(self.contract, self.deployment.chain_id)


@dataclass(frozen=True, slots=True)
class KeyChoice:
    """Which key a command uses, as its flags say; the environment fills what they leave open."""

    account: str | None = None
    keystore: Path | None = None
    password_file: Path | None = None


def endpoints(settings: Settings) -> list[Endpoint]:
    """Every endpoint. Raises AG102 if two are at one place: a node that agrees with itself is no quorum."""
    found = [Endpoint(url, settings.rpc_timeout) for url in settings.rpc_url]
    names = [one.name for one in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise GuardError(
            "AG102",
            f"{', '.join(sorted(twice))} is named more than once; a node that agrees with itself is no quorum. Nothing"
            " was started.",
            "Name endpoints at different hosts or ports, run by different people if you can.",
        )
    return found


def endpoint(settings: Settings) -> Endpoint:
    """The one endpoint, or all of them read as one. Raises AG102."""
    found = endpoints(settings)
    return found[0] if len(found) == 1 else QuorumEndpoint(found, settings.needed_endpoints)


def sender(endpoint: Endpoint, account: LocalAccount, settings: Settings) -> Sender:
    return Sender(endpoint, account, settings.tx_timeout)


def checksummed(address: str) -> str:
    """An address as ERC-55 spells it. Raises AG101 if it is none, or mistyped."""
    try:
        return typed_data.checksum_address(address)
    except ValueError as error:
        raise GuardError("AG101", f"{error}. Nothing was done.", "Copy the address whole.") from error


def connect(settings: Settings) -> Connection:
    """The council of the chosen network. Raises AG204 no record, AG202/AG203 wrong chain or code, AG201, AG209."""
    deployment = records.load(settings.record_path)
    found = endpoint(settings)
    records.check(deployment, found)
    members = found.members if isinstance(found, QuorumEndpoint) else (found,)
    contracts = tuple(CouncilContract(member, deployment.address) for member in members)
    return Connection(settings, deployment, found, CouncilContract(found, deployment.address), contracts)


def log_verifier(connection: Connection) -> LogVerifier:
    """The network's log verifier, its code checked. Raises AG430 none is recorded; AG202, AG203, AG204."""
    path = connection.settings.verifier_path
    if not path.exists():
        raise GuardError(
            "AG430",
            f"There is no record {path} of a log verifier. The chain was not asked.",
            "Deploy one with: agent-guard deployment verifier --account NAME",
        )
    record = records.load(path)
    records.check(record, connection.endpoint)
    return LogVerifier(connection.endpoint, record.address)


def key_path(settings: Settings, choice: KeyChoice, environ: Mapping[str, str]) -> Path:
    """Where the chosen keystore lies: flags, then Foundry's ETH_KEYSTORE and ETH_KEYSTORE_ACCOUNT. Raises AG301."""
    if choice.keystore:
        return choice.keystore
    if choice.account:
        return settings.keystores / choice.account
    if environ.get("ETH_KEYSTORE"):
        return Path(environ["ETH_KEYSTORE"])
    if environ.get("ETH_KEYSTORE_ACCOUNT"):
        return settings.keystores / environ["ETH_KEYSTORE_ACCOUNT"]
    raise GuardError(
        "AG301",
        "No key was chosen. Nothing was signed.",
        "Name one with --account NAME or --keystore PATH; list them with: agent-guard key list",
    )


def unlock(settings: Settings, choice: KeyChoice, environ: Mapping[str, str] = os.environ) -> LocalAccount:
    """The chosen key, unlocked. The password comes from a file (flag, or Foundry's ETH_PASSWORD) or a prompt.

    Raises:
        GuardError: AG301 to AG304.
    """
    path = key_path(settings, choice, environ)
    file = _password_file(choice, environ)
    if not path.exists():
        return keystore.unlock(path, "")  # says that it does not exist, before anyone types a password
    secret = password.from_file(file) if file else password.ask(f"Password of {path.name}: ")
    return keystore.unlock(path, secret)


def operator_key(
    settings: Settings, choice: KeyChoice, environ: Mapping[str, str] = os.environ
) -> LocalAccount:
    """The operator's key: flags, then the settings `operator_*`, then Foundry's variables."""
    return unlock(settings, _operator_choice(settings, choice), environ)


def operator_secrets(
    settings: Settings, choice: KeyChoice, environ: Mapping[str, str] = os.environ
) -> tuple[Path, ...]:
    """The files that `operator_key` reads: no agent may ever see them."""
    choice = _operator_choice(settings, choice)
    file = _password_file(choice, environ)
    return (key_path(settings, choice, environ), *(() if file is None else (file,)))


def _operator_choice(settings: Settings, choice: KeyChoice) -> KeyChoice:
    if choice.account or choice.keystore:
        return choice
    return KeyChoice(
        settings.operator_account,
        settings.operator_keystore,
        choice.password_file or settings.operator_password_file,
    )


def _password_file(choice: KeyChoice, environ: Mapping[str, str]) -> Path | None:
    return choice.password_file or (Path(environ["ETH_PASSWORD"]) if environ.get("ETH_PASSWORD") else None)
