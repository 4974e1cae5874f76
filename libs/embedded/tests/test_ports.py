"""Free ports."""

from opora_embedded.ports import find_free_port


def test_no_port_is_given_twice() -> None:
    """A server that binds its port later does not meet another one of the same process there."""
    ports = [find_free_port() for _ in range(500)]
    assert len(set(ports)) == len(ports)
