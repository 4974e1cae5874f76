"""What customers of a software company write about, in English and in Russian: `stories.json`, read into types."""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Wording:
    """One story in one language, with the desk's answers."""

    title: str
    body: str
    first_reply: str
    resolution: str


@dataclass(frozen=True, slots=True)
class Story:
    """One kind of request."""

    kind: str
    product: str
    category: str
    group: str
    impact: str
    urgency: str
    en: Wording
    ru: Wording

    def wording(self, language: str) -> Wording:
        """The story in this language."""
        return self.ru if language == "ru" else self.en


@dataclass(frozen=True, slots=True)
class Phrases:
    """What is said again and again in one language, whatever the story."""

    questions: tuple[str, ...]
    answers: tuple[str, ...]
    apologies: tuple[str, ...]
    reopenings: tuple[str, ...]
    good_comments: tuple[str, ...]
    bad_comments: tuple[str, ...]


@cache
def stories() -> tuple[Story, ...]:
    """Every story."""
    return tuple(
        Story(**{**written, "en": Wording(**written["en"]), "ru": Wording(**written["ru"])})
        for written in _document()["stories"]
    )


@cache
def phrases(language: str) -> Phrases:
    """The phrases of `en` or `ru`."""
    written = _document()["phrases"][language]
    return Phrases(**{name: tuple(sentences) for name, sentences in written.items()})


def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((resources.files("opora_cli.demo") / "stories.json").read_text("utf-8"))
    return document
