"""Signed links: only genuine ones are taken, whichever secret signed them."""

import string
from datetime import UTC, datetime
from uuid import UUID

import pytest

from opora_feedback import links
from opora_feedback.links import BadTokenError, Link

OLD, NEW, FOREIGN = b"an old secret of ours", b"a new secret of ours", b"somebody else's secret"
LINK = Link(UUID("0195512a-0000-7000-8000-000000000003"), datetime(2026, 3, 16, 12, 0, tzinfo=UTC))


def test_a_token_gives_back_its_link() -> None:
    """What was signed is what is read: the survey and its end."""
    assert links.verify(links.sign(LINK, [NEW]), [NEW]) == LINK


def test_a_token_fits_into_an_address() -> None:
    """A token has 56 characters that need no escaping in an address."""
    token = links.sign(LINK, [NEW])
    assert len(token) == 56
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")


def test_a_rotated_secret_still_verifies() -> None:
    """Mails signed with the old secret keep working while the new one signs."""
    assert links.verify(links.sign(LINK, [OLD]), [NEW, OLD]) == LINK
    assert links.sign(LINK, [NEW, OLD]) == links.sign(LINK, [NEW])


def test_every_changed_character_is_noticed() -> None:
    """A token in which any one character was changed is refused."""
    token = links.sign(LINK, [NEW])
    for position, character in enumerate(token):
        changed = token[:position] + ("A" if character != "A" else "B") + token[position + 1 :]
        with pytest.raises(BadTokenError):
            links.verify(changed, [NEW])


@pytest.mark.parametrize("token", ["", "short", "é" * 56, "!" * 56, "A" * 56, "A" * 57, "=" * 56])
def test_nonsense_is_refused(token: str) -> None:
    """Anything that is not a token is refused, without another error."""
    with pytest.raises(BadTokenError):
        links.verify(token, [NEW])


def test_a_foreign_signature_is_refused() -> None:
    """A token made with somebody else's secret is refused."""
    with pytest.raises(BadTokenError):
        links.verify(links.sign(LINK, [FOREIGN]), [NEW, OLD])


def test_the_address_holds_token_and_score() -> None:
    """The one-click address is the public address, the token and the score."""
    assert links.address("https://help.example.com/", "TOKEN", 4) == "https://help.example.com/s/TOKEN/4"
