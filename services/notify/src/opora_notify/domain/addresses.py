"""Which addresses a webhook may go to: never one inside, unless the operator allows it."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

# Ranges that carry an IPv4 address inside an IPv6 one: a private one could hide there.
_TRANSLATED = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"), ip_network("2002::/16"))


class ForbiddenAddressError(Exception):
    """A webhook must not go to this address; the message says why."""


def check_url(url: str, *, allow_private: bool) -> None:
    """Refuse an address that no webhook may have, as far as can be seen without resolving its host.

    Raises ForbiddenAddressError. Plain http is for private endpoints only.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise ForbiddenAddressError(f"the address cannot be read: {error}") from error
    allowed_schemes = ("https", "http") if allow_private else ("https",)
    if parts.scheme not in allowed_schemes:
        raise ForbiddenAddressError(f"the address must begin with {' or '.join(allowed_schemes)}://")
    if not host or not url.isprintable() or " " in url:
        raise ForbiddenAddressError("the address names no host")
    if parts.username is not None or parts.password is not None:
        raise ForbiddenAddressError("the address must not hold a user name or a password: messages are signed instead")
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


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        if any(address in network for network in _TRANSLATED):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved
