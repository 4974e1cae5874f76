"""Why a record could not be read, for the stranger who published it."""

from enum import StrEnum


class ReasonCode(StrEnum):
    """What is wrong with a record, one word for counting and filtering."""

    NOT_A_CLOUDEVENT = "not_a_cloudevent"
    BAD_HEADER = "bad_header"
    MISSING_ATTRIBUTE = "missing_attribute"
    BAD_ATTRIBUTE = "bad_attribute"
    BAD_KEY = "bad_key"
    TOO_LARGE = "too_large"
    BAD_JSON = "bad_json"
    WRONG_SCHEMA = "wrong_schema"
    UNSUPPORTED_VERSION = "unsupported_version"


class UndecodableEvent(ValueError):  # noqa: N818  it is an event that is undecodable, as its readers say
    """A record that will never decode, whoever tries again: permanent.

    `detail` names the header or field and what was expected. It never repeats the data, which may be personal.
    """

    def __init__(self, reason_code: ReasonCode, detail: str) -> None:
        super().__init__(f"{reason_code}: {detail}")
        self.reason_code = reason_code
        self.detail = detail
