"""What web forms accept, without a database: their tokens and what is made of whatever is sent."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opora_contracts.vocabulary import Channel
from opora_intake.domain import CaseRules, Open
from opora_intake.domain.fields import FieldDefinition
from opora_intake.domain.form_tokens import LIFE, TOKEN_CHARACTERS, TokenFault, TokenRefused, make_token, open_token
from opora_intake.domain.web_forms import (
    Flooded,
    FormLimits,
    Given,
    Mistaken,
    Recent,
    WebForm,
    WebFormRules,
    check_flood,
    opening_of,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECRET, NONCE = b"s" * 32, b"n" * 15
FIELDS = tuple(
    FieldDefinition.model_validate({"label": "A field", **each})
    for each in (
        {"name": "os", "type": "choice", "choices": ["Linux", "Windows"]},
        {"name": "seats", "type": "number", "maximum": 10},
        {"name": "since", "type": "date"},
        {"name": "agreed", "type": "boolean"},
        {"name": "parts", "type": "multi_choice", "choices": ["printer", "screen"]},
        {"name": "words", "type": "text", "max_length": 5},
    )
)
RULES = CaseRules(fields=FIELDS)


def form(**rules: Any) -> WebForm:
    """A form that asks for every kind of field."""
    asked = [{"name": each.name} for each in FIELDS]
    draft = WebFormRules.model_validate({"title": "Write to us", "fields": asked, **rules})
    return WebForm(name="contact", rules=draft, secret=SECRET, version=1, changed_at=NOON, changed_by="agent:anna")


def fault_of(token: str, now: datetime, *, secret: bytes = SECRET, name: str = "contact", minimum: int = 3) -> Any:
    """Why a token is not taken; None for one that is."""
    try:
        assert open_token(secret, name, token, now, minimum_seconds=minimum) == NONCE
    except TokenRefused as refusal:
        return refusal.fault
    return None


def test_a_token_is_taken_from_the_least_time_on_for_a_day() -> None:
    """Not before, not after, not by another form or secret; a host whose clock is a little behind takes it too."""
    token = make_token(SECRET, "contact", NOON, NONCE)
    assert len(token) == TOKEN_CHARACTERS == 48
    assert fault_of(token, NOON + timedelta(seconds=2.9)) is TokenFault.EARLY
    assert fault_of(token, NOON + timedelta(seconds=3)) is None
    assert fault_of(token, NOON + LIFE) is None
    assert fault_of(token, NOON + LIFE + timedelta(seconds=1)) is TokenFault.EXPIRED
    assert fault_of(token, NOON - timedelta(minutes=4), minimum=0) is TokenFault.EARLY
    assert fault_of(token, NOON - timedelta(minutes=6)) is TokenFault.EXPIRED
    assert fault_of(token, NOON + timedelta(minutes=1), secret=b"t" * 32) is TokenFault.FORGED
    assert fault_of(token, NOON + timedelta(minutes=1), name="contac") is TokenFault.FORGED


def test_every_changed_character_makes_a_token_a_forgery() -> None:
    """There is no place in a token that is not proven, and no second spelling of it."""
    token = make_token(SECRET, "contact", NOON, NONCE)
    for place in range(TOKEN_CHARACTERS):
        other = "A" if token[place] != "A" else "B"
        changed = token[:place] + other + token[place + 1 :]
        assert fault_of(changed, NOON + timedelta(minutes=1)) is TokenFault.FORGED, place
    for wrong in (token + "=", token + "\n", " " + token, token[:-1], "", token * 2, "\ud800"):
        assert fault_of(wrong, NOON + timedelta(minutes=1)) is TokenFault.FORGED, wrong


@pytest.mark.parametrize(
    ("recent", "by"),
    [
        (Recent(of_all=9, of_form=4, of_address=1), None),
        (Recent(of_all=9, of_form=4, of_address=2), "address"),
        (Recent(of_all=9, of_form=5, of_address=1), "form"),
        (Recent(of_all=10, of_form=4, of_address=1), "site"),
    ],
)
def test_each_limit_ends_a_flood_alone(recent: Recent, by: str | None) -> None:
    """As many as the limit says are taken, and the next one is refused, by address, by form and over all forms."""
    limits = FormLimits(most_of_address=2, most_of_all=10)
    if by is None:
        check_flood(recent, form(most_an_hour=5), limits)
    else:
        with pytest.raises(Flooded, match=by):
            check_flood(recent, form(most_an_hour=5), limits)


def test_what_the_lists_have_lost_refuses_nobody() -> None:
    """A form whose category or field is gone by now opens its tickets without."""
    asked = form(category="Printers", component="Tray", fields=[{"name": "gone", "required": True}])
    rules = CaseRules(categories=("Screens",), components=("Tray",), fields=FIELDS)
    opening = opening_of(asked, Given(email="anna@example.com", subject="x", message="y"), rules)
    assert (opening.category, opening.component, opening.fields) == (None, "Tray", {})


@pytest.mark.parametrize(
    ("name", "value", "mistake"),
    [
        ("seats", 10**400, "number"),
        ("seats", -(10**400), "number"),
        ("seats", "1e999", "number"),
        ("seats", "nan", "number"),
        ("seats", True, "number"),
        ("parts", [None], "choice"),
        ("parts", [["printer"]], "choice"),
        ("os", {"a": 1}, "choice"),
        ("since", 20260302, "day"),
        ("words", "six ch", "too_long"),
        ("agreed", "yes", "choice"),
    ],
)
def test_a_value_of_no_such_type_is_a_mistake(name: str, value: Any, mistake: str) -> None:
    """Whatever JSON can say in the place of a value is named as a mistake of that field alone."""
    sent = Given(email="anna@example.com", subject="x", message="y", fields={name: value})
    with pytest.raises(Mistaken) as caught:
        opening_of(form(), sent, RULES)
    assert caught.value.mistakes == {f"fields.{name}": mistake}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
names = st.sampled_from([each.name for each in FIELDS]) | st.text(max_size=5)


@given(
    email=st.text(max_size=30) | st.just("anna@example.com") | st.just('"a b"@example.com'),
    subject=st.text(max_size=260),
    message=st.text(max_size=60),
    fields=st.dictionaries(names, anything, max_size=4),
)
def test_whatever_is_sent_is_a_request_or_has_its_mistakes_named(
    email: str, subject: str, message: str, fields: dict[str, Any]
) -> None:
    """Nothing else is raised, and a request holds no character that nobody sees."""
    sent = Given(email=email, subject=subject, message=message, fields=fields, name="Анна")
    try:
        opening: Open | None = opening_of(form(), sent, RULES)
    except Mistaken as refusal:
        opening, mistakes = None, refusal.mistakes
    else:
        mistakes = {}
    assert (opening is None) == bool(mistakes)
    if opening is None:
        return
    assert opening.channel is Channel.WEB
    assert opening.title.isprintable() or not opening.title.isascii()
    assert "\0" not in opening.body + opening.title
    assert opening.title.encode()
    assert opening.body.encode()
