"""Which ticket a letter belongs to: proven, or only hinted at."""

import hmac
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opora_contracts import mail_threads as thread
from opora_contracts.mail_threads import (
    LONGEST_MAILBOX,
    TOKEN_CHARACTERS,
    Claim,
    Thread,
    TokenKeys,
    message_id,
    reply_address,
    sealed,
    thread_of,
)
from opora_intake.mail.addresses import parse_address

KEYS = TokenKeys("b", {"a": b"a" * 32, "b": b"b" * 40})
CLAIM = Claim(1042, UUID("01960000-0000-7000-8000-000000000001"))
CLAIMS = st.builds(Claim, st.integers(min_value=0, max_value=2**32 - 1), st.uuids())
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def token_of(claim: Claim, keys: TokenKeys = KEYS) -> str:
    """The claim's token."""
    made = sealed(keys, claim)
    assert made is not None
    return made[0]


@given(CLAIMS)
def test_a_token_comes_back_by_address_and_by_message_id(claim: Claim) -> None:
    """What goes out in the reply address or the Message-ID proves the same claim when it returns, in any case."""
    address = reply_address(KEYS, claim, "support@example.org")
    identifier = message_id(KEYS, claim, "n-1", "example.org")
    assert sealed(KEYS, token_of(claim)) == (token_of(claim), claim)
    for recipients, ids in (
        ((address,), ()),
        ((address.upper(),), ()),
        ((), (identifier,)),
        ((), (identifier.upper(),)),
    ):
        assert thread_of(KEYS, recipients=recipients, message_ids=ids, subject="").claim == claim


@given(CLAIMS, st.integers(min_value=0, max_value=239))
def test_a_token_with_one_bit_changed_proves_nothing(claim: Claim, bit: int) -> None:
    """None of the 240 bits of ticket, participant and seal can be another."""
    token = token_of(claim)
    place, within = divmod(bit, 5)
    changed = ALPHABET[ALPHABET.index(token[1 + place]) ^ (1 << within)]
    assert sealed(KEYS, token[: 1 + place] + changed + token[2 + place :]) is None


@given(CLAIMS, st.sampled_from(ALPHABET))
def test_a_token_under_another_key_proves_nothing(claim: Claim, name: str) -> None:
    """The name of the key is part of what is sealed, even where two keys have one secret."""
    twins = TokenKeys("b", dict.fromkeys(ALPHABET, b"s" * 32))
    token = token_of(claim, twins)
    assert (sealed(twins, name + token[1:]) is None) == (name != "b")


@given(st.text(max_size=60) | st.text(alphabet=ALPHABET, min_size=49, max_size=49))
def test_no_text_is_a_token_by_chance(text: str) -> None:
    """Any text is answered, none is believed."""
    assert sealed(KEYS, text) is None
    assert thread_of(KEYS, recipients=[f"support+{text}@example.org"], message_ids=[text], subject=text).claim is None


def test_keys_rotate() -> None:
    """A token of an older key holds as long as the key is there, new ones are made with the current key."""
    older = token_of(CLAIM, replace(KEYS, current="a"))
    assert sealed(KEYS, older) == (older, CLAIM)
    assert token_of(CLAIM)[0] == "b"
    assert sealed(TokenKeys("b", {"b": KEYS.secrets["b"]}), older) is None


@pytest.mark.parametrize(
    ("current", "secrets"),
    [("c", {"a": b"a" * 32}), ("a", {"a": b"a" * 31}), ("A", {"A": b"a" * 32}), ("aa", {"aa": b"a" * 32})],
)
def test_keys_that_cannot_be_used_are_refused(current: str, secrets: dict[str, bytes]) -> None:
    """A missing key, a short secret, a name that no token can carry; and no secret is shown."""
    with pytest.raises(ValueError, match="key"):
        TokenKeys(current, secrets)
    assert "aaaa" not in repr(KEYS)


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every verification goes through hmac.compare_digest, whatever the path."""
    compared: list[bytes] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return False

    address, identifier = reply_address(KEYS, CLAIM, "support@example.org"), message_id(KEYS, CLAIM, "1", "example.org")
    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert thread_of(KEYS, recipients=[address], message_ids=[identifier], subject="").claim is None
    assert len(compared) == 2


def test_every_path_calls_the_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reply address, Message-ID and reading both make and verify tokens in `sealed`, and nowhere else."""
    monkeypatch.setattr(thread, "sealed", lambda *_: ("t" * 49, CLAIM))
    assert reply_address(KEYS, CLAIM, "support@example.org") == f"support+{'t' * 49}@example.org"
    assert message_id(KEYS, CLAIM, "1", "example.org").startswith("t" * 49)
    assert thread_of(KEYS, recipients=[f"x+{'u' * 49}@y"], message_ids=[], subject="").claim == CLAIM
    assert thread_of(KEYS, recipients=[], message_ids=[f"{'u' * 49}.1@y"], subject="").claim == CLAIM


def test_the_reply_address_fits() -> None:
    """With a mailbox of 14 octets the local part has the 64 that SMTP allows; a longer one is refused."""
    address = reply_address(KEYS, Claim(2**32 - 1, CLAIM.participant_id), f"{'s' * LONGEST_MAILBOX}@example.org")
    assert (LONGEST_MAILBOX, TOKEN_CHARACTERS, len(address.partition("@")[0])) == (14, 49, 64)
    assert parse_address(address) == address
    for mailbox in (f"{'s' * 15}@example.org", "example.org", "@example.org"):
        with pytest.raises(ValueError, match="local part"):
            reply_address(KEYS, CLAIM, mailbox)
    with pytest.raises(ValueError, match="4294967296"):
        reply_address(KEYS, Claim(2**32, CLAIM.participant_id), "support@example.org")
    with pytest.raises(ValueError, match="Message-ID"):
        message_id(KEYS, CLAIM, "a b", "example.org")


def test_what_can_be_guessed_is_only_a_hint() -> None:
    """A known Message-ID, a ticket's number in the subject or a plus address of somebody's own prove nothing."""
    found = thread_of(
        KEYS,
        recipients=["support@example.org", "support+hello@example.org"],
        message_ids=["1@example.org", "2@example.org", "1@example.org"],
        subject="Re: [OP-1042] printer, like OP-7 and XOP-8 or OP-1042",
    )
    assert found == Thread(None, ("1@example.org", "2@example.org"), (1042, 7))


def test_the_address_counts_before_the_message_id() -> None:
    """Who answers to one ticket's address from another ticket's letter answers in the first."""
    other = Claim(7, CLAIM.participant_id)
    found = thread_of(
        KEYS,
        recipients=[reply_address(KEYS, CLAIM, "support@example.org")],
        message_ids=[message_id(KEYS, other, "1", "example.org")],
        subject="",
    )
    assert found.claim == CLAIM
