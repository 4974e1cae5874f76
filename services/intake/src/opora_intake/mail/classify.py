"""Whether a machine wrote a letter (RFC 3834, RFC 2919, RFC 2369, and what programs wrote before these)."""

import re
from collections.abc import Callable, Mapping

from opora_intake.mail.addresses import parse_address
from opora_intake.mail.letter import Automatic, Verdict
from opora_intake.mail.structure import Part
from opora_intake.mail.words import header_text, to_text

INSTANCE_HEADER = "X-Opora-Instance"
"""Every letter that an installation sends names the installation here; notify writes it."""

_LISTS = ("list-id", "list-post", "list-unsubscribe", "list-help", "list-subscribe", "list-owner", "list-archive")
_LOOKED_AT = frozenset(
    {
        "auto-submitted", "precedence", "return-path", "x-loop", "x-autoreply", "x-autorespond", "x-autoresponder",
        "x-auto-response-suppress", "x-failed-recipients", "x-opora-instance", *_LISTS,
    }
)  # fmt: skip
_DAEMON = re.compile(r"(?:mailer-daemon|mail-daemon|postmaster|mailerdaemon|mdaemon)(?:[+-].*)?", re.IGNORECASE)
_REPORTS = frozenset({"disposition-notification", "feedback-report"})


def looked_at(root: Part) -> tuple[tuple[str, str], ...]:
    """The fields that the classification goes by, for the record."""
    return tuple((name, header_text(value)) for name, value in root.fields if name in _LOOKED_AT)


def automatic_verdict(root: Part, *, envelope_sender: str | None, instance: str | None) -> Verdict | None:
    """What kind of machine wrote the letter; None for one that a person may have written.

    `envelope_sender` is the address of MAIL FROM, empty for the null sender, None where the channel does not know it;
    then Return-Path counts. `instance` names this installation. The first kind that fits decides, in the order of
    `Automatic`: from the surest sign on.
    """
    found: dict[Automatic, str] = {}
    for name, value in looked_at(root):
        kind = _kind_of(name, value.lower(), (instance or "").lower())
        if kind is not None:
            found.setdefault(kind, f"{name}: {value}")
    if is_null_sender(root, envelope_sender):
        found[Automatic.NULL_SENDER] = "return-path: <>"
    report = root.parameters.get("report-type", "").lower()
    if report in _REPORTS:
        found[Automatic.RECEIPT] = f"report-type: {report}"
    return next((Verdict(kind, found[kind]) for kind in Automatic if kind in found), None)


def _kind_of(name: str, value: str, instance: str) -> Automatic | None:
    """What one field says; names and values in lower case."""
    if name in _LISTS:
        return Automatic.LIST
    if name == "x-opora-instance":
        return Automatic.OWN if instance and value == instance else Automatic.LOOP
    sign = _SIGNS.get(name)
    return sign[1] if sign and value and sign[0](value) else None


def _is_submitted_automatically(value: str) -> bool:
    # The keyword may be followed by parameters and comments (RFC 3834 §5).
    return re.split(r"[;\s(]", value, maxsplit=1)[0] not in {"", "no"}


def _suppresses_answers(value: str) -> bool:
    return bool({"all", "oof", "autoreply"} & set(re.split(r"[,;\s]+", value)))


def _is_not_no(value: str) -> bool:
    return value != "no"


_SIGNS: Mapping[str, tuple[Callable[[str], bool], Automatic]] = {
    "x-loop": (bool, Automatic.LOOP),
    "auto-submitted": (_is_submitted_automatically, Automatic.AUTO_SUBMITTED),
    "precedence": (frozenset({"bulk", "junk", "list", "auto_reply", "auto-reply"}).__contains__, Automatic.PRECEDENCE),
    "x-auto-response-suppress": (_suppresses_answers, Automatic.RESPONDER),
    "x-autoreply": (_is_not_no, Automatic.RESPONDER),
    "x-autorespond": (_is_not_no, Automatic.RESPONDER),
    "x-autoresponder": (_is_not_no, Automatic.RESPONDER),
}


def is_null_sender(root: Part, envelope_sender: str | None) -> bool:
    """Whether the letter came with the empty MAIL FROM of reports (RFC 5321 §4.5.5)."""
    if envelope_sender is not None:
        return envelope_sender.strip(" <>") == ""
    return to_text(root.first("return-path") or b"x").replace(" ", "") == "<>"


def is_from_daemon(root: Part, envelope_sender: str | None) -> bool:
    """Whether a mail server wrote the letter: null sender, or an address that only servers write from."""
    if is_null_sender(root, envelope_sender):
        return True
    sender = header_text(root.first("from") or b"")
    bare = sender.rpartition("<")[2].partition(">")[0] if "<" in sender else sender.partition("(")[0]
    local = (parse_address(bare) or bare).partition("@")[0].strip()
    return _DAEMON.fullmatch(local) is not None
