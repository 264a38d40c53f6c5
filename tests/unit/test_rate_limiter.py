"""The rate limit of a caller, by a clock that the test moves."""

import pytest

from api.limits import rate_limiter
from api.limits.rate_limiter import RateLimiter, is_loopback, network_of


class Clock:
    """Time as the test has it."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_ten_seconds_worth_at_once_then_one_at_a_time() -> None:
    clock = Clock()
    limit = RateLimiter(60, clock)  # one a second
    assert [limit.wait("ann") for _ in range(10)] == [0.0] * 10
    assert limit.wait("ann") == pytest.approx(1.0)
    assert limit.wait("ann") == pytest.approx(1.0), "asking in vain costs nothing"
    assert limit.wait("bob") == 0.0
    clock.now += 0.75
    assert limit.wait("ann") == pytest.approx(0.25)
    clock.now += 0.25
    assert limit.wait("ann") == 0.0
    assert limit.wait("ann") == pytest.approx(1.0)
    clock.now += 3600
    assert [limit.wait("ann") for _ in range(11)][-2:] == [0.0, pytest.approx(1.0)]


def test_a_rate_of_less_than_one_in_ten_seconds() -> None:
    clock = Clock()
    limit = RateLimiter(2, clock)
    assert limit.wait("ann") == 0.0
    assert limit.wait("ann") == pytest.approx(30.0)
    clock.now += 30
    assert limit.wait("ann") == 0.0


def test_no_limit() -> None:
    limit = RateLimiter(0, Clock())
    assert not any(limit.wait("ann") for _ in range(1000))


def test_only_so_many_callers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limiter, "MAX_CALLERS", 2)
    limit = RateLimiter(6, Clock())
    for who in ("ann", "bob", "ann", "cem"):
        limit.wait(who)
    assert limit.wait("cem") > 0
    assert limit.wait("bob") == 0.0, "bob was forgotten"


def test_addresses_of_one_customer_count_together() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") != network_of("2001:db8:0:1::1")
    assert network_of("192.0.2.1") == network_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_of("what the header said") == "unknown"


def test_this_machine() -> None:
    assert is_loopback("127.0.0.9") and is_loopback("::1")
    assert not is_loopback("192.0.2.1") and not is_loopback("-")
