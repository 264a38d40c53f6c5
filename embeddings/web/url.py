"""Parses the URL of an image, and refuses URLs that are never fetched."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Self
from urllib.parse import quote, unquote, urljoin, urlsplit

import idna

from embeddings.errors import UrlBlocked

MAX_URL = 8192  # bytes of UTF-8

_DEFAULT_PORTS = {"http": 80, "https": 443}
_FIRST_FREE_PORT = 1024  # lower ports belong to mail, remote shells and the like, which HTTP must not reach
# higher ports that browsers refuse
_OTHER_SERVICES = frozenset(
    (1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, *range(6665, 6670), 6679, 6697, 10080)
)
_NEVER = re.compile(r"[\x00-\x1f\x7f\\]")  # parsers of URLs disagree about these
_NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,252}")
_UNESCAPED = "!$%&'()*+,/:;=?@[]~"


@dataclass(frozen=True)
class WebUrl:
    """An http(s) URL: `host` is an ASCII name or an address without brackets, `target` the path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a URL. Raises UrlBlocked if it is invalid or never fetched."""
        try:
            if len(text.encode()) > MAX_URL or _NEVER.search(text):
                raise ValueError("too long, or with control characters")
            parts = urlsplit(text.strip())
            if "@" in parts.netloc:
                raise ValueError("with a user name")
            default = _DEFAULT_PORTS[parts.scheme]  # only http and https
            port = default if parts.port is None else parts.port
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            url = cls(parts.scheme, _host(parts.hostname or ""), port, quote(target, safe=_UNESCAPED))
        except (ValueError, KeyError) as error:  # UnicodeError and idna's errors are ValueErrors
            raise UrlBlocked(field="url") from error
        if not url._allowed_port:
            raise UrlBlocked(field="url")
        return url

    def joined(self, location: str) -> Self:
        """Return the URL that a redirect from here leads to. Raises UrlBlocked."""
        try:
            return self.parse(urljoin(str(self), location))
        except ValueError as error:
            raise UrlBlocked(field="url") from error

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: URLs of one origin may see each other's secrets."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def _allowed_port(self) -> bool:
        free = self.port >= _FIRST_FREE_PORT and self.port not in _OTHER_SERVICES
        return free or self.port in _DEFAULT_PORTS.values()

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def last_part(url: str) -> str:
    """Return the last part of a URL's path, unescaped; '' where there is none."""
    return unquote(urlsplit(url).path).rsplit("/", 1)[-1]


def _host(host: str) -> str:
    """Return a host as it is resolved. Raises ValueError."""
    if ":" in host:
        if "%" in host:
            raise ValueError("with a zone, which is only known to this machine")
        return str(IPv6Address(host))
    name = host if host.isascii() else idna.encode(host, uts46=True).decode()
    if not _NAME.fullmatch(name):
        raise ValueError("not a host name")
    return name
