"""Time zones by their names in the IANA database."""

from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator

from opora_contracts.fact import Identifier

_ZONES = frozenset(available_timezones())


def _known_zone(name: str) -> str:
    if name not in _ZONES:
        raise ValueError("no time zone of the IANA database, such as Europe/Berlin")
    return name


TimeZone = Annotated[Identifier, AfterValidator(_known_zone)]
