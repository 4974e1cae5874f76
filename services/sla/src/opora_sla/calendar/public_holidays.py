"""Public holidays of countries and their parts, as the `holidays` package knows them.

What it knows changes with its releases, so what was read is kept with the calendar's version and not read again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

FIRST_YEAR = 2000
KEPT = object()
"""The context in which a document is read that was written before: what this release knows no longer was known then."""
_HALF_DAY = "half_day"


class UnknownHolidaysError(Exception):
    """Whose holidays are asked for is not known to this release; the message says what to do."""


class PublicHolidays(BaseModel):
    """Whose public holidays are closed."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    country: str
    """ISO 3166-1, two letters, such as DE."""
    subdivision: str | None = None
    """A part of the country, such as BY: ISO 3166-2 without the country. Without it, what holds in all parts."""
    categories: tuple[str, ...] = ()
    """Further kinds of holidays that the country has, such as bank or optional, instead of `public` alone."""

    @field_validator("country")
    @classmethod
    def _country_is_known(cls, country: str, info: ValidationInfo) -> str:
        return country if info.context is KEPT else _one_of(_countries(), country, "country", "DE")

    @field_validator("subdivision")
    @classmethod
    def _subdivision_is_known(cls, subdivision: str | None, info: ValidationInfo) -> str | None:
        if subdivision is None or "country" not in info.data or info.context is KEPT:
            return subdivision
        country = info.data["country"]
        parts = list(_countries()[country])
        if not parts:
            raise ValueError(f"{country} has no subdivisions; leave it out")
        return _one_of(parts, subdivision, f"subdivision of {country}", ", ".join(parts[:3]))

    @field_validator("categories")
    @classmethod
    def _categories_are_known(cls, categories: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "country" not in info.data or info.context is KEPT:
            return categories
        known = [name for name in _of(info.data["country"]).supported_categories if name != _HALF_DAY]
        for category in categories:
            if category == _HALF_DAY:
                raise ValueError("half_day would close the whole day; write these dates' hours as date_overrides")
            _one_of(known, category, f"category of {info.data['country']}", ", ".join(known))
        return categories

    def dates(self, years: Iterable[int]) -> dict[date, str]:
        """The holidays of these years with their names, in this machine's language where it is known.

        Raises UnknownHolidaysError for a part of a country that this release knows no longer.
        """
        try:
            found = _of(
                self.country,
                subdiv=self.subdivision,
                years=list(years),
                categories=self.categories or None,
                expand=False,
            )
        except (NotImplementedError, ValueError) as error:
            raise UnknownHolidaysError(f"the public holidays are not known: {error}; revise holidays_of") from error
        return dict(sorted(found.items()))


def years_kept(year: int) -> range:
    """The years for which a calendar that is written in `year` keeps its holidays: until a decade's end, and at least
    eleven years ahead, since no due date is more than ten years away.
    """
    return range(FIRST_YEAR, (year // 10 + 2) * 10 + 1)


def _of(country: str, **options: Any) -> Any:
    from holidays import country_holidays

    return country_holidays(country, **options)


def _countries() -> dict[str, list[str]]:
    from holidays import list_supported_countries

    return list_supported_countries(include_aliases=False)


def _one_of(known: Iterable[str], given: str, what: str, example: str) -> str:
    names = list(known)
    if given in names:
        return given
    near = get_close_matches(given.upper() if given.islower() and given.upper() in names else given, names, n=1)
    raise ValueError(f"{given!r} is no {what}; write {near[0] if near else f'one such as {example}'}")
