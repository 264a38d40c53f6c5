"""How many requests one key, or one address, may make."""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

BURST = 10.0  # seconds' worth of requests that may come at once
MAX_CALLERS = 100_000  # remembered; those who have been quiet the longest are forgotten first
_NETWORK = 64  # bits of an IPv6 address that one customer of a provider has


class RateLimiter:
    """Lets each caller make `per_minute` requests on average, and ten seconds' worth of them at once; 0: any number.

    The generic cell rate algorithm (ITU-T I.371): one number is kept for a caller, the time at which the next request
    would come if they all came evenly.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 60 / per_minute if per_minute else 0.0
        self._clock = clock
        self._due: OrderedDict[str, float] = OrderedDict()

    def wait(self, who: str) -> float:
        """Count a request and return 0, or the seconds to wait before another is taken."""
        now = self._clock()
        due = max(now, self._due.setdefault(who, now))
        self._due.move_to_end(who)
        if len(self._due) > MAX_CALLERS:
            self._due.popitem(last=False)
        early = due + self._interval - max(BURST, self._interval) - now
        if early > 1e-9:
            return early
        self._due[who] = due + self._interval
        return 0.0


def network_of(address: str) -> str:
    """Return what stands for a caller's address: for IPv6 its network, since everybody has 2**64 addresses there."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return f"{IPv6Address(int(parsed) >> _NETWORK << _NETWORK)}/{_NETWORK}"
    return address


def is_this_machine(address: str) -> bool:
    """Return whether an address is one of loopback's."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
