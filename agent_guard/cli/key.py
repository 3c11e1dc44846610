"""`agent-guard key`: keystores of signers and operators."""

import sys
from typing import Annotated

import typer

from agent_guard.cli.options import Json, PasswordFile, settings
from agent_guard.cli.output import Facts, Hash, Output, Table

app = typer.Typer(help="Make, import and list keys (keystore v3, shared with Foundry).", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The key's file name in ~/.foundry/keystores.")]


@app.command("new")
def new(name: Name, password_file: PasswordFile = None, as_json: Json = False) -> None:
    """Make a new key and keep it encrypted."""
    from agent_guard.keys import keystore, password

    folder = settings().keystores
    secret = (
        password.from_file(password_file)
        if password_file
        else password.ask("Password of the new key: ", twice=True)
    )
    account = keystore.create(folder, name, secret)
    _written(Output(as_json), name, str(account.address), str(folder / name))


@app.command("import")
def import_(name: Name, password_file: PasswordFile = None, as_json: Json = False) -> None:
    """Import a private key, typed at a prompt or piped in; never given on the command line."""
    from agent_guard.keys import keystore, password

    folder = settings().keystores
    private_key = password.ask("Private key (hex): ") if sys.stdin.isatty() else sys.stdin.readline()
    secret = (
        password.from_file(password_file) if password_file else password.ask("New password: ", twice=True)
    )
    account = keystore.import_key(folder, name, private_key, secret)
    _written(Output(as_json), name, str(account.address), str(folder / name))


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the keys of ~/.foundry/keystores."""
    from agent_guard.keys import keystore

    folder = settings().keystores
    found = list(keystore.listing(folder))
    rows = [{"name": key.name, "address": key.address, "path": str(key.path)} for key in found]
    Output(as_json).result(
        {"rows": rows, "truncated": False},
        Table(
            ("name", "address"),
            [(key.name, Hash(key.address) if key.address else None) for key in found],
            empty=f"No keys in {folder}. Make one with: agent-guard key new NAME",
        ),
    )


def _written(out: Output, name: str, address: str, path: str) -> None:
    out.result(
        {"target": name, "applied": True, "tx": None, "detail": {"address": address, "path": path}},
        Facts([("key", name), ("address", address), ("file", path)]),
    )
