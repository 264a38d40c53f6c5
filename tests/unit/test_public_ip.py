"""Public and private addresses, by hand from IANA's registries and RFCs."""

from ipaddress import ip_address

import pytest

from embeddings.web.public_ip import is_public, unwrapped

PRIVATE = [
    one
    for line in (
        "0.0.0.0 0.1.2.3 10.0.0.0 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1",
        "127.255.255.254 168.63.129.16 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8 192.0.0.192",
        "192.0.2.1 192.31.196.1 192.52.193.1 192.88.99.1 192.168.0.1 192.168.255.255 192.175.48.1 198.18.0.1",
        "198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ::1",
        "::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1 64:ff9b::10.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::7f00:1 64:ff9b:1::8.8.8.8 100::1",
        "2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:10::1 2001:20::1 2001:db8::1",
        "2002:7f00:1:: 2002:a00:1::1 2002:808:808::1 2620:4f:8000::1 3fff::1 5f00::1 fc00:: fd00:ec2::254",
        "fe80:: fe80::1 fe80::1%1 febf::1 fec0::1 ff02::1 ff0e::1 4000::1 1fff::1",
    )
    for one in line.split()
]
PUBLIC = [
    one
    for line in (
        "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1",
        "169.253.255.255 172.15.255.255 172.32.0.0 192.0.1.1 192.167.255.255 192.169.0.0 198.17.255.255",
        "198.20.0.0 223.255.255.255 2001:200::1 2001:4860:4860::8888 2003::1 2606:4700::1111 2a00:1450::1",
        "3ffe::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8",
    )
    for one in line.split()
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(ip_address(address))


def test_the_address_inside_another() -> None:
    inner = ip_address("93.184.215.14")
    assert unwrapped(ip_address("::ffff:93.184.215.14")) == inner
    assert unwrapped(ip_address("64:ff9b::5db8:d70e")) == inner
    assert unwrapped(inner) == inner
    assert unwrapped(ip_address("2606:4700::1111")) == ip_address("2606:4700::1111")
