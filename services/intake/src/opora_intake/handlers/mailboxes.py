"""What a poll of a mailbox makes durable: first what is to be fetched, then each message that is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from opora_chassis.database import Transaction
from opora_intake.handlers.letters import take_in
from opora_intake.store import mailboxes as store


@dataclass(frozen=True, slots=True)
class Found:
    """What a look into the folder found, and the position that follows from it."""

    uid_validity: int
    next_uid: int
    uids: Sequence[int]
    first_contact_at: datetime


async def note_found(tx: Transaction, name: str, found: Found) -> None:
    """From here on the messages are wanted, whatever happens to this process."""
    await store.give_up_other_validity(tx, name, found.uid_validity)
    await store.add_wanted(tx, name, found.uid_validity, found.uids)
    await store.save_position(
        tx,
        name,
        uid_validity=found.uid_validity,
        next_uid=max(found.next_uid, max(found.uids, default=0) + 1),
        first_contact_at=found.first_contact_at,
    )


async def take_message(
    tx: Transaction, name: str, uid_validity: int, uid: int, raw: bytes | None, *, address: str
) -> UUID | None:
    """Keep the message as a letter, and note that it is kept, together; None when it was gone from its server.

    A letter that came by another way, or by this one before, is the same letter.
    """
    if raw is None:
        await store.save_messages(tx, name, uid_validity, [uid], "gone")
        return None
    letter_id = await take_in(tx, raw, channel="imap", envelope_from=None, envelope_to=[address])
    await store.save_messages(tx, name, uid_validity, [uid], "taken", letter_id=letter_id)
    return letter_id
