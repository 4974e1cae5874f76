"""What a query means, which words are close to each other, and which tickets are alike. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log
from uuid import UUID

from opora_intake.domain.ticket import NUMBER

MOST_QUERY_CHARACTERS = 250
SHORTEST_CORRECTED = 4
"""Letters of a word that is taken for a misspelt one."""

LEAST_LIKENESS = 0.4
"""Of the trigrams of two words, so many in a hundred must be the same for one to be the other misspelt."""

MOST_CORRECTED_WORDS = 5
FIRST_WALK = 500
"""So many of the newest tickets are looked through before anything else is done."""

TOGETHER = 8192
"""So many numbers stand under one key in the indexes of words."""

_MOST_KEYS = 32
"""Beyond so many keys it costs less to ask for all that is left."""

_AND_LUCK, _MOST_GROWTH = 1.5, 16
_COST_OF_A_LOOK, _COST_OF_A_NUMBER, _COST_OF_A_MATCH = 10.0, 0.03, 12.0
"""Microseconds: to look at a ticket; to ask the index over one number, and for each ticket there that has the words."""

_FEW = 50
"""Tickets: no word that so few have is a common one."""

_WORD = re.compile(r"[^\W\d_]{4,40}")
_QUERY_WORD = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Match:
    """A ticket that was found. `rank` is larger for what fits better; only compared where that was asked for."""

    ticket_id: UUID
    number: int
    rank: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """Where a search goes on: `walk` so many tickets, a power of two, or with 0 ask the index down to this number.

    Down to 0 is to the end.
    """

    walk: int
    down_to: int


@dataclass(frozen=True, slots=True)
class Word:
    """A word of titles, and how many tickets had it."""

    word: str
    uses: int
    trigrams: frozenset[str]


def trigrams_of(text: str) -> frozenset[str]:
    """The trigrams of each word, in whatever script: lower case, with the word's beginning and end marked.

    Of our own because PostgreSQL's pg_trgm knows the letters of its locale alone: under `C` it sees no Cyrillic.
    """
    found: set[str] = set()
    for word in _QUERY_WORD.findall(text.lower()):
        marked = f"  {word} "
        found.update(marked[place : place + 3] for place in range(len(marked) - 2))
    return frozenset(found)


def beginnings_of(text: str) -> list[str]:
    """The trigram of each word's beginning with its first two letters."""
    return [f" {word[:2]}" if len(word) > 1 else f" {word} " for word in _QUERY_WORD.findall(text.lower())]


def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """The share of trigrams that two words have in common: 0 to 1."""
    return len(one & other) / len(one | other) if one or other else 0.0


def words_to_correct(query: str) -> list[str]:
    """The words of a query that may be misspelt, lower case, at most five."""
    return list(dict.fromkeys(word.lower() for word in _WORD.findall(query)))[:MOST_CORRECTED_WORDS]


def title_words(words: Iterable[str]) -> list[str]:
    """Those words of a title that misspelt ones are compared with."""
    return [word for word in words if _WORD.fullmatch(word)]


def nearest(word: str, known: Iterable[Word]) -> str | None:
    """The known word that is most like this one, the more common of two; None when none is like it."""
    wanted = trigrams_of(word)
    best = max(known, key=lambda each: (likeness(wanted, each.trigrams), each.uses, each.word), default=None)
    return best.word if best is not None and likeness(wanted, best.trigrams) >= LEAST_LIKENESS else None


def corrected(query: str, corrections: Mapping[str, str]) -> str:
    """The query with these words (lower case) replaced where they stand."""
    return _WORD.sub(lambda found: corrections.get(found[0].lower(), found[0]), query)


def number_in(query: str) -> int | None:
    """The ticket number that the whole query is, however it is written."""
    found = NUMBER.fullmatch(query.strip())
    return None if found is None else int(found[1])


def excludes_words(query: str) -> bool:
    """Whether some word must not stand in what is found (`-draft`)."""
    return re.search(r"(?:^|\s)-\S", query) is not None


def name_words(*names: str | None) -> str:
    """The words of names and addresses as `prefixes` takes a query apart, and not as addresses."""
    return " ".join(word for name in names if name for word in re.findall(r"[^\W_]+", name))


def prefixes(query: str) -> str:
    """The query's words as a text search expression in which each is the beginning of a word; empty without any."""
    return " & ".join(f"'{word}':*" for word in re.findall(r"[^\W_]{2,}", query.lower())[:6])


def merged(sources: Sequence[Sequence[Match]], limit: int, *, by_rank: bool) -> list[Match]:
    """The first `limit` of several lists, each ticket once with its best rank: by rank or newest number first."""
    best: dict[UUID, Match] = {}
    for match in (match for source in sources for match in source):
        known = best.get(match.ticket_id)
        if known is None or match.rank > known.rank:
            best[match.ticket_id] = match
    key = (lambda match: (match.rank, match.number)) if by_rank else (lambda match: (match.number, 0))
    return sorted(best.values(), key=key, reverse=True)[:limit]


def next_step(found: int, wanted: int, *, numbers: int, each: float, lowest: int) -> Step:
    """How to look further for words that `found` of the tickets had down to the number `lowest`, `numbers` in all.

    `each` is the share of numbers whose ticket matches the filters. How often the words were there says how far the
    rest may be, and what it costs to look at each ticket on the way, or to ask the index for all that have the words,
    whatever the filters. At least as far again as before, so that ten steps are enough for a thousand times as many;
    at most sixteen times as far, since of little that was found not much can be concluded.
    """
    share = found / (each * numbers)
    expected = numbers * (wanted - found) / max(1, found)
    further = ceil(min(max(numbers, _AND_LUCK * expected), _MOST_GROWTH * numbers))
    if _COST_OF_A_LOOK * each < _COST_OF_A_NUMBER + _COST_OF_A_MATCH * share:
        return Step(1 << ceil(each * further).bit_length(), 0)
    down_to = max(0, lowest - further) // TOGETHER * TOGETHER
    return Step(0, down_to if lowest - down_to <= _MOST_KEYS * TOGETHER else 0)


def telling_words(uses: Mapping[str, int], total: int, most_candidates: int) -> list[str]:
    """The words by which similar tickets are looked for: the rarest, so that no more than so many tickets have one.

    None when even the rarest is that common; words that no other ticket has tell nothing.
    """
    chosen: list[str] = []
    room = most_candidates
    for word, count in sorted(uses.items(), key=lambda each: (each[1], each[0])):
        if count > room or (chosen and count > max(_FEW, total / 10)):
            break
        chosen.append(word)
        room -= count
    return chosen


def alike(one: frozenset[str], other: frozenset[str], uses: Mapping[str, int], total: int) -> float:
    """How alike two titles are, 0 to 1: the share of their words in common, a rare word counting for more."""

    def weight(words: Iterable[str]) -> float:
        return sum(weight_of(uses.get(word, 0), total) for word in words)

    whole = weight(one | other)
    return weight(one & other) / whole if whole else 0.0


def weight_of(uses: int, total: int) -> float:
    """How much a word tells that so many of all titles have."""
    return log(1 + total / (1 + uses))
