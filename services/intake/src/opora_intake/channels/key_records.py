"""The keys of DKIM signatures, asked for in the DNS (RFC 6376 §3.6.2). Imported when wanted: dnspython takes 150 ms."""

from collections.abc import Sequence

from dns.asyncresolver import Resolver
from dns.exception import DNSException
from dns.nameserver import Do53Nameserver
from dns.resolver import NXDOMAIN, NoAnswer

from opora_intake.channels.origin import KEY_SECONDS, KeysUnavailable, Records, nameserver

_LONGEST_KEY = 8192
_MOST_UDP_BYTES = 1232
"""What every way carries in one piece; longer answers come by TCP."""


def records_of(dns_servers: Sequence[str]) -> Records:
    """Ask these DNS servers, or those of the system where none is named."""
    resolver = Resolver(configure=not dns_servers)
    if dns_servers:
        resolver.nameservers = [Do53Nameserver(*nameserver(entry)) for entry in dns_servers]
    resolver.lifetime = KEY_SECONDS
    resolver.use_edns(0, 0, _MOST_UDP_BYTES)

    async def record(name: str) -> str | None:
        try:
            answer = await resolver.resolve(f"{name}.", "TXT")
        except (NXDOMAIN, NoAnswer):
            return None
        except (DNSException, OSError) as error:
            raise KeysUnavailable(f"{name}: {type(error).__name__}") from error
        # One record; its pieces belong together. It is text of a stranger.
        texts = [b"".join(each.strings) for each in answer]
        return texts[0].decode("ascii", "replace") if len(texts[0]) <= _LONGEST_KEY else None

    return record
