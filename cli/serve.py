"""`lookalike serve`: answer searches over HTTP."""

import click

from cli.common import collection_option, model_option, settings_with

LOOPBACK = ("127.0.0.1", "localhost", "::1")

host_option = click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen at; others can reach 0.0.0.0."
)
port_option = click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any.")


def warn_of_strangers(host: str) -> None:
    """Say what listening beyond this machine means."""
    if host not in LOOPBACK:
        click.echo(f"warning: whoever can reach {host} can search, add and remove pictures", err=True)


@click.command()
@host_option
@port_option
@collection_option
@model_option
def serve(host: str, port: int, collection: str | None, model: str | None) -> None:
    """Answer searches over HTTP until Ctrl-C, with a page for people at /."""
    from api.server import serve as run_server  # noqa: PLC0415 - the web framework, which no other command needs

    settings = settings_with(collection, model)
    warn_of_strangers(host)
    run_server(
        settings, host, port, on_started=lambda address: click.echo(f"serving {address} (Ctrl-C stops)", err=True)
    )
