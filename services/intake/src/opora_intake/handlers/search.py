"""Searching: what a query may mean is looked for in turn, and a misspelt one is tried again corrected."""

from collections import Counter as Tally
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opora_intake.domain import search as rules
from opora_intake.domain.search import Match
from opora_intake.store import search as store
from opora_intake.store.rows import Reader

MOST_RANKED = 500
"""The best are chosen among so many of the newest tickets that have the words."""

MOST_PEOPLE = 20
_MOST_SIMILAR_CANDIDATES = 2000
_NEWEST_SIMILAR = 4000
_MOST_COMPARED = 200
_LEAST_ALIKE = 0.2
_EXACT, _OF_PERSON = 2.0, 1.0


@dataclass(frozen=True, slots=True)
class Sight:
    """What the caller may read besides tickets: nothing else is searched for them."""

    messages: bool
    customers: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A page of matches and one more where there are more; `corrected` is what was searched for instead."""

    matches: list[Match]
    corrected: str | None = None


async def search_tickets(
    reader: Reader,
    text: str,
    filters: Mapping[str, Any],
    *,
    limit: int,
    sight: Sight,
    best_first: bool = False,
    after: tuple[float, int] | None = None,
) -> Found:
    """Tickets whose number or external id the text is, whose requester it names, or that have its words.

    Newest first, or the best first of the 500 newest; `after` is where the page before ended, (rank, number). When
    nothing is found on the first page, words that no title has are replaced by the nearest that some title has.
    """
    wanted = MOST_RANKED if best_first else limit
    if after is not None and not best_first:
        filters = {**filters, "before_number": after[1]}
    matches = await _all_sources(reader, text, filters, limit=wanted, sight=sight, best_first=best_first)
    if matches or after is not None:
        return Found(_page(matches, limit, after, best_first=best_first))
    corrected = await _corrected(reader, text)
    if corrected is None:
        return Found([])
    matches = await _by_words(reader, corrected, filters, limit=wanted, sight=sight, best_first=best_first)
    return Found(_page(matches, limit, None, best_first=best_first), corrected if matches else None)


def _page(matches: list[Match], limit: int, after: tuple[float, int] | None, *, best_first: bool) -> list[Match]:
    if best_first and after is not None:
        matches = [match for match in matches if (match.rank, match.number) < after]
    return matches[:limit]


async def _all_sources(
    reader: Reader, text: str, filters: Mapping[str, Any], *, limit: int, sight: Sight, best_first: bool
) -> list[Match]:
    sources = [
        await _by_words(reader, text, filters, limit=limit, sight=sight, best_first=best_first),
        await _by_identity(reader, text, filters),
    ]
    if sight.customers:
        sources.append(await _by_person(reader, text, filters, limit=limit, may_guess=not any(sources)))
    return rules.merged(sources, limit, by_rank=best_first)


async def _by_words(
    reader: Reader, text: str, filters: Mapping[str, Any], *, limit: int, sight: Sight, best_first: bool
) -> list[Match]:
    """The newest tickets are walked, then whichever costs less: to walk further, or to ask the index over a stretch."""
    first, sees = rules.FIRST_WALK, sight.messages
    walked = await store.walk_newest(reader, text, filters, limit=limit, most=first, with_messages=sees)
    matches, lowest, is_end = list(walked.matches), walked.lowest, walked.seen < first
    each = walked.seen / (walked.highest - lowest + 1)
    while len(matches) < limit and not is_end:
        numbers = walked.highest - lowest + 1
        step = rules.next_step(len(matches), limit, numbers=numbers, each=each, lowest=lowest)
        older = {**filters, "before_number": lowest}
        # Up to a whole page each time, whatever is there already: one statement to prepare, not one for each rest.
        if step.walk:
            further = await store.walk_newest(reader, text, older, limit=limit, most=step.walk, with_messages=sees)
            matches += further.matches
            lowest, is_end = further.lowest, further.seen < step.walk
        else:
            matches += await store.find_by_words(
                reader, text, older, down_to=step.down_to, limit=limit, with_messages=sees
            )
            lowest, is_end = step.down_to, step.down_to == 0
    matches = matches[:limit]
    if best_first and matches:
        matches = await store.ranked(reader, text, matches, with_messages=sees)
        matches.sort(key=lambda match: (match.rank, match.number), reverse=True)
    return matches


async def _by_identity(reader: Reader, text: str, filters: Mapping[str, Any]) -> list[Match]:
    """By the number, or by what the other system calls it."""
    found: list[Match] = []
    number = rules.number_in(text)
    if number is not None:
        found += await store.find_listed(reader, {**filters, "number": number}, limit=1, rank=_EXACT)
    if "external_id" not in filters:
        found += await store.find_listed(reader, {**filters, "external_id": text.strip()}, limit=10, rank=_EXACT)
    return found


async def _by_person(
    reader: Reader, text: str, filters: Mapping[str, Any], *, limit: int, may_guess: bool
) -> list[Match]:
    """By the requester's name or address; by a name that is nearly so where nothing else was found."""
    expression = rules.prefixes(text)
    if not expression or "requester_id" in filters:
        return []
    people = await store.customers_named(reader, expression, limit=MOST_PEOPLE)
    if not people and may_guess:
        people = await store.customers_like(reader, text, limit=MOST_PEOPLE)
    if not people:
        return []
    return await store.find_listed(reader, {**filters, "requester_ids": people}, limit=limit, rank=_OF_PERSON)


async def _corrected(reader: Reader, text: str) -> str | None:
    words = rules.words_to_correct(text)
    known = await store.known_words(reader, words)
    corrections: dict[str, str] = {}
    for word in words:
        if word not in known:
            nearest = rules.nearest(word, await store.words_like(reader, word))
            if nearest is not None:
                corrections[word] = nearest
    return rules.corrected(text, corrections) if corrections else None


async def similar_tickets(reader: Reader, title: str, *, limit: int, but: Match | None = None) -> list[Match]:
    """Tickets whose titles are most like this one, best first, `rank` from 0.2 to 1; never the ticket `but` itself.

    Looked for by the title's rarest words, among at most 2,000 tickets; by common ones among the newest 4,000. The 200
    that share most of its words are compared with it.
    """
    words = await store.words_of_title(reader, title)
    own = 0 if but is None else 1
    uses = {word: count - own for word, count in (await store.known_words(reader, words)).items() if count > own}
    total = await store.tickets_total(reader)
    if not uses:
        return []
    telling = rules.telling_words(uses, total, _MOST_SIMILAR_CANDIDATES)
    candidates = await store.titles_with(
        reader,
        telling or sorted(uses),
        {word: rules.weight_of(count, total) for word, count in uses.items()},
        weight_of_others=rules.weight_of(0, total),
        newest=None if telling else _NEWEST_SIMILAR,
        most=_MOST_COMPARED,
    )
    wanted = frozenset(words)
    scored = [
        Match(each.ticket_id, each.number, round(rules.alike(wanted, each.words, uses, total), 4))
        for each in candidates
        if but is None or each.ticket_id != but.ticket_id
    ]
    return rules.merged([[match for match in scored if match.rank >= _LEAST_ALIKE]], limit, by_rank=True)


def tallied(titles: list[list[str]]) -> Tally[str]:
    """How many of these titles have each word that is kept."""
    return Tally(word for words in titles for word in rules.title_words(words))
