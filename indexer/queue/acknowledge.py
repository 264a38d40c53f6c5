"""Acknowledges messages so that a lost acknowledgement reconnects the worker."""

import logging

from celery.worker.request import Request

log = logging.getLogger(__name__)


class StrictAckRequest(Request):
    """A message in work, whose worker reconnects if the acknowledgement fails.

    Celery's own request only logs the failure. The message then counts as in work for ever. After as many lost messages
    as a worker may have at a time, it asks for no more, and never notices that Redis is back.
    """

    def acknowledge(self) -> None:
        """Acknowledge the message in the event loop, which replaces a lost connection."""
        if not self.acknowledged:
            self.acknowledged: bool = True
            no_errors: tuple[type[Exception], ...] = ()  # to be logged and ignored
            self._on_ack(log, no_errors)
