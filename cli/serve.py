"""`lookalike serve`: answer searches over HTTP."""

import click

from cli.common import collection_option, model_option, settings_with

host_option = click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen at; others can reach 0.0.0.0."
)
port_option = click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any.")
anyone_option = click.option(
    "--allow-anyone", is_flag=True, help="Let others reach the service though there are no API keys."
)


@click.command()
@host_option
@port_option
@collection_option
@model_option
@anyone_option
def serve(host: str, port: int, collection: str | None, model: str | None, allow_anyone: bool) -> None:
    """Answer searches over HTTP until Ctrl-C, with a page for people at /.

    Beyond this machine (--host) it wants API keys: see `lookalike keys`.
    """
    from api.server.run import serve as run_server  # noqa: PLC0415 - the web framework, which no other command needs

    def say(address: str) -> None:
        click.echo(f"serving {address} (Ctrl-C stops)", err=True)

    run_server(settings_with(collection, model), host, port, say, allow_anyone)
