"""The Celery app: configuration only."""

from celery import Celery
from kombu import Queue

PLANS, CHUNKS = "plans", "chunks"
PLAN, EMBED = "lookalike.plan", "lookalike.embed"
PREFIX = "lookalike:celery:"


def make_app(url: str, visibility_timeout: int) -> Celery:
    """Return the app for the Redis at `url`.

    A message that is not acknowledged within `visibility_timeout` seconds is delivered to another worker.
    """
    sweep_seconds = max(1, min(5, visibility_timeout // 4))
    app = Celery("lookalike", broker=url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=True,
        task_queues=(Queue(PLANS), Queue(CHUNKS)),
        task_create_missing_queues=False,
        task_default_queue=CHUNKS,
        task_routes={PLAN: {"queue": PLANS}, EMBED: {"queue": CHUNKS}},
        task_publish_retry_policy={"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5},
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,  # workers are not controlled through Redis
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # threads cannot be cancelled; the record of a chunk tells that it was delivered twice
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "global_keyprefix": PREFIX,
            "visibility_timeout": visibility_timeout,
            "unacked_restore_interval": sweep_seconds,
            "unacked_restore_throttle": 1,
            # a worker that is killed during its sweep leaves a lock behind, by default for 5 minutes in which lost
            # messages are not restored; two sweeps at once do no harm
            "unacked_mutex_expire": sweep_seconds,
            "queue_order_strategy": "priority",  # plans come first: they make the chunks
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
        },
    )
    return app


def waiting_key(queue: str) -> str:
    """Return the key of a queue's waiting messages in Redis."""
    return PREFIX + queue
