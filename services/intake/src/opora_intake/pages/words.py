"""What the pages of web forms say, in each language that they speak."""

from collections.abc import Mapping
from dataclasses import dataclass

from opora_intake.domain.form_tokens import TokenFault
from opora_intake.domain.web_forms import FormLanguage, Mistake


@dataclass(frozen=True, slots=True)
class Words:
    """The page's sentences in one language."""

    language: str
    name: str
    email: str
    subject: str
    message: str
    website: str
    optional: str
    choose: str
    send: str
    mistaken: str
    """Above the form when something is wrong with it."""
    sent: str
    sent_text: str
    number: str
    unknown: str
    unknown_text: str
    unreadable: str
    flooded: str
    faults: Mapping[TokenFault, str]
    mistakes: Mapping[Mistake, str]


_ENGLISH = Words(
    language="en",
    name="Your name",
    email="Your e-mail address",
    subject="Subject",
    message="How can we help?",
    website="Leave this field empty",
    optional="optional",
    choose="Please choose",
    send="Send",
    mistaken="Not sent yet. Please correct what is marked:",
    sent="Thank you, we have received your request",
    sent_text="We will write to the address that you gave. You can close this page.",
    number="The number of your request is",
    unknown="There is no such form",
    unknown_text="The address of this page is not right, or the form is closed.",
    unreadable="The form could not be read. Please go back and send it again.",
    flooded="Too many requests have come in. Nothing is lost: your text stands below. Please send it again later.",
    faults={
        TokenFault.FORGED: "This page was open for too long. Your text stands below: please send it again.",
        TokenFault.EXPIRED: "This page was open for too long. Your text stands below: please send it again.",
        TokenFault.EARLY: "That was very fast. Your text stands below: please send it again in a few seconds.",
    },
    mistakes={
        Mistake.REQUIRED: "Please fill this in.",
        Mistake.TOO_LONG: "This is too long.",
        Mistake.ADDRESS: "This is no e-mail address. It looks like anna@example.com.",
        Mistake.NUMBER: "Please give a number within the limits.",
        Mistake.DAY: "Please give a day such as 2026-03-02.",
        Mistake.CHOICE: "Please choose what is offered.",
        Mistake.UNKNOWN: "This form does not ask for this.",
        Mistake.NOT_EMPTY: "Please leave this field empty.",
    },
)

_RUSSIAN = Words(
    language="ru",
    name="Ваше имя",
    email="Ваш адрес электронной почты",
    subject="Тема",
    message="Чем мы можем помочь?",
    website="Оставьте это поле пустым",
    optional="необязательно",
    choose="Выберите",
    send="Отправить",
    mistaken="Ещё не отправлено. Исправьте, пожалуйста, отмеченное:",
    sent="Спасибо, мы получили ваше обращение",
    sent_text="Мы напишем на указанный адрес. Эту страницу можно закрыть.",
    number="Номер обращения:",
    unknown="Такой формы нет",
    unknown_text="Адрес страницы неверен, или форма закрыта.",
    unreadable="Не удалось прочитать форму. Вернитесь, пожалуйста, назад и отправьте её ещё раз.",
    flooded="Обращений слишком много. Ничего не потеряно: ваш текст ниже. Отправьте его, пожалуйста, позже.",
    faults={
        TokenFault.FORGED: "Страница была открыта слишком долго. Ваш текст ниже: отправьте его, пожалуйста, ещё раз.",
        TokenFault.EXPIRED: "Страница была открыта слишком долго. Ваш текст ниже: отправьте его, пожалуйста, ещё раз.",
        TokenFault.EARLY: "Это было очень быстро. Ваш текст ниже: отправьте его ещё раз через несколько секунд.",
    },
    mistakes={
        Mistake.REQUIRED: "Заполните, пожалуйста, это поле.",
        Mistake.TOO_LONG: "Слишком длинно.",
        Mistake.ADDRESS: "Это не адрес электронной почты. Он выглядит так: anna@example.com.",
        Mistake.NUMBER: "Укажите число в допустимых пределах.",
        Mistake.DAY: "Укажите день, например 2026-03-02.",
        Mistake.CHOICE: "Выберите из предложенного.",
        Mistake.UNKNOWN: "Эта форма об этом не спрашивает.",
        Mistake.NOT_EMPTY: "Оставьте, пожалуйста, это поле пустым.",
    },
)

WORDS: Mapping[FormLanguage, Words] = {FormLanguage.ENGLISH: _ENGLISH, FormLanguage.RUSSIAN: _RUSSIAN}


def words_accepted(accept_language: str) -> Words:
    """The words for whoever asks for a page that is in no language: Russian where it is asked for before English."""
    wanted = accept_language.lower().replace(";", ",").split(",")
    first = next((tag for tag in wanted if tag.strip()[:2] in {"en", "ru"}), "en")
    return WORDS[FormLanguage(first.strip()[:2])]
