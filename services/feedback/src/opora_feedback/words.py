"""What the survey page says, in each language that it speaks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """The page's sentences in one language."""

    language: str
    title: str
    question: str
    scores: tuple[str, str, str, str, str]
    """The meaning of 1 … 5."""
    recording: str
    recorded: str
    failed: str
    comment: str
    send_comment: str
    send_rating: str
    needs_button: str
    thanks: str
    thanks_text: str
    expired: str
    expired_text: str
    unknown: str
    unknown_text: str
    unreadable: str
    unreadable_text: str
    too_long: str
    too_long_text: str


_ENGLISH = Words(
    language="en",
    title="How did we do?",
    question="How satisfied are you with the help you received?",
    scores=("Very dissatisfied", "Dissatisfied", "Neither", "Satisfied", "Very satisfied"),
    recording="Recording your rating…",
    recorded="Thank you, your rating is recorded. You can change it, or add a few words below.",
    failed="Your rating could not be recorded. Please press the button to try again.",
    comment="Would you like to tell us more? (optional)",
    send_comment="Send",
    send_rating="Send my rating",
    needs_button="Press the button to send your rating.",
    thanks="Thank you!",
    thanks_text="Your answer is recorded. You can close this page now.",
    expired="This survey is over",
    expired_text="The time for answering has passed. If you still need help, please write to us.",
    unknown="This link does not work",
    unknown_text="Please open the link from our message again; it may have been cut off when it was copied.",
    unreadable="We could not read your answer",
    unreadable_text="Please open the link from our message again and choose a rating from 1 to 5.",
    too_long="Your comment is too long",
    too_long_text="Please go back and shorten it to 5,000 characters. Nothing was recorded.",
)
_RUSSIAN = Words(
    language="ru",
    title="Как мы справились?",
    question="Насколько вы довольны полученной помощью?",
    scores=("Очень недоволен", "Недоволен", "Нейтрально", "Доволен", "Очень доволен"),
    recording="Сохраняем вашу оценку…",
    recorded="Спасибо, оценка сохранена. Её можно изменить или добавить пару слов ниже.",
    failed="Не удалось сохранить оценку. Нажмите кнопку, чтобы попробовать ещё раз.",
    comment="Хотите рассказать подробнее? (необязательно)",
    send_comment="Отправить",
    send_rating="Отправить оценку",
    needs_button="Нажмите кнопку, чтобы отправить оценку.",
    thanks="Спасибо!",
    thanks_text="Ваш ответ сохранён. Эту страницу можно закрыть.",
    expired="Опрос завершён",
    expired_text="Время для ответа истекло. Если помощь всё ещё нужна, пожалуйста, напишите нам.",
    unknown="Ссылка не работает",
    unknown_text="Откройте ссылку из нашего письма ещё раз: возможно, она скопирована не полностью.",
    unreadable="Не удалось прочитать ответ",
    unreadable_text="Откройте ссылку из нашего письма ещё раз и выберите оценку от 1 до 5.",
    too_long="Комментарий слишком длинный",
    too_long_text="Вернитесь и сократите его до 5 000 знаков. Ничего не сохранено.",
)
_BY_LANGUAGE = {"en": _ENGLISH, "ru": _RUSSIAN}


def words_for(language: str) -> Words:
    """The words for a language tag such as `ru-RU` or an Accept-Language header; English where it is not spoken."""
    return _BY_LANGUAGE.get(language.strip().lower()[:2], _ENGLISH)
