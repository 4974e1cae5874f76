"""For whom letters are taken in."""

from collections.abc import Iterable
from dataclasses import dataclass

from opora_intake.mail.addresses import parse_address


@dataclass(frozen=True, slots=True)
class Recipients:
    """The addresses and the whole domains that support answers for, in lower case."""

    addresses: frozenset[str]
    domains: frozenset[str]

    @classmethod
    def of(cls, configured: Iterable[str]) -> "Recipients":
        """`support@example.org` is one address, `@example.org` a domain. Raises ValueError for what is neither."""
        addresses, domains = set[str](), set[str]()
        for entry in configured:
            whole_domain = entry.startswith("@")
            address = parse_address(f"x{entry}" if whole_domain else entry)
            if address is None or "+" in address:
                raise ValueError(f"{entry!r} is no address such as support@example.org and no domain as @example.org")
            (domains if whole_domain else addresses).add(
                address.rpartition("@")[2] if whole_domain else address.lower()
            )
        return cls(frozenset(addresses), frozenset(domains))

    def accepts(self, address: str) -> bool:
        """Whether letters to this address are ours: what follows a `+` and letter case do not count.

        The postmaster of every domain is, also without a domain (RFC 5321 §4.5.1).
        """
        if address.lower() == "postmaster":
            return True
        plausible = parse_address(address) if address.isprintable() else None
        if plausible is None:
            return False
        local, _, domain = plausible.lower().rpartition("@")
        bare = f"{local.partition('+')[0]}@{domain}"
        ours = self.domains | {known.rpartition("@")[2] for known in self.addresses}
        return domain in self.domains or bare in self.addresses or (local == "postmaster" and domain in ours)
