"""The reply and what it quotes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opora_intake.mail.plain import text_of_html
from opora_intake.mail.quote import split_reply
from services.intake.tests.mail_cost import steps

REPLY = "It works now.\n\nThank you!\nAnn"

GMAIL = {
    "en": "On Mon, Mar 2, 2026 at 10:00 AM Bob Fox <bob@example.org> wrote:",
    "ru": "пн, 2 мар. 2026 г. в 10:00, Боб Фокс <bob@example.org>:",
    "de": "Am Mo., 2. März 2026 um 10:00 Uhr schrieb Bob Fox <bob@example.org>:",
    "fr": "Le lun. 2 mars 2026 à 10:00, Bob Fox <bob@example.org> a écrit :",
    "es": "El lun, 2 mar 2026 a las 10:00, Bob Fox (<bob@example.org>) escribió:",
}
APPLE = {
    "en": "> On 2 Mar 2026, at 10:00, Bob Fox <bob@example.org> wrote:",
    "en wrapped": "On Mar 2, 2026, at 10:00 AM, Bob Fox of the Very Long Name\n<bob@example.org> wrote:",
    "ru": "2 марта 2026 г., в 10:00, Боб Фокс <bob@example.org> написал(а):",
    "de": "Am 02.03.2026 um 10:00 schrieb Bob Fox <bob@example.org>:",
    "fr": "Le 2 mars 2026 à 10:00, Bob Fox <bob@example.org> a écrit :",
    "es": "El 2 mar 2026, a las 10:00, Bob Fox <bob@example.org> escribió:",
}
RUSSIAN = {
    "yandex": '02.03.2026, 10:00, "Боб Фокс" <bob@example.org>:',
    "yandex, newer": "02.03.2026 10:00, Боб Фокс пишет:",
    "mail.ru": "Понедельник, 2 марта 2026, 10:00 +03:00 от Боб Фокс <bob@example.org>:",
    "mail.ru, older": "Пн, 2 мар 2026 10:00:00 +0300 от Bob Fox <bob@example.org>:",
    "thunderbird": "02.03.2026 10:00, Bob Fox пишет:",
}
OUTLOOK = {
    "en": "From: Bob Fox <bob@example.org>\nSent: Monday, March 2, 2026 10:00 AM\nTo: Ann\nSubject: RE: Help",
    "ru": "От: Bob Fox <bob@example.org>\nОтправлено: 2 марта 2026 г. 10:00\nКому: Ann\nТема: RE: Help",
    "de": "Von: Bob Fox <bob@example.org>\nGesendet: Montag, 2. März 2026 10:00\nAn: Ann\nBetreff: AW: Help",
    "fr": "De : Bob Fox <bob@example.org>\nEnvoyé : lundi 2 mars 2026 10:00\nÀ : Ann\nObjet : RE: Help",
    "es": "De: Bob Fox <bob@example.org>\nEnviado el: lunes, 2 de marzo de 2026 10:00\nPara: Ann\nAsunto: RE: Help",
    "bold": "*From:* Bob Fox\n*Sent:* Monday\n*To:* Ann\n*Subject:* Help",
}
DIVIDERS = {
    "en": "-----Original Message-----",
    "ru": "-------- Исходное сообщение --------",
    "ru forwarded": "-------- Пересылаемое сообщение --------",
    "de": "-----Ursprüngliche Nachricht-----",
    "fr": "-----Message d'origine-----",
    "es": "-----Mensaje original-----",
    "gmail": "---------- Forwarded message ---------",
}
ANNOUNCEMENTS = [
    pytest.param(line, id=f"{program} {name}")
    for program, lines in (
        ("gmail", GMAIL),
        ("apple", APPLE),
        ("russian", RUSSIAN),
        ("outlook", OUTLOOK),
        ("-", DIVIDERS),
    )
    for name, line in lines.items()
]


@pytest.mark.parametrize("announcement", ANNOUNCEMENTS)
def test_what_programs_quote_is_told_from_the_reply(announcement: str) -> None:
    """Gmail, Outlook, Apple Mail, Yandex and mail.ru in five languages: only what was written is the reply."""
    quoted = "\n".join(f"> {line}".rstrip() for line in ("Hello Ann,", "", "does it work?", "Bob"))
    if "> On" not in announcement:
        plain = split_reply(f"{REPLY}\n\n{announcement}\n\nHello Ann,\ndoes it work?\nBob\n")
        assert plain.text == REPLY
        assert plain.quoted.startswith(announcement.strip())
    assert split_reply(f"{REPLY}\n\n{announcement}\n\n{quoted}\n").text == REPLY


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("Bob wrote:\n> Does it work?\n\nYes, it does.", "Yes, it does."),
        ("On 2 Mar 2026 Bob <b@example.org> wrote:\n> Does it work?\n\nYes.\n-- \nAnn", "Yes.\n-- \nAnn"),
        ("Yes.\n\n> Does it work?\n> Bob", "Yes."),
        ("Ja.\n\nBob Fox schrieb am 02.03.2026 um 10:00:\n> Geht es?", "Ja."),
        ("Yes.\n\nOn Mon, 2 Mar 2026 at 10:00, Bob via Support <\ns@example.org> wrote:\n\n> Does it?", "Yes."),
        ("________________________________\nFrom: Bob\nSent: today\nTo: Ann\n\nHello", None),
        ("Yes.\n________________________________\n\nFrom: Bob\nSent: today\nTo: Ann\n\nHello", "Yes."),
    ],
)
def test_where_replies_stand(text: str, reply: str | None) -> None:
    """Above the quotation, below it, or nowhere: then the whole is kept."""
    assert split_reply(text).text == (text if reply is None else reply)


@pytest.mark.parametrize(
    "text",
    [
        "Bob <b@example.org> wrote on 1.1.2026:\n> one?\nyes\n> two?\nno",
        "> one?\nyes\n> two?\nno",
        "See below.\n\nOn 2 Mar 2026 Bob <b@example.org> wrote:\n> one?\nyes\n> two?\nno",
    ],
)
def test_answers_between_quoted_lines_stay_with_them(text: str) -> None:
    """An answer written into the quotation says nothing without it: nothing is cut."""
    assert split_reply(text).text == text


@pytest.mark.parametrize(
    "text",
    [
        "On Monday the printer wrote: paper jam",
        "From: the beginning it did not work.\nThe log says nothing.",
        "Am Montag ging es noch.\nHeute nicht:\nnichts",
        "I tried this:\n- one\n- two",
        "2026-03-02 10:00 ERROR connection refused:\nretrying",
        "_____\nthe end",
        "",
    ],
)
def test_what_only_looks_like_a_quotation_stays(text: str) -> None:
    """A sentence, a log or a rule is what was written."""
    assert split_reply(text).text == text


def test_the_quotation_of_html_is_told_too() -> None:
    """A reply that is written as HTML only, as Gmail does it."""
    html = (
        "<div>Works.</div><br><div class=gmail_quote><div dir=ltr>On Mon, Mar 2, 2026 at 10:00 AM Bob &lt;"
        "<a href=mailto:b@example.org>b@example.org</a>&gt; wrote:<br></div><blockquote>Does it?</blockquote></div>"
    )
    assert split_reply(text_of_html(html)).text == "Works."


LINES = st.lists(
    st.sampled_from(
        [
            *(
                "text",
                "",
                "> quoted",
                ">",
                " > x",
                "On 2 Mar 2026 Bob <b@example.org> wrote:",
                "On 2 Mar 2026",
                "wrote:",
            ),
            *(
                "From: Bob",
                "Sent: today",
                "To: Ann",
                "-----Original Message-----",
                "_" * 30,
                "Bob пишет:",
                "02.03.2026,",
            ),
        ]
    )
    | st.text(max_size=20),
    max_size=40,
)


@given(LINES)
def test_nothing_is_lost(lines: list[str]) -> None:
    """Every line that says something is in the reply or in the quotation, and only an empty letter has no reply."""
    text = "\n".join(lines)
    reply = split_reply(text)
    kept = f"{reply.text}\n{reply.quoted}"
    written = [line.strip() for line in text.split("\n") if line.strip()]
    assert sorted(written) == sorted(line.strip() for line in kept.split("\n") if line.strip())
    assert bool(reply.text.strip()) == bool(text.strip())


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "text\n",
            ">\n",
            "> > x\n",
            "\n",
            "On 2 Mar 2026\n",
            "On 2 Mar 2026 x <a@b>\n",
            "From: x\n",
            "From: x\nSent: \n",
        ),
        *("_" * 30 + "\n", "_" * 30 + "\n\n", "-----Original\n", "x wrote:\n", "02.03.2026 x\n\n", "Le 2 mars écrit\n"),
    ],
)
def test_telling_them_apart_is_linear(unit: str) -> None:
    """Each line is compared at most a dozen times, however many there are and whatever they look like."""
    looks: list[int] = []
    split_reply(unit * 2_000, looks.append)
    assert len(looks) <= 12 * (unit.count("\n") * 2_000 + 1)
    small, large = steps(split_reply, unit * 200), steps(split_reply, unit * 800)
    assert large <= 4.5 * small + 500


@pytest.mark.parametrize(
    "unit", ["On ", "On 1 ", "пн 1 ", "a@b <", "<a@", "schrieb ", "-", "_", " ", "De: ", "*", "wrote :"]
)
def test_no_line_costs_more_than_its_beginning(unit: str) -> None:
    """A line of a million characters is compared with phrases by its first 300 only."""
    text = unit * (1_000_000 // len(unit))
    assert split_reply(f"{text}\n{text}\n> x").text


def test_what_stands_behind_the_beginning_of_a_line_is_not_looked_at() -> None:
    """Words of an attribution count in the first 300 characters of a line, where programs write them."""
    for filling, told in ((200, True), (400, False)):
        text = f"Yes.\n\nOn 2 Mar 2026 {'x' * filling} wrote:\nDoes it?"
        assert bool(split_reply(text).quoted) is told
