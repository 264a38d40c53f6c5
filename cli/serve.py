"""`lookalike serve`: serve the web page and the HTTP API."""

import click

from cli.common import collection_option, model_option, settings_with

host_option = click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 makes the service reachable from other machines.",
)
port_option = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0: any free port.",
)
anyone_option = click.option("--allow-anyone", is_flag=True, help="Serve other machines even if there are no API keys.")


@click.command()
@host_option
@port_option
@collection_option
@model_option
@anyone_option
def serve(host: str, port: int, collection: str | None, model: str | None, allow_anyone: bool) -> None:
    """Serve the web page and the HTTP API until Ctrl-C.

    Serving other machines (--host) requires API keys: see `lookalike keys`.
    """
    from api.server.run import serve as run_server  # noqa: PLC0415 - the web framework, which no other command needs

    def print_address(address: str) -> None:
        click.echo(f"serving {address} (Ctrl-C stops)", err=True)

    run_server(settings_with(collection, model), host, port, print_address, allow_anyone)
