"""What was seen of a case, held against what the contract promises. No I/O."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opora_contracts import Event
from opora_contracts.conformance import Answer, Case

TICKETS_PUBLISHER = "/opora/intake"

Shown = Mapping[str, Any]
"""A document of intake's API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What became of a case's records."""

    broker_refusal: str | None = None
    """The broker's words when it did not take the record under test."""
    settled: bool = True
    """Whether intake has gone past the record: then nothing more can come of it."""
    partition: int | None = None
    offset: int | None = None
    tickets: Sequence[Shown] = ()
    """Those under the record's source and subject."""
    messages: Sequence[str] = ()
    """The texts on these tickets."""
    created: Sequence[Event[Any]] = ()
    """The facts on opora.tickets that say that these tickets were opened, each once however often it was sent."""
    letters: Sequence[Shown] = ()
    """Intake's dead letters of the record under test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One line of the report."""

    case: Case
    seen: Seen
    answer: str
    """What was seen, in words."""
    problems: Sequence[str] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether the platform answered as the contract says."""
        return not self.problems


def judge(case: Case, seen: Seen) -> Verdict:
    """Compare, and put what was seen into words."""
    return Verdict(case=case, seen=seen, answer=_in_words(seen), problems=tuple(_problems(case, seen)))


def _problems(case: Case, seen: Seen) -> Iterator[str]:
    if seen.broker_refusal is not None:
        if case.expected.answer is not Answer.REFUSED_BY_BROKER:
            yield f"the broker did not take the record: {seen.broker_refusal}"
    elif not seen.settled:
        yield "intake did not get past the record in time"
    else:
        yield from _ticket_problems(case, seen)
        yield from _letter_problems(case, seen)


def _ticket_problems(case: Case, seen: Seen) -> Iterator[str]:
    if len(seen.tickets) != case.tickets:
        yield f"tickets under its source and subject: {len(seen.tickets)}, expected {case.tickets}"
        return
    for ticket in seen.tickets:
        version = 2 if case.expected.answer is Answer.MESSAGE else 1
        if ticket["version"] != version:
            yield f"facts of {ticket['number']}: {ticket['version']}, expected {version}"
        for name, value in case.expected.fields.items():
            if ticket[name] != value:
                yield f"{ticket['number']} shows {name} {ticket[name]!r}, expected {value!r}"
        if case.expected.message is not None and case.expected.message not in seen.messages:
            yield f"{ticket['number']} does not have the message"
        yield from _fact_problems(ticket, [fact for fact in seen.created if fact.subject == ticket["id"]])


def _fact_problems(ticket: Shown, created: Sequence[Event[Any]]) -> Iterator[str]:
    if len(created) != 1:
        yield f"facts on opora.tickets that say that {ticket['number']} was opened: {len(created)}, expected 1"
        return
    (fact,) = created
    told = (fact.source, fact.data.number, fact.data.title)
    if told != (TICKETS_PUBLISHER, ticket["number"], ticket["title"]):
        yield f"the fact on opora.tickets says {told}, which is not what intake's API shows"


def _letter_problems(case: Case, seen: Seen) -> Iterator[str]:
    expected = case.expected
    wanted = int(expected.answer in {Answer.DEAD_LETTER, Answer.REFUSED_BY_BROKER})
    if len(seen.letters) != wanted:
        yield f"dead letters: {len(seen.letters)}, expected {wanted}"
        return
    for letter in seen.letters:
        if letter["reason_code"] != expected.reason_code:
            yield f"the dead letter's code is {letter['reason_code']}, expected {expected.reason_code}"
        if expected.reason not in letter["reason"]:
            yield f"the dead letter's reason does not say {expected.reason!r}"


def _in_words(seen: Seen) -> str:
    if seen.broker_refusal is not None:
        return "refused by the broker"
    parts = [f"ticket {ticket['number']}" for ticket in seen.tickets]
    parts += [f"dead letter {letter['reason_code']}" for letter in seen.letters]
    if parts:
        return ", ".join(parts)
    return "nothing" if seen.settled else "no answer"
