"""Settings: agent_guard.toml, then the environment, then flags, each overriding the one before.

Pure: the caller reads the file and passes its text and the environment in. All problems are reported at once, and no
secret's value ever stands in an error. Every setting `name` is `AGENT_GUARD_NAME` in the environment; what names a
secret is always a path to a file (`*_FILE`), never the secret.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from agent_guard.checkpoint import CosignatureVerifier, NoteError
from agent_guard.errors import GuardError

PREFIX = "AGENT_GUARD_"
DEVNET_RPC = "http://127.0.0.1:8545"
# Variables of ours that are no settings.
NOT_SETTINGS = {"DEBUG", "SOCKET", "CONFIG"}
FOUNDRY_VARIABLES = {"ETH_RPC_URL": "rpc_url"}


def _comma_separated(value: object) -> object:
    return (
        tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
    )


Seconds = Annotated[float, Field(gt=0, le=86_400 * 365)]
Grace = Annotated[float, Field(ge=0, le=86_400)]
Listen = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[1-9][0-9]{0,4}$")]
Urls = Annotated[tuple[str, ...], BeforeValidator(_comma_separated), Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class WitnessAddress:
    """A witness that cosigns the log's heads: where it is asked (the submission prefix of `tlog-witness`), its key."""

    url: str
    key: CosignatureVerifier

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `URL VKEY`. Raises `ValueError`."""
        found = _WITNESS.fullmatch(text)
        if found is None:
            raise ValueError(
                "a witness is named as URL VKEY: http(s)://HOST[:PORT][/PATH], a space, its verifier key"
            )
        try:
            return cls(found[1].rstrip("/"), CosignatureVerifier.parse(found[2]))
        except NoteError as error:
            raise ValueError(f"a witness's key can't be used: {error}") from error


_WITNESS = re.compile(r"(https?://[A-Za-z0-9.:\[\]_-]{1,255}(?:/[A-Za-z0-9._~/-]{0,1000})?) (\S{1,4096})")
MOST_WITNESSES = 16


def _without_password(value: str) -> str:
    """Refuses an address that holds a password, before anything else could repeat it."""
    if re.match(r"[a-z]+://[^/@?]*:[^/@?]*@", value) or re.search(r"[?&](ssl)?password=", value):
        raise ValueError("holds a password; write that into the file that store_password_file names")
    return value


Store = Annotated[
    str, Field(pattern=r"^(sqlite|postgres(ql)?://[^\s#]{1,2000})$"), AfterValidator(_without_password)
]


class Settings(BaseModel):
    """Everything that can be set, with its default. Durations are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    network: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] = "devnet"
    deployments: Path = Path("deployments")
    home: Path = Path("~/.local/share/agent-guard")

    rpc_url: Urls = (DEVNET_RPC,)
    ws_url: Annotated[tuple[str, ...], BeforeValidator(_comma_separated)] = ()
    quorum: Annotated[int, Field(ge=1)] | None = None
    state_proofs: Literal["auto", "require", "off"] = "auto"
    rpc_timeout: Seconds = 3.0
    tx_timeout: Seconds = 60.0

    poll: Seconds = 1.0
    max_block_age: Seconds = 60.0
    unknown_grace: Seconds = 60.0
    freeze_on_vote: bool = True
    vote_freeze: Seconds = 120.0
    grace: Grace = 0.0
    halt_grace: Grace = 0.0
    hang_limit: Annotated[float, Field(ge=1, le=86_400)] = 10.0

    sandbox: Literal["auto", "none"] = "auto"
    net: Literal["none", "host"] = "none"
    pids_max: Annotated[int, Field(ge=16, le=4_000_000)] = 2_048
    memory_max: Annotated[int, Field(ge=64, le=16_777_216)] = 4_096
    """MiB."""

    signers_listen: Listen | None = None

    operator_account: str | None = None
    operator_keystore: Path | None = None
    operator_password_file: Path | None = None
    keystores: Path = Path("~/.foundry/keystores")

    store: Store = "sqlite"
    store_password_file: Path | None = None

    anchor_entries: Annotated[int, Field(ge=1, le=1_000_000)] = 256
    anchor_age: Seconds = 10.0
    max_unanchored_entries: Annotated[int, Field(ge=1)] = 10_000
    max_unanchored_age: Seconds = 600.0

    witnesses: Annotated[
        tuple[str, ...], BeforeValidator(_comma_separated), Field(max_length=MOST_WITNESSES)
    ] = ()

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.quorum is not None and self.quorum > len(self.rpc_url):
            raise ValueError(f"quorum is {self.quorum}, and rpc_url names {len(self.rpc_url)}")
        if self.signers_address and self.signers_address[1] > 65_535:
            raise ValueError("signers_listen names a port beyond 65535")
        if self.ws_url and len(self.ws_url) != len(self.rpc_url):
            raise ValueError(
                f"ws_url names {len(self.ws_url)} and rpc_url {len(self.rpc_url)}: they go in pairs"
            )
        keys = [one.key.public_key for one in self.witness_addresses]
        if len(set(keys)) != len(keys):
            raise ValueError(
                "witnesses names one key twice; a witness that agrees with itself is no second one"
            )
        return self

    @property
    def witness_addresses(self) -> tuple[WitnessAddress, ...]:
        """`witnesses`, taken apart."""
        return tuple(map(WitnessAddress.parse, self.witnesses))

    @property
    def needed_endpoints(self) -> int:
        """How many endpoints must agree: `quorum`, else more than half of them."""
        return self.quorum or len(self.rpc_url) // 2 + 1

    @property
    def signers_address(self) -> tuple[str, int] | None:
        """Host and port of `signers_listen`."""
        if self.signers_listen is None:
            return None
        host, _, port = self.signers_listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def record_path(self) -> Path:
        """The deployment record of the chosen network."""
        return self.deployments / self.network / "Council.json"

    @property
    def verifier_path(self) -> Path:
        """The record of the network's log verifier, beside the council's; older networks have none."""
        return self.record_path.with_name("LogVerifier.json")


def parse(toml: str, environ: Mapping[str, str], flags: Mapping[str, Any]) -> Settings:
    """Merges the three sources into `Settings`.

    Args:
        toml: text of agent_guard.toml, "" if there is none.
        environ: the process's environment.
        flags: settings given on the command line; None values are left out.

    Raises:
        GuardError: AG102, naming every problem at once.
    """
    problems: list[str] = []
    values = _from_toml(toml, problems) | _from_environment(environ, problems)
    values |= {name: value for name, value in flags.items() if value is not None}
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [_describe(dict(item)) for item in error.errors(include_url=False, include_input=False)]
    if problems:
        raise GuardError(
            "AG102",
            "The settings can't be used: " + "; ".join(problems) + ". Nothing was started.",
            "Correct agent_guard.toml or the AGENT_GUARD_* variables named here.",
        )
    paths = {name: value for name, value in settings if isinstance(value, Path)}
    return settings.model_copy(update={name: path.expanduser() for name, path in paths.items()})


def _from_toml(toml: str, problems: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        problems.append(f"agent_guard.toml is not TOML ({error})")
        return {}


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: environ[variable] for variable, name in FOUNDRY_VARIABLES.items() if environ.get(variable)
    }
    for variable, value in environ.items():
        name = variable.removeprefix(PREFIX)
        if not variable.startswith(PREFIX) or name in NOT_SETTINGS or value == "":
            continue
        if name.lower() in Settings.model_fields:
            values[name.lower()] = value
        else:
            problems.append(f"{variable} is no setting")
    return values


def _describe(problem: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}"
