"""What queries mean: misspelt words, numbers, excluded words, likeness, markup."""

from math import ceil
from uuid import uuid4

import pytest

from opora_intake.api.marked import marked_html
from opora_intake.domain import search as rules
from opora_intake.domain.search import Match, Word, trigrams_of


def word(text: str, uses: int = 1) -> Word:
    """A known word."""
    return Word(text, uses, trigrams_of(text))


def test_trigrams_mark_beginning_and_end_in_every_script() -> None:
    """Each word by itself, in lower case; letters that the server's locale does not know as well."""
    assert trigrams_of("Ab") == {"  a", " ab", "ab "}
    assert trigrams_of("Да!") == {"  д", " да", "да "}
    assert trigrams_of("?!") == frozenset()


def test_the_nearest_word_is_the_likest_then_the_more_common() -> None:
    """A misspelt word finds its neighbour; one that is like nothing finds none."""
    assert rules.nearest("prnter", [word("printer"), word("painter")]) == "printer"
    assert rules.nearest("принтр", [word("принтер"), word("приятель")]) == "принтер"
    assert rules.nearest("tickets", [word("ticketa", 2), word("ticketz", 9)]) == "ticketz"
    assert rules.nearest("zebra", [word("printer")]) is None
    assert rules.nearest("zebra", []) is None


def test_a_correction_replaces_whole_words_where_they_stand() -> None:
    """Quotation marks and signs stay; short words and numbers are never corrected."""
    assert rules.words_to_correct('"Prnter jam" OP-1042 the -Prnter') == ["prnter"]
    assert rules.corrected('"Prnter jam" -prnters', {"prnter": "printer"}) == '"printer jam" -prnters'


@pytest.mark.parametrize(("text", "number"), [("OP-1042", 1042), (" op-7 ", 7), ("1042", 1042), ("OP-1042 x", None)])
def test_a_number_is_the_whole_query(text: str, number: int | None) -> None:
    """As people write it; a number among words is a word."""
    assert rules.number_in(text) == number


@pytest.mark.parametrize(
    ("text", "excludes"), [("-draft x", True), ("x -draft", True), ("e-mail", False), ("- x", False)]
)
def test_excluded_words_are_seen(text: str, *, excludes: bool) -> None:
    """A hyphen within a word excludes nothing."""
    assert rules.excludes_words(text) is excludes


def test_beginnings_are_an_expression_without_operators_of_the_caller() -> None:
    """Whatever signs a name holds, only its letters and digits reach the database's syntax."""
    assert rules.prefixes("Maria K'el:* | !") == "'maria':* & 'el':*"
    assert rules.prefixes("' & !") == ""


def test_sources_are_merged_with_each_ticket_once() -> None:
    """By number, or by the best rank that a ticket has in any source."""
    one, two, three = (uuid4() for _ in range(3))
    sources = [[Match(one, 1, 0.5), Match(two, 2, 0.1)], [Match(one, 1, 2.0), Match(three, 3, 0.2)]]
    assert [match.number for match in rules.merged(sources, 9, by_rank=False)] == [3, 2, 1]
    assert [match.number for match in rules.merged(sources, 2, by_rank=True)] == [1, 3]


def test_the_rarest_words_tell_and_common_ones_do_not() -> None:
    """As many as there is room for candidates; common words are left out where a rare one is there."""
    assert rules.telling_words({"printer": 500, "jam": 3, "toner": 40}, 1000, 100) == ["jam", "toner"]
    assert rules.telling_words({"printer": 500}, 1000, 100) == []
    assert rules.telling_words({"a": 2, "b": 60}, 500, 100) == ["a"]
    assert rules.telling_words({"a": 2, "b": 40}, 100, 100) == ["a", "b"]


def step(found: int, wanted: int, numbers: int, each: float = 1.0, left: int = 1_000_000) -> tuple[int, int]:
    """How many tickets are walked next, or over how many numbers the index is asked."""
    told = rules.next_step(found, wanted, numbers=numbers, each=each, lowest=left)
    return told.walk, 0 if told.walk else left - told.down_to


def test_the_index_is_asked_as_far_as_the_rest_is_expected() -> None:
    """Over whole keys, sixteen times as far as before at most; what is far away is asked for in one."""
    assert step(found=25, wanted=51, numbers=500, left=8192 * 100) == (0, 8192)
    assert step(found=25, wanted=51, numbers=500, left=8192 * 100 + 1) == (0, 8193)
    assert step(found=5, wanted=51, numbers=500, left=8192 * 100 + 100) == (0, 8192 + 100)
    assert step(found=0, wanted=51, numbers=500, left=8192 * 100) == (0, 8192)
    assert step(found=0, wanted=51, numbers=10_000, left=8192 * 100) == (0, 20 * 8192)
    assert step(found=40, wanted=51, numbers=100_000, left=8192 * 100) == (0, 13 * 8192)
    assert step(found=1, wanted=51, numbers=100_000) == (0, 1_000_000)
    assert step(found=0, wanted=51, numbers=500, left=700) == (0, 700)
    assert step(found=0, wanted=51, numbers=500, left=0) == (0, 0)


def test_a_walk_goes_on_where_looking_at_each_ticket_costs_less() -> None:
    """Few tickets match the filters, and the words are common: the index would have all the others as well."""
    assert step(found=5, wanted=51, numbers=100_000, each=0.005) == (8192, 0)
    assert step(found=50, wanted=51, numbers=100_000, each=0.005) == (512, 0)
    assert step(found=0, wanted=51, numbers=100_000, each=0.002) == (4096, 0)
    assert step(found=0, wanted=51, numbers=100_000, each=0.005)[0] == 0
    assert step(found=5, wanted=51, numbers=1000, each=0.5)[0] == 0


def test_no_search_takes_many_steps() -> None:
    """Each goes at least as far as all before, whatever was found: a million numbers are behind it in a dozen."""
    for found in (0, 1, 50):
        for each in (0.001, 1.0):
            lowest, steps = 1_000_000 - 500, 0
            while lowest > 0:
                told = rules.next_step(found, 51, numbers=1_000_000 - lowest, each=each, lowest=lowest)
                lowest = lowest - ceil(told.walk / each) if told.walk else told.down_to
                steps += 1
            assert steps <= 12


def test_rare_words_make_titles_more_alike_than_common_ones() -> None:
    """The same title is alike in full, and one without a word in common not at all."""
    uses = {"printer": 900, "jam": 3, "paper": 5}
    mine = frozenset({"printer", "jam"})
    assert rules.alike(mine, mine, uses, 1000) == 1
    assert rules.alike(mine, frozenset({"paper"}), uses, 1000) == 0
    rare = rules.alike(mine, frozenset({"jam", "paper"}), uses, 1000)
    assert rare > rules.alike(mine, frozenset({"printer", "paper"}), uses, 1000)


def test_markup_is_ours_alone() -> None:
    """What the text brings is escaped; marks are closed and not nested, whatever the text does with their signs."""
    assert marked_html("<b>\x02x\x03</b>") == "&lt;b&gt;<mark>x</mark>&lt;/b&gt;"
    assert marked_html("\x03a\x02b\x02c\x03d\x03e") == "ab<mark>c</mark>de"
    assert marked_html("\x02<mark>") == "&lt;mark&gt;"
