"""Web forms by their names, and what came in by them lately."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from opora_chassis.database import Transaction
from opora_intake.domain.web_forms import Recent, WebForm, WebFormRules
from opora_intake.store.rows import Reader

_FORM = "name, rules, secret, version, changed_at, changed_by"
_WRITERS = 7_310_010
"""The advisory lock of those who add forms: rare, so that their number is kept exactly."""
_SUBMISSIONS = 7_310_011
"""The advisory lock of submissions: their counts are exact, and one page's token opens one ticket."""


async def lock_forms(tx: Transaction) -> int:
    """How many forms there are; nobody else adds one before this transaction has ended."""
    await tx.execute("select pg_advisory_xact_lock($1)", _WRITERS)
    return int(await tx.fetchval("select count(*) from web_forms"))


async def find_form(reader: Reader, name: str) -> WebForm | None:
    """One form."""
    row = await reader.fetchrow(f"select {_FORM} from web_forms where name = $1", name)
    return None if row is None else _form_of(row)


async def list_forms(reader: Reader) -> Sequence[WebForm]:
    """Every form, by name."""
    return [_form_of(row) for row in await reader.fetch(f"select {_FORM} from web_forms order by name")]


async def save_form(tx: Transaction, form: WebForm) -> None:
    """Insert or overwrite; the secret that a form has stays. The forms must be locked by this transaction."""
    await tx.execute(
        f"insert into web_forms ({_FORM}) values ($1, $2, $3, $4, $5, $6) on conflict (name) do update set"
        " rules = excluded.rules, version = excluded.version, changed_at = excluded.changed_at,"
        " changed_by = excluded.changed_by",
        form.name,
        form.rules.model_dump(mode="json"),
        form.secret,
        form.version,
        form.changed_at,
        form.changed_by,
    )


async def remove_form(tx: Transaction, name: str) -> bool:
    """Forget a form; whether it was there."""
    return await tx.fetchval("delete from web_forms where name = $1 returning true", name) is not None


async def lock_submissions(tx: Transaction) -> None:
    """Nobody else counts or adds a submission before this transaction has ended."""
    await tx.execute("select pg_advisory_xact_lock($1)", _SUBMISSIONS)


async def find_submission(reader: Reader, token: bytes) -> str | None:
    """The number of the ticket that the token's page has opened."""
    row = await reader.fetchrow("select ticket_number from web_form_submissions where token = $1", token)
    return None if row is None else row["ticket_number"]


async def recent_submissions(reader: Reader, form: str, address: str, since: datetime) -> Recent:
    """What came since then. Plan: a range of web_form_submissions_recent, as long as the limit over all is."""
    row = await reader.fetchrow(
        "select count(*) as of_all, count(*) filter (where form = $1) as of_form,"
        " count(*) filter (where lower(address) = lower($2)) as of_address"
        " from web_form_submissions where submitted_at > $3",
        form,
        address,
        since,
    )
    return Recent(0, 0, 0) if row is None else Recent(**row)


async def add_submission(
    tx: Transaction, *, token: bytes, form: str, address: str, ticket_id: UUID, ticket_number: str, older_than: datetime
) -> None:
    """Remember what a page's token has opened, and forget what is older."""
    await tx.execute("delete from web_form_submissions where submitted_at < $1", older_than)
    await tx.execute(
        "insert into web_form_submissions (token, form, address, ticket_id, ticket_number, submitted_at)"
        " values ($1, $2, $3, $4, $5, $6)",
        token,
        form,
        address,
        ticket_id,
        ticket_number,
        tx.now,
    )


def _form_of(row: asyncpg.Record) -> WebForm:
    return WebForm(**{**row, "rules": WebFormRules.model_validate(row["rules"])})
