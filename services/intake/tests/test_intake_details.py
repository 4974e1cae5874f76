"""Tags, watchers and fields of an installation's own: what is taken, what is told, and where it ends."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from opora_contracts.tickets import PublishedField, TicketUpdated
from opora_contracts.vocabulary import Kind, ResolutionCode, Step
from opora_intake.domain import (
    BadField,
    CaseRules,
    CaseSettings,
    Command,
    Decision,
    FieldsMissing,
    NothingGiven,
    Open,
    Ticket,
    TooMany,
    commands,
    decide,
    open_ticket,
)
from opora_intake.domain.details import MOST_TAGS, MOST_WATCHERS
from opora_intake.domain.fields import FieldDefinition, FieldType

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DEFINED = (
    FieldDefinition(name="affected", label="People", type=FieldType.NUMBER, minimum=0, maximum=1000, published=True),
    FieldDefinition(name="site", label="Site", type=FieldType.CHOICE, choices=("Hamburg", "Kiel"), published=True),
    FieldDefinition(name="systems", label="Systems", type=FieldType.MULTI_CHOICE, choices=("crm", "mail", "vpn")),
    FieldDefinition(name="since", label="Since", type=FieldType.DATE, published=True),
    FieldDefinition(name="reported", label="Reported", type=FieldType.BOOLEAN, published=True),
    FieldDefinition(name="vendor", label="Vendor", type=FieldType.TEXT, max_length=10),
    FieldDefinition(name="root", label="Root", type=FieldType.TEXT, kinds=(Kind.PROBLEM,), required=True),
)
RULES = CaseRules(fields=DEFINED)


def opened(**fields: Any) -> Decision:
    opening = Open(title="Help", **fields)
    return open_ticket(opening, NOON, ticket_id=uuid4(), number=1, message_id=uuid4(), rules=RULES)


def do(ticket: Ticket, command: Command) -> Decision:
    return decide(ticket, command, NOON, message_id=uuid4(), rules=RULES)


def told(decision: Decision) -> TicketUpdated:
    (fact,) = decision.facts
    assert isinstance(fact.data, TicketUpdated)
    return fact.data


def test_tags_are_a_set_in_lower_case() -> None:
    """Tags are told whole and in order; the same one again, or one to be taken off that is not there, is no fact."""
    ticket = opened(tags=["VIP"]).ticket
    decision = do(ticket, commands.TagTicket(tags=(" Outage ", "vip")))
    assert told(decision).tags == ("outage", "vip") == decision.ticket.tags
    assert do(decision.ticket, commands.TagTicket(tags=("VIP",))).facts == ()
    assert do(ticket, commands.Untag(tags=("outage",))).facts == ()
    assert told(do(ticket, commands.Untag(tags=("vip",)))).tags == ()


def test_a_ticket_has_a_bounded_number_of_tags_and_watchers() -> None:
    """The 31st tag and the 51st watcher are refused, and nothing changes."""
    ticket = opened(tags=[f"t{number}" for number in range(MOST_TAGS)]).ticket
    with pytest.raises(TooMany, match="at most 30 tags"):
        do(ticket, commands.TagTicket(tags=("one more",)))
    for start in range(0, MOST_WATCHERS, 25):
        ticket = do(ticket, commands.Watch(watchers=tuple(f"agent:{n}" for n in range(start, start + 25)))).ticket
    with pytest.raises(TooMany, match="at most 50 watchers"):
        do(ticket, commands.Watch(watchers=("agent:more",)))


@pytest.mark.parametrize("watcher", ["anna", "agent:", "agent:a b", "customer:anna", "team:x"])
def test_a_watcher_is_an_agent_or_a_customer(watcher: str) -> None:
    """Anything else is no watcher."""
    with pytest.raises(ValidationError):
        commands.Watch(watchers=(watcher,))


@pytest.mark.parametrize("tag", ["", " ", "a,b", "two\nlines", "x" * 51])
def test_a_tag_is_a_short_line_without_commas(tag: str) -> None:
    """Anything else is no tag."""
    with pytest.raises(ValidationError):
        commands.TagTicket(tags=(tag,))


def test_watchers_keep_their_order() -> None:
    """Who came first stands first, and each once."""
    ticket = do(opened().ticket, commands.Watch(watchers=("agent:boris", "agent:anna"))).ticket
    decision = do(ticket, commands.Watch(watchers=("agent:carla", "agent:boris")))
    assert told(decision).watchers == ("agent:boris", "agent:anna", "agent:carla")
    assert told(do(ticket, commands.Unwatch(watchers=("agent:boris",)))).watchers == ("agent:anna",)


def test_published_fields_are_told_with_their_type_and_others_are_not() -> None:
    """Facts hold the published values only; the ticket holds all."""
    values = {
        "affected": 40,
        "site": "Kiel",
        "systems": ("vpn", "crm"),
        "since": "2026-03-01",
        "reported": False,
        "vendor": "secret",
    }
    decision = do(opened().ticket, commands.SetFields(values=values))
    assert told(decision).fields == (
        PublishedField(name="affected", number=40),
        PublishedField(name="site", text="Kiel"),
        PublishedField(name="since", day=date(2026, 3, 1)),
        PublishedField(name="reported", flag=False),
    )
    assert decision.ticket.fields == {**values, "systems": ["crm", "vpn"]}
    cleared = do(decision.ticket, commands.SetFields(values={"site": None, "vendor": None, "affected": 40}))
    assert told(cleared).fields == (PublishedField(name="site"),)
    assert cleared.ticket.fields == {
        "affected": 40,
        "systems": ["crm", "vpn"],
        "since": "2026-03-01",
        "reported": False,
    }


def test_an_unpublished_change_is_a_fact_that_tells_nothing() -> None:
    """The version counts it, so that nobody overwrites it unseen; the same value again is no fact."""
    decision = do(opened().ticket, commands.SetFields(values={"vendor": "secret"}))
    assert told(decision).fields == ()
    assert do(decision.ticket, commands.SetFields(values={"vendor": "secret"})).facts == ()
    with pytest.raises(NothingGiven):
        do(decision.ticket, commands.SetFields(values={}))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"affected": "40"}, "takes a number"),
        ({"affected": True}, "takes a number"),
        ({"affected": -1}, "at least 0 and at most 1000"),
        ({"affected": float("inf")}, "must be"),
        ({"site": "Bremen"}, "no choice 'Bremen'; choose of Hamburg, Kiel"),
        ({"systems": ("crm", "erp")}, "no choice 'erp'"),
        ({"systems": ()}, "a list of some"),
        ({"since": "yesterday"}, "a day such as"),
        ({"reported": 1}, "true or false"),
        ({"vendor": "x" * 11}, "at most 10 characters"),
        ({"vendor": " "}, "not blank"),
        ({"root": "x"}, "no field of this kind"),
        ({"unheard": "x"}, "there are affected, site, systems, since, reported, vendor"),
    ],
)
def test_a_value_that_does_not_fit_says_what_would(values: dict[str, Any], reason: str) -> None:
    """A wrong type, a bound, an unknown choice or field is refused, when set and when opening."""
    with pytest.raises(BadField, match=reason):
        do(opened().ticket, commands.SetFields(values=values))
    with pytest.raises(BadField, match=reason):
        opened(fields=values)


def test_a_required_field_is_asked_for_at_the_resolution() -> None:
    """A ticket opens without it, so that no letter is refused; resolved it is only with it, or as cancelled."""
    ticket = opened(kind=Kind.PROBLEM).ticket
    with pytest.raises(FieldsMissing, match="needs root"):
        do(ticket, commands.Resolve())
    assert do(ticket, commands.Resolve(resolution_code=ResolutionCode.CANCELLED)).ticket.step is Step.RESOLVED
    filled = do(ticket, commands.SetFields(values={"root": "a full disk"})).ticket
    assert do(filled, commands.Resolve()).ticket.step is Step.RESOLVED
    assert decide(ticket, commands.Resolve(), NOON, message_id=uuid4(), rules=RULES, history=True).facts


def test_an_opening_tells_of_tags_and_published_fields() -> None:
    """`ticket.created` has both from the first."""
    (fact,) = opened(tags=["vip"], fields={"site": "Kiel", "vendor": "x"}).facts
    told_first = fact.data.model_dump(exclude_none=True)
    assert told_first["tags"] == ("vip",)
    assert told_first["fields"] == ({"name": "site", "text": "Kiel"},)


@pytest.mark.parametrize(
    "field",
    [
        {"type": "choice"},
        {"type": "text", "choices": ["a"]},
        {"type": "text", "minimum": 1},
        {"type": "number", "minimum": 2, "maximum": 1},
        {"type": "text", "published": True, "max_length": 201},
        {"type": "text", "max_length": 10_001},
        {"type": "text", "name": "Not A Name"},
        {"type": "choice", "choices": [str(number) for number in range(201)]},
    ],
)
def test_a_field_that_cannot_work_is_refused(field: dict[str, Any]) -> None:
    """A definition that contradicts itself or goes beyond a limit is an error."""
    with pytest.raises(ValidationError):
        CaseSettings.model_validate({"fields": [{"name": "x", "label": "X", **field}]})


def test_fields_have_names_of_their_own_and_a_bounded_number() -> None:
    """Two fields of one name, or the 101st field, are an error."""
    field = {"label": "X", "type": "text"}
    with pytest.raises(ValidationError, match="two fields are called x"):
        CaseSettings.model_validate({"fields": [{"name": "x", **field}, {"name": "x", **field}]})
    with pytest.raises(ValidationError):
        CaseSettings.model_validate({"fields": [{"name": f"x{number}", **field} for number in range(101)]})
