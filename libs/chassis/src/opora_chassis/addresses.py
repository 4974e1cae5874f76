"""Which addresses of others a service may call: never one inside, unless the operator allows it."""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

# Ranges that carry an IPv4 address inside an IPv6 one: a private one could hide there.
_TRANSLATED = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"), ip_network("2002::/16"))


class ForbiddenAddressError(Exception):
    """This address must not be called; the message says why."""


def check_url(url: str, *, allow_private: bool, public_schemes: Sequence[str] = ("https",)) -> None:
    """Refuse an address that must not be called, as far as can be seen without resolving its host.

    Raises ForbiddenAddressError. Plain http is for private hosts only, unless `public_schemes` has it.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise ForbiddenAddressError(f"the address cannot be read: {error}") from error
    allowed_schemes = ("https", "http") if allow_private else public_schemes
    if parts.scheme not in allowed_schemes:
        raise ForbiddenAddressError(f"the address must begin with {' or '.join(allowed_schemes)}://")
    if not host or not url.isprintable() or " " in url:
        raise ForbiddenAddressError("the address names no host")
    if parts.username is not None or parts.password is not None:
        raise ForbiddenAddressError("the address must not hold a user name or a password")
    if not allow_private:
        try:
            literal = ip_address(host)
        except ValueError:
            return
        check_resolved(str(literal))


def check_resolved(address: str) -> None:
    """Refuse a resolved IP address that is not on the public internet. Raises ForbiddenAddressError."""
    resolved = ip_address(address.partition("%")[0])
    if not _is_public(resolved):
        raise ForbiddenAddressError(f"{resolved} is not a public address")


async def resolve_public(host: str, port: int) -> str:
    """An address of the host; all of them must be public. Raises ForbiddenAddressError, or OSError for no answer.

    Whoever calls the very address that is returned cannot be misled by a second name lookup.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        check_resolved(address)
    return addresses[0]


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        if any(address in network for network in _TRANSLATED):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved
