"""Rate limit per API key or address: the generic cell rate algorithm (GCRA)."""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

BURST = 10.0  # seconds; this much of the average rate may come at once
MAX_CALLERS = 100_000  # the least recently seen callers are forgotten first
_NETWORK = 64  # prefix length of the IPv6 network that a provider gives to one customer


class RateLimiter:
    """Allows each caller `per_minute` requests on average, with bursts of BURST seconds' worth; 0: no limit.

    The generic cell rate algorithm (ITU-T I.371) stores one number per caller: the time of the next request if all
    requests came at even intervals.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 60 / per_minute if per_minute else 0.0
        self._clock = clock
        self._due: OrderedDict[str, float] = OrderedDict()

    def wait(self, caller: str) -> float:
        """Count a request and return 0, or return the seconds until the next one is allowed."""
        now = self._clock()
        due = max(now, self._due.setdefault(caller, now))
        self._due.move_to_end(caller)
        if len(self._due) > MAX_CALLERS:
            self._due.popitem(last=False)
        early = due + self._interval - max(BURST, self._interval) - now
        if early > 1e-9:
            return early
        self._due[caller] = due + self._interval
        return 0.0


def network_of(address: str) -> str:
    """Return a caller's address or, for IPv6, its network: each customer has 2**64 addresses."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return f"{IPv6Address(int(parsed) >> _NETWORK << _NETWORK)}/{_NETWORK}"
    return address


def is_loopback(address: str) -> bool:
    """Return whether an address is a loopback address."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
