"""The command line: the front door. Each command is a module of `cli`, imported when it is called."""

import importlib
import os
import sys
from collections.abc import Sequence

import click

from embeddings.errors import LookalikeError

COMMANDS = {
    "run": "Index a folder, show what came of it, and serve it: all in one.",
    "index": "Make a collection hold every image of a folder.",
    "search": "Find the indexed pictures that look like an image.",
    "tag": "Say what is in images.",
    "copy": "Put a collection into another store, or under another name, as it is.",
    "duplicates": "List what a collection has more than once, and the best copy of each.",
    "compact": "Make a collection's vectors a tenth of their size, and back.",
    "serve": "Answer searches over HTTP, with a page for people.",
    "jobs": "Start, watch, cancel and retry the jobs that workers do.",
    "worker": "Do the jobs that others start; on as many machines as wanted.",
    "keys": "Say who may use the service: make API keys, list them, revoke them.",
    "models": "List the models that can be used.",
    "bench": "Measure decoding, network and search on this machine.",
}
INTERRUPTED = 130

# numpy's own threads wait busily, for each other and for the next product of matrices, which takes processors from
# everything else. Those who search split the work themselves. numpy reads these once, when it is loaded.
SEARCHING = frozenset(["search", "serve", "run"])
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")


class Commands(click.Group):
    """The commands, listed without importing them."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import one command."""
        if name not in COMMANDS:
            return None
        if name in SEARCHING:
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        command = getattr(importlib.import_module(f"cli.{name}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="lookalike")
def commands() -> None:
    """Find images that look alike and say what is in them.

    Settings are environment variables: LOOKALIKE_DATA is the folder that keeps the index (default ./data),
    LOOKALIKE_MODEL the network, LOOKALIKE_MILVUS_URI a Milvus server, LOOKALIKE_REDIS_URL the queue of workers. The
    README lists them all.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0, 1 (some images failed), 2 (it could not be done), 130 (Ctrl-C)."""
    try:
        return commands.main(arguments, prog_name="lookalike", standalone_mode=False) or 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except LookalikeError as error:
        click.echo(f"lookalike: {error.message}", err=True)
        return 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("lookalike: stopped", err=True)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
