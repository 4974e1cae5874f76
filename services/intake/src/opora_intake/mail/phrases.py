"""How mail programs of five languages announce the letter that an answer quotes."""

import re

LANGUAGES = ("en", "ru", "de", "fr", "es")

_ORIGINAL = (
    "original message|forwarded message|begin forwarded message|reply message"
    "|исходное сообщение|пересылаемое сообщение|пересланное сообщение|конец пересылаемого сообщения"
    "|ursprüngliche nachricht|weitergeleitete nachricht|original-nachricht|originalnachricht"
    "|message d'origine|message d’origine|message original|message transféré|message initial"
    "|mensaje original|mensaje reenviado"
)
DIVIDER = re.compile(rf"\s{{0,9}}[-_*]{{2,40}}\s{{0,9}}(?:{_ORIGINAL})\s{{0,9}}[-_*]{{2,40}}\s{{0,9}}", re.IGNORECASE)
"""Outlook, mail.ru, Thunderbird, Gmail: a line of dashes with words in it."""

ANNOUNCED = re.compile(r"\s{0,9}begin forwarded message:\s{0,9}", re.IGNORECASE)

RULE = re.compile(r"\s{0,9}_{20,80}\s{0,9}")
"""Outlook draws a line above the header of the quoted letter."""

FROM_LINE = re.compile(r"[\s*>]{0,9}(?:from|от|от кого|von|de)\s?\*?:\*?\s?\S", re.IGNORECASE)
HEADER_LINE = re.compile(
    r"[\s*>]{0,9}(?:sent|date|to|cc|subject|reply-to"
    r"|отправлено|дата|кому|копия|тема"
    r"|gesendet|datum|an|betreff|kopie"
    r"|envoyé|date|à|objet"
    r"|enviado el|enviado|fecha|para|asunto)\s?\*?:\*?(?:\s|$)",
    re.IGNORECASE,
)
"""The header of the quoted letter, as Outlook and Apple Mail print it."""

OPENER = re.compile(
    r"\s{0,9}(?:on|am|le|el|il)\s.{0,60}\d"
    r"|\s{0,9}(?:пн|вт|ср|чт|пт|сб|вс|понедельник|вторник|среда|четверг|пятница|суббота|воскресенье)\.?,?\s.{0,40}\d"
    r"|\s{0,9}\d{1,4}[./-]\d{1,2}[./-]\d{1,4}"
    r"|\s{0,9}\d{1,2}\.?\s\w{3,12}\.?,?\s\d{4}",
    re.IGNORECASE,
)
"""An attribution begins with a date, or with the word before one."""

CLOSER = re.compile(
    r"(?:\bwrote|\bsaid|пишет|писал|писала|написал|написала|написал\(а\)|писал\(а\)|\bschrieb\b.{0,160}"
    r"|a écrit|escribió|[<(\[][^<>\s@]{1,64}@[^<>\s@]{1,255}[>)\]])\s?:\s{0,9}",
    re.IGNORECASE,
)
"""An attribution ends with a verb, or with an address in brackets, and a colon."""

WRITER = re.compile(
    r"\s{0,9}\S.{0,160}(?:\bwrote|пишет|писал|писала|написал|написала|написал\(а\)|a écrit|escribió"
    r"|\bschrieb\b.{0,80})\s?:\s{0,9}",
    re.IGNORECASE,
)
"""A line without date that says who wrote: it counts only above a quotation."""
