"""How a person is reached: e-mail addresses and telephone numbers, each in one spelling. No DNS is asked."""

from collections.abc import Iterable
from typing import Annotated

import phonenumbers
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from pydantic import AfterValidator, Field

MOST_ADDRESSES = 20
"""So many addresses, and so many phones, a customer has at most."""
LONGEST_ADDRESS = 200

# An intranet writes from .local and .internal: which names are special on the internet is no matter here.
SPECIAL_USE_DOMAIN_NAMES.clear()


def checked_email(text: str) -> str:
    """The address as it is kept (RFC 5322, RFC 6531; the domain in lower case and Unicode). Raises ValueError."""
    address = text.strip()
    if len(address) > LONGEST_ADDRESS:
        raise ValueError(f"an address has at most {LONGEST_ADDRESS} characters")
    try:
        valid = validate_email(
            address, check_deliverability=False, allow_quoted_local=True, globally_deliverable=False
        ).normalized
    except EmailNotValidError as error:
        raise ValueError(f"no e-mail address such as anna@example.com: {error}") from error
    if len(valid) > LONGEST_ADDRESS:
        raise ValueError(f"an address has at most {LONGEST_ADDRESS} characters")
    return valid


def checked_phone(text: str) -> str:
    """The number in E.164 (ITU-T). Raises ValueError for what is no number of the country that it names."""
    try:
        number = phonenumbers.parse(text.strip()[:50], None)
    except phonenumbers.NumberParseException as error:
        raise ValueError("no phone number with its country code, such as +49 30 901820") from error
    if number.extension:
        raise ValueError("a phone number with an extension: leave the extension out, and put it into a note")
    if not phonenumbers.is_valid_number(number):
        raise ValueError(f"no phone number that exists in the numbering plan of +{number.country_code}")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def without_twins(addresses: Iterable[str]) -> tuple[str, ...]:
    """Each address once, whatever its letter case, in the order in which they are first named."""
    known: dict[str, str] = {}
    for address in addresses:
        known.setdefault(address.lower(), address)
    return tuple(known.values())


CheckedEmail = Annotated[str, AfterValidator(checked_email)]
CheckedPhone = Annotated[str, AfterValidator(checked_phone)]
Emails = Annotated[tuple[CheckedEmail, ...], Field(max_length=MOST_ADDRESSES), AfterValidator(without_twins)]
Phones = Annotated[tuple[CheckedPhone, ...], Field(max_length=MOST_ADDRESSES), AfterValidator(without_twins)]
