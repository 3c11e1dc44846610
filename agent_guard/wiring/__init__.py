"""The only place that builds adapters from settings and hands them to services."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eth_account.signers.local import LocalAccount

from agent_guard import typed_data
from agent_guard.chain import deployment as records
from agent_guard.chain.council import CouncilContract
from agent_guard.chain.deployment import Deployment
from agent_guard.chain.endpoint import Endpoint
from agent_guard.chain.sender import Sender
from agent_guard.errors import GuardError
from agent_guard.keys import keystore, password
from agent_guard.settings import Settings
from agent_guard.voting.voting import Voting


@dataclass(frozen=True, slots=True)
class Connection:
    """A council and the endpoint it was found at, checked against the deployment record."""

    settings: Settings
    deployment: Deployment
    endpoint: Endpoint
    contract: CouncilContract

    def sender(self, account: LocalAccount) -> Sender:
        return sender(self.endpoint, account, self.settings)

    def voting(self) -> Voting:
        return Voting(self.contract, self.deployment.chain_id)


@dataclass(frozen=True, slots=True)
class KeyChoice:
    """Which key a command uses, as its flags say; the environment fills what they leave open."""

    account: str | None = None
    keystore: Path | None = None
    password_file: Path | None = None


def endpoint(settings: Settings) -> Endpoint:
    """The one endpoint in use. Raises AG102 if several are named: a quorum of them is not built yet."""
    if len(settings.rpc_url) > 1:
        raise GuardError(
            "AG102",
            f"{len(settings.rpc_url)} RPC endpoints are named; this version reads one, and taking the first of several"
            " would be failover, not a quorum. Nothing was started.",
            "Name one endpoint with --rpc-url.",
        )
    return Endpoint(settings.rpc_url[0], settings.rpc_timeout)


def sender(endpoint: Endpoint, account: LocalAccount, settings: Settings) -> Sender:
    return Sender(endpoint, account, settings.tx_timeout)


def checksummed(address: str) -> str:
    """An address as ERC-55 spells it. Raises AG101 if it is none, or mistyped."""
    try:
        return typed_data.checksum_address(address)
    except ValueError as error:
        raise GuardError("AG101", f"{error}. Nothing was done.", "Copy the address whole.") from error


def connect(settings: Settings) -> Connection:
    """The council of the chosen network. Raises AG204 no record, AG202/AG203 wrong chain or code, AG201."""
    deployment = records.load(settings.record_path)
    found = endpoint(settings)
    records.check(deployment, found)
    return Connection(settings, deployment, found, CouncilContract(found, deployment.address))


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
