"""What notify asks other services for at the moment of sending: texts and links that travel in no event."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from pydantic import SecretStr

_MISSING = frozenset({404, 410})


class NotAnsweredError(Exception):
    """The other service did not give what a message needs; it may later."""


class GoneError(Exception):
    """The other service no longer has what the message is about."""


@dataclass(frozen=True, slots=True)
class Source:
    """Another service's interface. Without an address nothing can be asked."""

    name: str
    url: str | None
    key: SecretStr | None


@dataclass(frozen=True, slots=True)
class Sources:
    """The services that hold what letters quote."""

    client: httpx.AsyncClient
    intake: Source
    feedback: Source

    async def message_body(self, message_id: UUID) -> str | None:
        """The text of a reply; None where no intake is set. Raises NotAnsweredError and GoneError."""
        if self.intake.url is None:
            return None
        return str((await self._get(self.intake, f"/v1/messages/{message_id}"))["body"])

    async def survey_links(self, survey_id: UUID) -> dict[int, str]:
        """The one-click address of each score, 1 to 5. Raises NotAnsweredError and GoneError."""
        if self.feedback.url is None:
            raise NotAnsweredError("no feedback service is set: set OPORA_FEEDBACK_URL and OPORA_FEEDBACK_KEY")
        links = await self._get(self.feedback, f"/v1/surveys/{survey_id}/links")
        return {int(score): str(link) for score, link in links.items()}

    async def _get(self, source: Source, path: str) -> dict[str, Any]:
        headers = {} if source.key is None else {"Authorization": f"Bearer {source.key.get_secret_value()}"}
        try:
            answer = await self.client.get(f"{str(source.url).rstrip('/')}{path}", headers=headers)
        except httpx.HTTPError as error:
            raise NotAnsweredError(f"{source.name} does not answer: {type(error).__name__}") from error
        if answer.status_code in _MISSING:
            raise GoneError(f"{source.name} no longer has {path}")
        if answer.status_code != httpx.codes.OK:
            raise NotAnsweredError(f"{source.name} answered {answer.status_code} to {path}")
        document: dict[str, Any] = answer.json()
        return document
