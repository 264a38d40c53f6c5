"""How a worker acknowledges what it has done."""

import logging

from celery.worker.request import Request

log = logging.getLogger(__name__)


class StrictAckRequest(Request):
    """A message in work, whose worker connects anew where the acknowledgement does not get through.

    Celery's own only logs that. The message then counts as being in work for good, and when as many have been lost as a
    worker may have at a time, it asks for no more, and so never notices that Redis is back.
    """

    def acknowledge(self) -> None:
        """Acknowledge the message in the event loop, where a connection that is lost ends it and begins a new one."""
        if not self.acknowledged:
            self.acknowledged: bool = True
            no_errors: tuple[type[Exception], ...] = ()  # to be logged and forgotten
            self._on_ack(log, no_errors)
