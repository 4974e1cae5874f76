"""The page of a web form: plain HTML that works without JavaScript, and nothing of it comes from elsewhere."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from opora_intake.domain.contacts import LONGEST_ADDRESS
from opora_intake.domain.fields import FieldDefinition
from opora_intake.domain.web_forms import (
    LONGEST_MESSAGE,
    LONGEST_NAME,
    LONGEST_SUBJECT,
    AskedField,
    Given,
    Mistake,
    WebForm,
)
from opora_intake.pages.words import WORDS, Words

_LIMITS = {
    "email": LONGEST_ADDRESS,
    "name": LONGEST_NAME,
    "subject": LONGEST_SUBJECT,
    "message": LONGEST_MESSAGE,
}
_pages = Environment(
    loader=PackageLoader("opora_intake"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Filled:
    """What stands on the page when it is shown: what was written, and what is said about it."""

    given: Given = field(default_factory=Given)
    mistakes: Mapping[str, Mistake] = field(default_factory=dict)
    notice: str | None = None


def form_page(
    form: WebForm,
    asked: Sequence[tuple[AskedField, FieldDefinition]],
    token: str,
    *,
    status: int = 200,
    filled: Filled | None = None,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """The form to be filled in; after a mistake with all that was written, each mistake beside its field."""
    shown = filled or Filled()
    words = WORDS[form.rules.language]
    own = [
        {
            "asked": each,
            "definition": definition,
            "name": f"fields.{each.name}",
            "value": _shown(shown.given.fields.get(each.name)),
        }
        for each, definition in asked
    ]
    values = {
        "form": form,
        "token": token,
        "own": own,
        "given": shown.given,
        "mistakes": {name: words.mistakes[mistake] for name, mistake in shown.mistakes.items()},
        "notice": shown.notice,
        "limits": _LIMITS,
    }
    return _page("web_form.html", words, form, values, status=status, headers=headers or {})


def message_page(
    words: Words, heading: str, text: str, *, status: int, number: str | None = None, form: WebForm | None = None
) -> HTMLResponse:
    """A page that says one thing."""
    values = {"heading": heading, "text": text, "number": number}
    return _page("message.html", words, form, values, status=status, headers={})


def _shown(value: Any) -> Sequence[str]:
    """What was written in an own field, as texts."""
    if isinstance(value, list | tuple):
        return [str(each) for each in value]
    return [] if value is None else [str(value)]


def _page(
    template: str,
    words: Words,
    form: WebForm | None,
    values: Mapping[str, Any],
    *,
    status: int,
    headers: Mapping[str, str],
) -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    frames = " ".join(form.rules.origins) if form is not None and form.rules.origins else "'none'"
    return HTMLResponse(
        _pages.get_template(template).render(words=words, nonce=nonce, **values),
        status_code=status,
        headers={
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none';"
                f" frame-ancestors {frames}"
            ),
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Content-Language": words.language,
            **headers,
        },
    )
