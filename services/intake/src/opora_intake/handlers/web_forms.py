"""Web forms: kept by those who settle things, and filled in by anybody."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from opora_chassis.database import Transaction
from opora_intake.domain import RuleBroken, VersionConflict
from opora_intake.domain.commands import Note
from opora_intake.domain.errors import TooMany
from opora_intake.domain.form_tokens import open_token
from opora_intake.domain.web_forms import (
    KEPT,
    MOST_FORMS,
    WINDOW,
    FormLimits,
    Given,
    WebForm,
    WebFormRules,
    check_asked,
    check_flood,
    opening_of,
)
from opora_intake.handlers.case_settings import RulesInForce
from opora_intake.handlers.customers import Asked
from opora_intake.handlers.errors import NameTaken, Unknown
from opora_intake.handlers.tickets import command_ticket, create_tickets
from opora_intake.store import web_forms as store

_SELF = "system:web-form"
"""Also notify goes by it: what such a ticket says is nobody's word for the address it names."""
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Submitted:
    """The number of the ticket that was opened, now or by the same page before."""

    ticket: str
    is_repeated: bool


async def add_form(tx: Transaction, name: str, draft: WebFormRules, actor: str, rules: RulesInForce) -> WebForm:
    """Keep a new form. Raises NameTaken, TooMany, or what `check_asked` raises."""
    count = await store.lock_forms(tx)
    if await store.find_form(tx, name) is not None:
        raise NameTaken("web form", name)
    if count >= MOST_FORMS:
        raise TooMany("web forms", MOST_FORMS, of="An installation")
    check_asked(draft, await rules.current(tx))
    secret = secrets.token_bytes(_SECRET_BYTES)
    form = WebForm(name=name, rules=draft, secret=secret, version=1, changed_at=tx.now, changed_by=actor)
    await store.save_form(tx, form)
    return form


async def replace_form(
    tx: Transaction, name: str, draft: WebFormRules, actor: str, rules: RulesInForce, *, expected_version: int | None
) -> WebForm:
    """Let the form be another one from now on. Raises Unknown, VersionConflict, or what `check_asked` raises."""
    await store.lock_forms(tx)
    present = await store.find_form(tx, name)
    if present is None:
        raise Unknown("web form", name)
    if expected_version not in {None, present.version}:
        raise VersionConflict(expected_version or 0, present.version, what="web form is")
    check_asked(draft, await rules.current(tx))
    form = WebForm(
        name=name,
        rules=draft,
        secret=present.secret,
        version=present.version + 1,
        changed_at=tx.now,
        changed_by=actor,
    )
    await store.save_form(tx, form)
    return form


async def remove_form(tx: Transaction, name: str) -> None:
    """Forget a form; its tickets stay. Raises Unknown."""
    if not await store.remove_form(tx, name):
        raise Unknown("web form", name)


async def submit(
    tx: Transaction, form: WebForm, given: Given, *, now: datetime, limits: FormLimits, rules: RulesInForce
) -> Submitted:
    """Open a ticket for what was sent; what the same page sends again is the same ticket. `now` is the host's.

    Nobody has proven the address that was given: the ticket says so to agents. Raises TokenRefused, Mistaken, Flooded,
    each before anything is written.
    """
    token = open_token(form.secret, form.name, given.token, now, minimum_seconds=form.rules.minimum_seconds)
    opening = opening_of(form, given, await rules.current(tx))
    address = opening.requester_email or ""
    await store.lock_submissions(tx)
    known = await store.find_submission(tx, token)
    if known is not None:
        return Submitted(known, is_repeated=True)
    check_flood(await store.recent_submissions(tx, form.name, address, tx.now - WINDOW), form, limits)
    (ticket,) = await create_tickets(tx, [Asked(opening, _SELF)], rules=rules)
    if isinstance(ticket, RuleBroken):
        raise ticket
    note = Note(body=f"Unverified: sent by the web form {form.name}; nobody has proven that {address} is the sender's.")
    await command_ticket(tx, ticket.id, note, _SELF, rules)
    await store.add_submission(
        tx,
        token=token,
        form=form.name,
        address=address,
        ticket_id=ticket.id,
        ticket_number=ticket.label,
        older_than=tx.now - KEPT,
    )
    return Submitted(ticket.label, is_repeated=False)
