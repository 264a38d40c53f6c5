"""`lookalike keys`: create, list and revoke API keys."""

import click

from api.api_keys import Key, KeyFile, Scope, new_key, parse_entry
from cli.common import json_option, print_json
from embeddings.errors import NotFound, UsageError
from embeddings.settings import read_settings


@click.group()
def keys() -> None:
    """Create, list and revoke the API keys of the service.

    Once there is a key, every request needs one. Keys are stored as hashes, in keys.json under LOOKALIKE_DATA. A
    running service applies every change at once.
    """


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in Scope]),
    required=True,
    help="read: search, label, browse; write: also add, remove, run jobs; admin: also metrics.",
)
@click.option("--entry", is_flag=True, help="Store nothing here; also print the entry for LOOKALIKE_API_KEYS.")
@json_option
def create(name: str, scope: str, entry: bool, as_json: bool) -> None:
    """Create a key called NAME and print it. It cannot be shown again, since only its hash is stored."""
    settings = read_settings()
    secret, key = new_key(name, Scope(scope))
    if not entry:
        _check_unused(name, [parse_entry(known) for known in settings.api_keys])
        KeyFile(settings.data).add(key)
    if as_json:
        print_json({"name": key.name, "scope": key.scope, "key": secret, "entry": key.entry})
        return
    click.echo(secret)
    if entry:
        click.echo(key.entry)
    click.echo("Store this key safely: it is not shown again.", err=True)


@keys.command("list")
@json_option
def list_keys(as_json: bool) -> None:
    """List the names, scopes and creation dates of the keys."""
    settings = read_settings()
    known = [(key, "LOOKALIKE_API_KEYS") for key in map(parse_entry, settings.api_keys)]
    file = KeyFile(settings.data)
    known += [(key, str(file.path)) for key in file.read()]
    if as_json:
        print_json({"keys": [_document(key, where) for key, where in known]})
        return
    for key, where in known:
        created = f"{key.created_at:%Y-%m-%d}" if key.created_at else "-"
        click.echo(f"{key.name:20} {key.scope:6} {created:10} {where}")
    if not known:
        click.echo("There are no keys. Create one with: lookalike keys create NAME --scope read", err=True)


@keys.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Revoke the key called NAME. A running service refuses it at once."""
    settings = read_settings()
    file = KeyFile(settings.data)
    try:
        file.remove(name)
    except NotFound as error:
        if name in {parse_entry(known).name for known in settings.api_keys}:
            text = f"the key {name} is in LOOKALIKE_API_KEYS: remove it there and restart the service"
            raise UsageError(text, field="name") from error
        raise
    click.echo(f"revoked {name}", err=True)
    if not file.read() and not settings.api_keys:
        click.echo(f"no key is left, so nobody gets in; delete {file.path} to open the service again", err=True)


def _check_unused(name: str, configured: list[Key]) -> None:
    """Raise UsageError if the settings have a key of this name."""
    if name in {key.name for key in configured}:
        raise UsageError(f"LOOKALIKE_API_KEYS has a key {name} already; choose another name", field="name")


def _document(key: Key, where: str) -> dict[str, str | None]:
    created = key.created_at.isoformat() if key.created_at else None
    return {"name": key.name, "scope": key.scope, "created_at": created, "kept_in": where}
