"""Connects to Redis with timeouts, and translates its errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from kombu.exceptions import OperationalError
from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.retry import Retry

from embeddings.errors import QueueUnavailable, UsageError

SECONDS = 5.0  # maximum duration of a call
RETRIES = 2
KINDS = ("redis", "rediss", "unix")


def connect(url: str) -> Any:
    """Return a redis.Redis, which connects at the first call. Raises UsageError if `url` is not an address of a Redis.

    The result is Any because the types of redis allow for bytes and coroutines, which this client never returns.
    """
    check(url)
    try:
        return Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=SECONDS,
            socket_connect_timeout=SECONDS,
            health_check_interval=30,
            retry=Retry(ExponentialWithJitterBackoff(cap=1.0, base=0.1), RETRIES),
        )
    except ValueError as error:
        raise UsageError(f"LOOKALIKE_REDIS_URL: {error}", field="redis_url") from error


def check(url: str) -> None:
    """Raise UsageError, without repeating a password, if this is not an address of a Redis."""
    if urlsplit(url).scheme not in KINDS:
        raise UsageError("LOOKALIKE_REDIS_URL must be redis://[:PASSWORD@]HOST:PORT/NUMBER", field="redis_url")


def place(url: str) -> str:
    """Return the address without user and password."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return parts.path if parts.scheme == "unix" else f"{host}:{parts.port or 6379}"


@contextmanager
def translated_errors(url: str) -> Iterator[None]:
    """Raise QueueUnavailable, with advice, for every error of the connection to Redis."""
    try:
        yield
    except AuthenticationError as error:
        raise QueueUnavailable(f"Redis at {place(url)} refuses the password: check LOOKALIKE_REDIS_URL") from error
    except (RedisError, OperationalError, OSError) as error:
        raise QueueUnavailable(
            f"Redis at {place(url)} does not answer: start it, or check LOOKALIKE_REDIS_URL"
        ) from error
