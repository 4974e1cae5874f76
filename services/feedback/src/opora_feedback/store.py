"""Every SQL statement of feedback. Times and identifiers come in as parameters."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from opora_chassis.database import Transaction
from opora_feedback.domain import Closing, Journal, Person, Score, Survey, SurveyState, score_of

Dimension = Literal["agent", "group", "product", "category"]

_DIMENSION_COLUMNS: dict[Dimension | None, str] = {
    "agent": "closings.assignee",
    "group": "closings.support_group",
    "product": "closings.product",
    "category": "closings.category",
    None: "null::text",
}
_SURVEY = """
    select surveys.*, closings.assignee, closings.support_group, closings.product, closings.category
    from surveys join closings using (ticket_id, cycle)
"""


class Reader(Protocol):
    """A database or an open transaction: reads work on both."""

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        """All rows."""

    async def fetchrow(self, sql: str, *arguments: Any) -> Any:
        """The first row, or None."""


async def known_closings(tx: Transaction, keys: Collection[tuple[UUID, int]]) -> set[tuple[UUID, int]]:
    """Which of these (ticket, cycle) were judged before."""
    rows = await tx.fetch(
        "select ticket_id, cycle from closings join unnest($1::uuid[], $2::integer[]) as wanted (ticket_id, cycle)"
        " using (ticket_id, cycle)",
        [ticket_id for ticket_id, _ in keys],
        [cycle for _, cycle in keys],
    )
    return {(row["ticket_id"], row["cycle"]) for row in rows}


async def identities_of(reader: Reader, customer_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Who each customer is by now: the one at the end of its merges, or itself where nothing is known of it."""
    # `union` without `all`: facts of two partitions may show, for a moment, two customers merged into each other.
    rows = await reader.fetch(
        "with recursive chain as (select id as wanted, id as customer_id from unnest($1::uuid[]) as given (id)"
        " union select chain.wanted, customers.merged_into from chain join customers using (customer_id)"
        " where customers.merged_into is not null)"
        " select wanted, chain.customer_id from chain left join customers using (customer_id)"
        " where customers.merged_into is null",
        list(customer_ids),
    )
    return {one: one for one in customer_ids} | {row["wanted"]: row["customer_id"] for row in rows}


async def save_customers(tx: Transaction, declined: Mapping[UUID, bool]) -> dict[UUID, UUID]:
    """Write whether each declines surveys; they stand alone now. Returns those who were merged until now, with whom."""
    merged = await tx.fetch(
        "select customer_id, merged_into from customers where customer_id = any($1) and merged_into is not null",
        list(declined),
    )
    await tx.executemany(
        "insert into customers (customer_id, declined) values ($1, $2) on conflict (customer_id)"
        " do update set declined = excluded.declined, merged_into = null",
        list(declined.items()),
    )
    return {row["customer_id"]: row["merged_into"] for row in merged}


async def save_merges(tx: Transaction, merges: Mapping[UUID, UUID]) -> None:
    """Remember who these customers are by now."""
    await tx.executemany(
        "insert into customers (customer_id, merged_into) values ($1, $2) on conflict (customer_id)"
        " do update set merged_into = excluded.merged_into",
        sorted(merges.items()),
    )


async def share_last_asking(tx: Transaction, one: UUID, other: UUID) -> None:
    """Let whichever of the two was asked last count for both."""
    people = await lock_people(tx, {one, other})
    asked = [person.last_asked_at for person in people.values() if person.last_asked_at is not None]
    if asked:
        await save_asked_customers(tx, dict.fromkeys(people, max(asked)))


async def lock_people(tx: Transaction, customer_ids: Collection[UUID]) -> dict[UUID, Person]:
    """What asking these customers depends on. They stay locked, so nobody else asks them before this commits."""
    ordered = sorted(customer_ids)
    await tx.execute(
        "insert into asked_customers (customer_id)"
        " select customer_id from unnest($1::uuid[]) with ordinality as wanted (customer_id, position)"
        " order by position on conflict do nothing",
        ordered,
    )
    rows = await tx.fetch(
        "select customer_id, last_asked_at, coalesce((select declined from customers"
        " where customers.customer_id = asked_customers.customer_id), false) as declined"
        " from asked_customers where customer_id = any($1) order by customer_id for update",
        ordered,
    )
    return {row["customer_id"]: Person(row["last_asked_at"], row["declined"]) for row in rows}


async def save_asked_customers(tx: Transaction, last_asked_at: dict[UUID, datetime]) -> None:
    """Remember when these persons were asked; their rows are locked."""
    await tx.execute(
        "update asked_customers set last_asked_at = asked.at"
        " from unnest($1::uuid[], $2::timestamptz[]) as asked (customer_id, at)"
        " where asked_customers.customer_id = asked.customer_id",
        list(last_asked_at),
        list(last_asked_at.values()),
    )


async def insert_closings(tx: Transaction, closings: Sequence[Closing]) -> None:
    """Keep closings that were judged for the first time."""
    await tx.executemany(
        "insert into closings (ticket_id, cycle, closed_at, resolution_code, verdict, requester_id, organization_id,"
        " assignee, support_group, product, category) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        [
            (
                closing.ticket_id,
                closing.cycle,
                closing.closed_at,
                closing.resolution_code,
                closing.verdict,
                closing.requester_id,
                closing.organization_id,
                closing.assignee,
                closing.group,
                closing.product,
                closing.category,
            )
            for closing in closings
        ],
    )


