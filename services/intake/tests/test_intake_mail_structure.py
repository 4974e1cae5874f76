"""The parts of a letter, found within limits."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opora_intake.mail.limits import (
    EXPLANATIONS,
    MOST_HEADER_BYTES,
    MOST_HEADERS_BYTES,
    MOST_LETTER_BYTES,
    MOST_NESTING,
    MOST_PARTS,
    Reason,
    Refused,
)
from opora_intake.mail.parameters import content_type_of, parse_parameters
from opora_intake.mail.structure import Part, split
from services.intake.tests.hostile_letters import empty_parts, nested_messages, nested_multiparts, with_header
from services.intake.tests.mail_cost import expect_linear, steps


def refusal(raw: bytes) -> Reason | None:
    """Why the letter is refused; None when it is not."""
    try:
        split(raw)
    except Refused as refused:
        return refused.reason
    return None


def leaves(part: Part) -> list[str]:
    """The bodies of the parts that hold no others, in order."""
    return (
        [text for child in part.parts for text in leaves(child)] if part.parts else [part.content().decode("latin-1")]
    )


@pytest.mark.parametrize(
    ("letter", "most", "reason"),
    [
        (empty_parts, MOST_PARTS, Reason.TOO_MANY_PARTS),
        (nested_messages, MOST_NESTING, Reason.TOO_DEEP),
        (nested_multiparts, MOST_NESTING, Reason.TOO_DEEP),
        (lambda size: with_header(b"X-Long", b"x" * (size - 10)), MOST_HEADER_BYTES, Reason.HEADER_TOO_LONG),
        (lambda size: with_header(b"X-Long", b"\r\n ".join([b"x" * 97] * size)), 81, Reason.HEADER_TOO_LONG),
    ],
)
def test_a_letter_may_be_as_much_as_the_limit_and_no_more(
    letter: Callable[[int], bytes], most: int, reason: Reason
) -> None:
    """Exactly the limit is read; one more is refused with its reason, which has a sentence for people."""
    assert refusal(letter(most)) is None
    assert refusal(letter(most + 1)) is reason
    assert EXPLANATIONS[reason]


def test_the_header_fields_of_all_parts_are_counted_together() -> None:
    """A quarter of a megabyte of header fields in all is the most, however they are spread over parts."""
    field = b"X-Padding: " + b"x" * 7_987 + b"\r\n"
    spread = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + (b"--b\r\n" + field + b"\r\n") * 33
    assert refusal(field * 32 + b"\r\n") is None
    assert refusal(field * 33 + b"\r\n") is Reason.HEADERS_TOO_LONG
    assert refusal(spread) is Reason.HEADERS_TOO_LONG
    assert len(field) * 33 > MOST_HEADERS_BYTES


def test_what_is_no_letter_is_refused() -> None:
    """Nothing, more than 25 MB, and bytes without a header field."""
    assert refusal(b"") is Reason.EMPTY
    assert refusal(b"a: b\r\n\r\n" + b"x" * MOST_LETTER_BYTES) is Reason.TOO_LARGE
    assert refusal(b"%PDF-1.7 and so on\r\n") is Reason.NO_HEADER


@pytest.mark.parametrize(
    "letter",
    [
        empty_parts(200_000),
        nested_messages(3_000),
        nested_multiparts(3_000),
        with_header(b"To", b"(" * 1_000_000),
        with_header(b"Subject", b"\r\n ".join([b"=?utf-8?b?0YI=?="] * 20_000)),
    ],
    ids=["200,000 empty parts", "3,000 nested letters", "3,000 nested multiparts", "To: ((((", "20k encoded words"],
)
def test_an_attack_is_refused_before_it_costs(letter: bytes) -> None:
    """The classical attacks end at the limit that they pass: within 60,000 lines of Python, whatever their size."""
    assert steps(refusal, letter) < 60_000
    assert refusal(letter) is not None


@pytest.mark.parametrize(
    "letter",
    [
        lambda size: b"a: b\n\n" + b"--\n" * size,
        lambda size: b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--c\n" * size,
        lambda size: b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\n" + b"text\n" * size,
    ],
)
def test_finding_parts_is_linear(letter: Callable[[int], bytes]) -> None:
    """Four times the lines cost at most four times the steps."""
    expect_linear(lambda size: lambda: refusal(letter(size)), 500)


def test_parts_are_found_as_they_were_written() -> None:
    """Nested parts, a preamble, an epilogue and a boundary that is the beginning of another one."""
    root = split(
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=ab\r\n\r\npreamble\r\n"
        b"--ab\r\n\r\none\r\n--ab\r\nContent-Type: multipart/alternative;\r\n boundary=abc\r\n\r\n"
        b"--abc\r\n\r\ntwo\r\n\r\n--abc\r\nContent-Transfer-Encoding: base64\r\n\r\ndGhyZWU=\r\n--abc--\r\nbetween\r\n"
        b"--ab\r\n\r\n--no boundary\r\n--ab--\r\nepilogue\r\n--ab\r\n\r\nlate\r\n"
    )
    assert leaves(root) == ["one", "two\r\n", "three", "--no boundary"]


@pytest.mark.parametrize(
    ("letter", "expected"),
    [
        (b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo", ["one", "two"]),
        (b"Content-Type: multipart/mixed\n\nno boundary", ["no boundary"]),
        (b"Content-Type: multipart/mixed; boundary=b\n\nno delimiter", ["no delimiter"]),
        (b"Content-Type: multipart/mixed; boundary=b\n\n--b\nX: y\n--b\n\ntwo\n--b--", ["", "two"]),
        (b"Subject: x\nno field\n\ntext", ["no field\n\ntext"]),
        (b"From eve Mon Mar  2 12:00:00 2026\nSubject: x\n\ntext", ["text"]),
        (b"Subject: x\r\rtext", ["text"]),
        (b"Content-Type: multipart/mixed; boundary*0=b; boundary*1=c\n\n--bc\n\none\n--bc--", ["one"]),
        (b"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: inner\n\none\n--b--", ["one"]),
        (b"Content-Transfer-Encoding: base64\n\n!!dGV4dA=\n=z", ["text"]),
    ],
)
def test_damaged_letters_are_read_as_most_programs_do(letter: bytes, expected: list[str]) -> None:
    """A missing delimiter, boundary, blank line or colon costs no text."""
    assert leaves(split(letter)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text/plain; charset=utf-8", {"charset": "utf-8"}),
        ('a/b; name="a \\"b\\"; c.txt" ; x=1', {"name": 'a "b"; c.txt', "x": "1"}),
        ("a/b; name=one; name=two", {"name": "one"}),
        ("a/b; name*=utf-8''%D1%82%D0%B5%D1%81%D1%82.txt", {"name": "тест.txt"}),
        ("a/b; name*1*=%82; name*0*=utf-8'ru'%D1; name*2=.txt", {"name": "т.txt"}),
        ('a/b; name="=?koi8-r?B?1MXT1A==?="', {"name": "тест"}),
        ("a/b; name*99999999999999999999=x", {"name*99999999999999999999": "x"}),
        ("a/b;;; =; x", {}),
    ],
)
def test_parameters_are_read(value: str, expected: dict[str, str]) -> None:
    """Quoted, in sections, percent-encoded, and as encoded words where none belong."""
    assert dict(parse_parameters(value)[1]) == expected


@pytest.mark.parametrize("value", ["text", "", "/", "a/b/c", "text/plain charset=x", "тип/тип"])
def test_what_is_no_media_type_is_text(value: str) -> None:
    """RFC 2045 §5.2 wants an unreadable Content-Type to be read as plain text."""
    assert content_type_of(value, "message/rfc822")[0] == "text/plain"


@given(st.binary(max_size=400), st.sampled_from([b"multipart/mixed; boundary=b", b"message/rfc822", b"text/plain"]))
def test_no_bytes_break_it(noise: bytes, kind: bytes) -> None:
    """Any bytes below any Content-Type are split or refused, and nothing of a leaf lies outside of the letter."""
    raw = b"Content-Type: " + kind + b"\r\n\r\n--b\r\n" + noise.replace(b"\x01", b"\r\n--b")
    try:
        root = split(raw)
    except Refused:
        return
    assert sum(map(len, leaves(root))) <= len(raw)


@given(st.text(max_size=300))
def test_no_text_breaks_parameters(value: str) -> None:
    """Any value has a kind and parameters of text."""
    kind, parameters = parse_parameters(value)
    assert all(isinstance(text, str) for text in (kind, *parameters, *parameters.values()))


def test_parameters_are_linear() -> None:
    """Four times the parameters, or the quotes that never close, cost at most four times the steps."""
    expect_linear(lambda size: lambda: parse_parameters("a/b" + '; x="' * size), 200)
    expect_linear(lambda size: lambda: parse_parameters("a/b" + "; x*0=y" * size), 200)
