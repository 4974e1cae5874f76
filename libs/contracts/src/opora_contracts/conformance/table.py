"""The table of cases as a page of the documentation, written from the same data that is run."""

from opora_contracts.conformance import CASES
from opora_contracts.conformance.case import Answer, Case, Expected, Standing

REASONS = {
    "not_a_cloudevent": "The record carries no CloudEvents 1.0 event.",
    "bad_header": "A header that is read is null, given twice, or not UTF-8.",
    "missing_attribute": "An attribute that every event needs is not there.",
    "bad_attribute": "An attribute breaks a rule; the reason names the rule.",
    "bad_key": "The record's key is not a printable text of at most 200 characters.",
    "too_large": "The data, or the structured event, has more than 1 MiB.",
    "bad_json": "The data is not one JSON object in UTF-8, or breaks a rule of the wire format.",
    "wrong_schema": "The data breaks the schema of its type; the reason names each field and rule.",
    "unsupported_version": "The type is known, its major version is not.",
    "reserved_source": "`ce_source` is one of the platform's own, `/opora` or below, in whatever letter case.",
    "refused": "The event can be read, and what it asks for cannot be done.",
    "handler_failed": "The service failed on it three times: a fault of the service; redrive it after an upgrade.",
    "queued": "It is good by itself, and waits behind an earlier dead letter of its key.",
    "missing_sequence": "Only on topics of facts: `ce_sequence` is not there.",
    "gap": "Only on topics of facts: `ce_sequence` is not the next one of its source and subject.",
}
"""What each reason code of a dead letter means."""

_HEADINGS = {
    Standing.VALID: ("Plain events", "What a publisher usually sends, and repetitions."),
    Standing.BORDERLINE: ("At the edge", "Unusual or as large as may be, and taken."),
    Standing.BROKEN: (
        "Bad input",
        "What is put aside, or never gets as far. The last column quotes what the reason says.",
    ),
}
_INTRODUCTION = """\
What a foreign publisher may write to `opora.requests`, and how the platform answers, case by case. The conformance
kit publishes every one of these cases to a running platform and compares: see the
[guide](../guides/conformance.md) for running it.

| answer | means |
|---|---|
| one ticket | intake opens a ticket with the event's data |
| one message | intake adds the text to the ticket |
| nothing more | a repetition: the same (`ce_source`, `ce_id`) has had its effect |
| passed over | counted, and nothing else happens: the type is for somebody else, or for a later release |
| dead letter | put aside as it came, with a reason; **later events of its key wait behind it**, in order |
| refused by the broker | the producer gets an error; where a broker takes more than 1 MiB, a dead letter `too_large` |

A publisher finds its dead letter at intake, `GET /v1/dead-letters`, by the topic, partition and offset with which the
broker acknowledged the record, or by source and id; the API key needs the scope `dead-letters:read`. The id of an
event that became a dead letter is not used up: the corrected event may carry it again. Under the same key it waits,
until somebody gives the letter up (`DELETE /v1/dead-letters/{id}`, or `opora dead-letters discard`) and lets the rest
go on (`POST /v1/dead-letters/{id}/redrive`, or `opora dead-letters redrive`).
"""


def page(generated: str) -> str:
    """The page in Markdown; `generated` is the comment that says where it comes from."""
    lines = ["# What a publisher may send, and how it is answered", "", generated, "", _INTRODUCTION]
    for standing, (heading, words) in _HEADINGS.items():
        lines += [f"## {heading}", "", words, "", "| case | input | answer |", "|---|---|---|"]
        lines += [_row(case) for case in CASES if case.standing is standing]
        lines.append("")
    lines += ["## Reason codes", "", "| code | means |", "|---|---|"]
    lines += [f"| `{code}` | {meaning} |" for code, meaning in REASONS.items()]
    return "\n".join([*lines, ""])


def answer_in_words(expected: Expected) -> str:
    """The promised answer, in a few words."""
    match expected.answer:
        case Answer.TICKET:
            return "one ticket"
        case Answer.MESSAGE:
            return "one message"
        case Answer.SKIPPED:
            return "passed over"
        case Answer.DEAD_LETTER:
            return f"dead letter {expected.reason_code}"
        case _:
            return str(expected.answer)


def _row(case: Case) -> str:
    answer = answer_in_words(case.expected)
    if case.expected.answer is Answer.DEAD_LETTER:
        answer = f"dead letter `{case.expected.reason_code}`: {case.expected.reason.strip(' :')}"
    return f"| `{case.name}` | {_cell(case.what)} | {_cell(answer)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
