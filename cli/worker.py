"""`lookalike worker`: run the jobs that others start."""

import logging

import click

from cli.common import model_option, settings_with, store_of

CHUNKS_AT_ONCE = 2  # a third costs a few percent more processor time than it saves


@click.command()
@model_option
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=CHUNKS_AT_ONCE,
    show_default=True,
    help="The number of chunks at a time: while one is read, another is embedded.",
)
def worker(model: str | None, concurrency: int) -> None:
    """Run jobs until Ctrl-C or SIGTERM.

    Start one worker a machine, or one a GPU (with LOOKALIKE_DEVICE), on any number of machines. LOOKALIKE_REDIS_URL is
    the queue, LOOKALIKE_MILVUS_URI the store; LOOKALIKE_MODEL must be the same everywhere.
    """
    # Celery and the network load slowly, and few commands need them
    from embeddings.embedder import Embedder  # noqa: PLC0415
    from indexer.open_jobs import check_queue  # noqa: PLC0415
    from indexer.queue.worker import run_worker  # noqa: PLC0415

    settings = settings_with(model=model)
    check_queue(settings)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("celery").setLevel(logging.WARNING)
    logging.getLogger("kombu").setLevel(logging.WARNING)
    with store_of(settings) as store, Embedder(settings) as embedder:
        run_worker(settings, store, embedder, concurrency)
