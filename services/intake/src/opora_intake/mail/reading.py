"""Bytes of a letter in, what they are out: the one pure function that everything else stands around."""

from opora_intake.mail.bounces import bounce_of
from opora_intake.mail.classify import automatic_verdict, looked_at
from opora_intake.mail.letter import Reading, Unreadable
from opora_intake.mail.limits import Refused
from opora_intake.mail.parse import letter_of
from opora_intake.mail.structure import split


def read_letter(raw: bytes, *, envelope_sender: str | None = None, instance: str | None = None) -> Reading:
    """The letter, the delivery facts that it reports, or why it cannot be read. Raises for no input (but MemoryError).

    `envelope_sender` is the address of MAIL FROM, empty for the null sender, None where it is not known; `instance` is
    the name of this installation, by which it knows its own letters.
    """
    try:
        root = split(raw)
        bounce = bounce_of(root, envelope_sender=envelope_sender)
    except Refused as refusal:
        return Unreadable(refusal.reason)
    if bounce is not None:
        return bounce
    return letter_of(root, automatic_verdict(root, envelope_sender=envelope_sender, instance=instance), looked_at(root))
