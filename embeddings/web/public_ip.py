"""Tells whether an IP address belongs to the public internet, even where it is wrapped in another."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

# IANA's special-purpose addresses, and multicast, reserved and internal addresses of clouds.
_CLOSED_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers
        "127.0.0.0/8",
        "168.63.129.16/32",  # platform services of Azure, reachable from its machines only
        "169.254.0.0/16",  # link-local, with the metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # anycast of the AS112 project
        "192.52.193.0/24",  # multicast tunnels
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",  # anycast of the AS112 project
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)

# The one block that global unicast addresses are allocated from; all other IPv6 addresses are special.
_OPEN_6 = IPv6Network("2000::/3")
_CLOSED_6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo (an IPv4 address inside) among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4 (an IPv4 address inside)
        "2620:4f:8000::/48",  # anycast of the AS112 project
        "3fff::/20",  # documentation
    )
)

# Prefixes before 32 bits that are the IPv4 address really reached. Other wrappings (IPv4-compatible, local-use NAT64,
# 6to4, Teredo) lead to no server of images, and are refused whatever address is inside.
_WRAPPED = (
    IPv6Network("::ffff:0:0/96"),  # IPv4-mapped: how the system writes an IPv4 address
    IPv6Network("64:ff9b::/96"),  # NAT64: how a network without IPv4 reaches IPv4
)


def is_public(address: Address) -> bool:
    """Return whether an address is unicast and routed on the public internet.

    Python 3.11's `is_global` is wrongly true for ::127.0.0.1, 2002:7f00:1::, 64:ff9b::7f00:1, fec0::1 and 224.0.0.1.
    """
    inner = unwrapped(address)
    if isinstance(inner, IPv4Address):
        return not any(inner in network for network in _CLOSED_4)
    return inner in _OPEN_6 and not any(inner in network for network in _CLOSED_6)


def unwrapped(address: Address) -> Address:
    """Return the IPv4 address that packets to `address` reach, or `address` itself."""
    if isinstance(address, IPv6Address) and any(address in network for network in _WRAPPED):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
