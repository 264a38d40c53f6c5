"""The entry point of the command line. Each command is a module of `cli`, imported when it is called."""

import errno
import importlib
import os
import sys
from collections.abc import Sequence

import click

from embeddings.errors import LookalikeError

COMMANDS = {
    "run": "Index a folder, print a sample of the results, and serve it.",
    "index": "Index every image of a folder, a list or a bucket.",
    "search": "Find the indexed images that look like an image.",
    "tag": "Print the labels of images.",
    "copy": "Copy a collection to another store or name, without embedding anything again.",
    "duplicates": "List the duplicates in a collection, and the best copy of each.",
    "compact": "Compress a collection's vectors to a tenth of their size, or restore them.",
    "serve": "Serve the HTTP API and the web page.",
    "jobs": "Start, watch, cancel and retry indexing jobs.",
    "worker": "Run indexing jobs from the queue; start workers on any number of machines.",
    "keys": "Create, list and revoke API keys.",
    "models": "List recommended models.",
    "bench": "Measure the speed of decoding, network and search on this machine.",
}
INTERRUPTED = 130
OUTPUT_FAULTS = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO)

# numpy's own threads wait actively for each other and for the next matrix product, which takes processor time from
# everything else. These commands split the work of a search themselves. numpy reads the variables when it is loaded.
SEARCHING = frozenset(["search", "serve", "run"])
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")


class Commands(click.Group):
    """The group of all commands; lists them without importing them."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the command names in the order of COMMANDS."""
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
        """Write the table of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="lookalike")
def commands() -> None:
    """Find images that look alike, and label them.

    Settings are environment variables: LOOKALIKE_DATA is the folder of the index (default ./data), LOOKALIKE_MODEL the
    network, LOOKALIKE_MILVUS_URI a Milvus server, LOOKALIKE_REDIS_URL the queue of the workers. docs/settings.md lists
    them all.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status.

    0 is success, 1 some images failed, 2 the command failed, 130 Ctrl-C before its end. Commands without an end of
    their own return from a Ctrl-C by themselves.
    """
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in OUTPUT_FAULTS or error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter writes again at its end
        if error.errno == errno.EPIPE:
            return 1  # whoever read the output has seen enough; click ends so too
        click.echo(f"lookalike: the output cannot be written: {error.strerror}", err=True)
        return 2
    return status


def _run(arguments: Sequence[str] | None) -> int:
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