async def insert_surveys(tx: Transaction, surveys: Sequence[Survey]) -> None:
    """Keep new surveys; their closings stand already."""
    await tx.executemany(
        "insert into surveys (survey_id, ticket_id, cycle, customer_id, language, requested_at, expires_at, state)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8)",
        [
            (
                survey.survey_id,
                survey.ticket_id,
                survey.cycle,
                survey.customer_id,
                survey.language,
                survey.requested_at,
                survey.expires_at,
                survey.state,
            )
            for survey in surveys
        ],
    )


async def lock_journals(tx: Transaction, ticket_ids: Collection[UUID]) -> dict[UUID, Journal]:
    """How far feedback has counted its facts per ticket; locked, in one order everywhere, until this commits."""
    ordered = sorted(ticket_ids)
    await tx.execute(
        "insert into journals (ticket_id, sequence)"
        " select ticket_id, 0 from unnest($1::uuid[]) with ordinality as wanted (ticket_id, position)"
        " order by position on conflict do nothing",
        ordered,
    )
    rows = await tx.fetch("select * from journals where ticket_id = any($1) order by ticket_id for update", ordered)
    return {row["ticket_id"]: Journal(row["ticket_id"], row["sequence"], row["last_at"]) for row in rows}


async def save_journals(tx: Transaction, journals: Collection[Journal]) -> None:
    """Write back journals that this transaction has locked."""
    await tx.executemany(
        "update journals set sequence = $2, last_at = $3 where ticket_id = $1",
        [(journal.ticket_id, journal.sequence, journal.last_at) for journal in journals],
    )


async def lock_survey(tx: Transaction, survey_id: UUID) -> Survey | None:
    """One survey, locked until this commits."""
    row = await tx.fetchrow(f"{_SURVEY} where survey_id = $1 for update of surveys", survey_id)
    return None if row is None else _survey(row)


async def save_answer(tx: Transaction, survey: Survey) -> None:
    """Write back the answer of a survey that this transaction has locked."""
    await tx.execute(
        "update surveys set state = $2, score = $3, comment = $4, answered_at = $5, alerted_at = $6"
        " where survey_id = $1",
        survey.survey_id,
        survey.state,
        survey.score,
        survey.comment,
        survey.answered_at,
        survey.alerted_at,
    )


async def expire_surveys(tx: Transaction, now: datetime, limit: int) -> int:
    """Mark at most `limit` unanswered surveys past their end; returns how many. Several runners share the work."""
    # Plan: the partial index surveys_to_expire, so a tick with nothing to do reads no survey.
    rows = await tx.fetch(
        "update surveys set state = 'expired' where survey_id in ("
        " select survey_id from surveys where state = 'requested' and expires_at < $1"
        " order by expires_at limit $2 for update skip locked) returning survey_id",
        now,
        limit,
    )
    return len(rows)


async def find_survey(reader: Reader, survey_id: UUID) -> Survey | None:
    """One survey as it stands."""
    row = await reader.fetchrow(f"{_SURVEY} where survey_id = $1", survey_id)
    return None if row is None else _survey(row)


async def list_surveys(reader: Reader, *, ticket_id: UUID | None, before: UUID | None, limit: int) -> list[Survey]:
    """Surveys, newest first (their ids are ordered by time), of one ticket or of all, below the id `before`."""
    rows = await reader.fetch(
        f"{_SURVEY} where ($1::uuid is null or ticket_id = $1) and ($2::uuid is null or survey_id < $2)"
        " order by survey_id desc limit $3",
        ticket_id,
        before,
        limit,
    )
    return [_survey(row) for row in rows]


async def list_responses(
    reader: Reader, *, highest_score: int, before: tuple[datetime, UUID] | None, limit: int
) -> list[Survey]:
    """Answered surveys with a score up to `highest_score`, the newest answer first."""
    # Plan: a backward scan of surveys_answered from the cursor.
    answered_at, survey_id = before or (None, None)
    rows = await reader.fetch(
        f"{_SURVEY} where state = 'answered' and score <= $1"
        " and ($2::timestamptz is null or (answered_at, survey_id) < ($2, $3::uuid))"
        " order by answered_at desc, survey_id desc limit $4",
        highest_score,
        answered_at,
        survey_id,
        limit,
    )
    return [_survey(row) for row in rows]


async def scores(
    reader: Reader, *, by: Dimension | None, from_time: datetime | None, to_time: datetime | None
) -> list[Score]:
    """Scores of the answers given in [from_time, to_time), per value of a dimension, most answers first."""
    rows = await reader.fetch(
        f"select {_DIMENSION_COLUMNS[by]} as key, count(*) as n, sum(score) as total,"
        " count(*) filter (where score >= 4) as satisfied"
        " from surveys join closings using (ticket_id, cycle) where surveys.state = 'answered'"
        " and ($1::timestamptz is null or answered_at >= $1) and ($2::timestamptz is null or answered_at < $2)"
        " group by 1 order by 2 desc, 1",
        from_time,
        to_time,
    )
    return [score_of(row["key"], row["n"], row["total"], row["satisfied"]) for row in rows]


def _survey(row: Any) -> Survey:
    return Survey(
        survey_id=row["survey_id"],
        ticket_id=row["ticket_id"],
        cycle=row["cycle"],
        customer_id=row["customer_id"],
        language=row["language"],
        requested_at=row["requested_at"],
        expires_at=row["expires_at"],
        state=SurveyState(row["state"]),
        score=row["score"],
        comment=row["comment"],
        answered_at=row["answered_at"],
        alerted_at=row["alerted_at"],
        assignee=row["assignee"],
        group=row["support_group"],
        product=row["product"],
        category=row["category"],
    )
