"""How long users wait for an answer: in quiet, many at once, and while others abuse the service."""
