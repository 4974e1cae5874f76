"""Which addresses may be called."""

import pytest

from opora_chassis.addresses import ForbiddenAddressError, check_resolved, check_url, resolve_public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.8",
        "172.16.4.4",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104  an address to be refused
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_an_inner_address_is_refused(address: str) -> None:
    """Nobody is called at a loopback, private, link-local, shared or multicast address, in whatever disguise."""
    with pytest.raises(ForbiddenAddressError):
        check_resolved(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_a_public_address_is_allowed(address: str) -> None:
    """Addresses of the public internet may be called."""
    check_resolved(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "ftp://example.com/hook",
        "https://127.0.0.1/hook",
        "https://[::1]/hook",
        "https://user:password@example.com/hook",
        "https:///hook",
        "https://exa mple.com/",
        "https://example.com:port/",
        "nonsense",
    ],
)
def test_a_bad_address_is_refused_before_it_is_called(url: str) -> None:
    """It needs https, a public host and no password in it."""
    with pytest.raises(ForbiddenAddressError):
        check_url(url, allow_private=False)


def test_a_private_address_needs_the_operators_word() -> None:
    """Where the operator allows it, it may be inside and without TLS; what may be public without TLS is said."""
    check_url("http://127.0.0.1:8080/hook", allow_private=True)
    check_url("https://example.com/hook", allow_private=False)
    check_url("http://example.com/feed", allow_private=False, public_schemes=("https", "http"))


async def test_a_name_that_leads_inside_is_refused() -> None:
    """A public name may stand for an inner address: the address decides."""
    with pytest.raises(ForbiddenAddressError):
        await resolve_public("localhost", 443)
    assert await resolve_public("93.184.215.14", 443) == "93.184.215.14"
