"""Takes the URL of a picture apart, once and for all who use it, and refuses what is never fetched."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Self
from urllib.parse import quote, unquote, urljoin, urlsplit

import idna

from embeddings.errors import UrlBlocked

MAX_URL = 8192  # bytes of UTF-8

_DEFAULT_PORTS = {"http": 80, "https": 443}
_FIRST_FREE_PORT = 1024  # below it are mail, remote shells and the like, which must not be talked to in HTTP's name
# what browsers refuse above it
_OTHER_SERVICES = frozenset(
    (1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, *range(6665, 6670), 6679, 6697, 10080)
)
_NEVER = re.compile(r"[\x00-\x1f\x7f\\]")  # what parsers of URLs disagree about
_NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,252}")
_UNESCAPED = "!$%&'()*+,/:;=?@[]~"


@dataclass(frozen=True)
class WebUrl:
    """A URL of the web: `host` is an ASCII name or an address without brackets, `target` what a request asks for."""

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take a URL apart. Raises UrlBlocked if it is none, or none of those that are fetched."""
        try:
            if len(text.encode()) > MAX_URL or _NEVER.search(text):
                raise ValueError("too long, or with control characters")
            parts = urlsplit(text.strip())
            if "@" in parts.netloc:
                raise ValueError("with a user name")
            usual = _DEFAULT_PORTS[parts.scheme]  # http and https alone
            port = usual if parts.port is None else parts.port
            whole = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            url = cls(parts.scheme, _host(parts.hostname or ""), port, quote(whole, safe=_UNESCAPED))
        except (ValueError, KeyError) as error:  # UnicodeError and idna's errors are ValueErrors
            raise UrlBlocked(field="url") from error
        if not url._usual_port:
            raise UrlBlocked(field="url")
        return url

    def joined(self, location: str) -> Self:
        """Return where a redirect from here leads. Raises UrlBlocked."""
        try:
            return self.parse(urljoin(str(self), location))
        except ValueError as error:
            raise UrlBlocked(field="url") from error

    @property
    def origin(self) -> tuple[str, str, int]:
        """What two URLs have in common if one may see the other's secrets."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def _usual_port(self) -> bool:
        free = self.port >= _FIRST_FREE_PORT and self.port not in _OTHER_SERVICES
        return free or self.port in _DEFAULT_PORTS.values()

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def last_part(url: str) -> str:
    """Return the last part of a URL's path as people read it; '' where there is none."""
    return unquote(urlsplit(url).path).rsplit("/", 1)[-1]


def _host(host: str) -> str:
    """Return a host as it is looked up. Raises ValueError."""
    if ":" in host:
        if "%" in host:
            raise ValueError("with a zone, which only this machine knows")
        return str(IPv6Address(host))
    name = host if host.isascii() else idna.encode(host, uts46=True).decode()
    if not _NAME.fullmatch(name):
        raise ValueError("not a host name")
    return name
