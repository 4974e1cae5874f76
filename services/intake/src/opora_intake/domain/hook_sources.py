"""Who may send webhooks, how each proves itself, and what its tickets begin with: data that an operator edits. Pure."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from opora_contracts.fact import Language, ShortText
from opora_contracts.vocabulary import Kind, Level

MOST_SECRETS = 5
"""Valid at the same time, so that a sender's secret can be changed without losing a delivery."""
_POINTER = re.compile(r"(/([^~/]|~[01])*)*")

HookName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Pointer = Annotated[str, StringConstraints(max_length=500)]
Secret = Annotated[str, StringConstraints(min_length=8, max_length=500, pattern=r"^[\x20-\x7E]+$")]
Word = Annotated[str, StringConstraints(min_length=1, max_length=100)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,100}$")]


class HookKind(StrEnum):
    """Whose payloads a source sends."""

    ALERTMANAGER = "alertmanager"
    GRAFANA = "grafana"
    SENTRY = "sentry"
    GITHUB = "github"
    PAGERDUTY = "pagerduty"
    GENERIC = "generic"


class Proof(StrEnum):
    """How a delivery shows that it comes from its source."""

    SIGNATURE = "signature"
    """The sender's own: GitHub, Sentry, PagerDuty, Grafana."""
    BEARER = "bearer"
    """`Authorization: Bearer`; the secret is the token."""
    BASIC = "basic"
    """`Authorization: Basic` (RFC 7617); the secret is `user:password`."""
    HMAC_HEADER = "hmac_header"
    """HMAC-SHA256 of the body in a header."""
    STANDARD_WEBHOOKS = "standard_webhooks"


class OnResolve(StrEnum):
    """What the end of a case does to its ticket, beside the note that tells of it."""

    CLOSE = "close"
    RESOLVE = "resolve"
    NOTE = "note"


_PROOFS: Mapping[HookKind, tuple[Proof, ...]] = {
    HookKind.ALERTMANAGER: (Proof.BEARER, Proof.BASIC),
    HookKind.GRAFANA: (Proof.SIGNATURE, Proof.BEARER, Proof.BASIC),
    HookKind.SENTRY: (Proof.SIGNATURE,),
    HookKind.GITHUB: (Proof.SIGNATURE,),
    HookKind.PAGERDUTY: (Proof.SIGNATURE,),
    HookKind.GENERIC: (Proof.BEARER, Proof.BASIC, Proof.HMAC_HEADER, Proof.STANDARD_WEBHOOKS),
}
"""What each kind can prove itself by; the first one where the source names none."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class HmacHeader(_Part):
    """Where the HMAC stands, for the proofs `hmac_header` and Grafana's `signature`."""

    header: HeaderName | None = None
    """Absent: `X-Signature`; for Grafana `X-Grafana-Alerting-Signature`."""
    prefix: Annotated[str, StringConstraints(max_length=20)] = ""
    """What stands before the digest, such as `sha256=`."""
    encoding: Literal["hex", "base64"] = "hex"
    timestamp_header: HeaderName | None = None
    """Where the sender also signs a time: this header holds seconds, what is signed is `time:body`, and what is older
    than five minutes is refused."""


class Levels(_Part):
    """Impact and urgency of a severity."""

    impact: Level
    urgency: Level


class Defaults(_Part):
    """What each ticket of the source begins with."""

    organization_id: UUID | None = None
    group: ShortText | None = None
    product: ShortText | None = None
    category: ShortText | None = None
    kind: Kind = Kind.INCIDENT
    language: Language | None = None


class Mapped(_Part):
    """Where the fields of a case stand in a payload: JSON pointers (RFC 6901), for the kind `generic`."""

    title: Pointer
    key: Pointer
    """What stays the same while a case lasts; an object counts as a whole."""
    body: Pointer | None = None
    severity: Pointer | None = None
    url: Pointer | None = None
    state: Pointer | None = None
    """Absent: every delivery begins a case or says that it goes on."""
    resolved_values: tuple[Word, ...] = Field(default=("resolved", "ok", "closed"), max_length=20)
    """The words at `state` that end a case, in any letter case."""
    ignored_values: tuple[Word, ...] = Field(default=(), max_length=20)
    """The words at `state` that mean nothing."""
    details: dict[Word, Pointer] = Field(default_factory=dict, max_length=50)
    """More lines of the text, by the name that each shall have."""

    @field_validator("title", "key", "body", "severity", "url", "state")
    @classmethod
    def _is_pointer(cls, pointer: str | None) -> str | None:
        if pointer is not None and not _POINTER.fullmatch(pointer):
            raise ValueError("a JSON pointer is empty or begins with /, and has ~0 for ~ and ~1 for / (RFC 6901)")
        return pointer

    @field_validator("details")
    @classmethod
    def _are_pointers(cls, details: dict[str, str]) -> dict[str, str]:
        for pointer in details.values():
            cls._is_pointer(pointer)
        return details


DEFAULT_SEVERITIES: Mapping[str, Levels] = {
    **dict.fromkeys(("critical", "page", "fatal", "emergency", "p1"), Levels(impact=Level.HIGH, urgency=Level.HIGH)),
    **dict.fromkeys(("error", "major", "high", "p2"), Levels(impact=Level.MEDIUM, urgency=Level.HIGH)),
    **dict.fromkeys(("warning", "minor", "medium", "p3"), Levels(impact=Level.MEDIUM, urgency=Level.MEDIUM)),
    **dict.fromkeys(("info", "low", "debug", "none", "p4", "p5"), Levels(impact=Level.LOW, urgency=Level.LOW)),
}
"""What severities mean where a source says nothing else; any other word is medium, medium."""


class HookRules(_Part):
    """How a source's deliveries are proven, read and made tickets."""

    kind: HookKind
    proof: Proof | None = None
    """Absent: the sender's own signature where it has one, else `bearer`."""
    hmac: HmacHeader = HmacHeader()
    defaults: Defaults = Defaults()
    severity_label: Word = "severity"
    """The label whose value is the severity, for Alertmanager and Grafana."""
    severities: dict[Word, Levels] = Field(default_factory=dict, max_length=50)
    """Beside and before the usual meanings: `{"sev0": {"impact": "high", "urgency": "high"}}`, in any letter case."""
    on_resolve: OnResolve = OnResolve.RESOLVE
    one_ticket_per: Literal["group", "alert"] = "group"
    """For Alertmanager and Grafana: a ticket for each group that they form, or for each alert."""
    mapping: Mapped | None = None
    """For `generic`, and for it alone."""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.proof is not None and self.proof not in _PROOFS[self.kind]:
            possible = ", ".join(_PROOFS[self.kind])
            raise ValueError(f"a source of kind {self.kind} proves itself by one of: {possible}")
        if (self.kind is HookKind.GENERIC) != (self.mapping is not None):
            raise ValueError("a mapping is needed for the kind generic, and for it alone")
        return self

    @property
    def proven_by(self) -> Proof:
        """How deliveries prove themselves."""
        return self.proof or _PROOFS[self.kind][0]

    def levels_of(self, severity: str | None) -> tuple[Level, Level]:
        """Impact and urgency of a severity, in any letter case; medium, medium for one that is not known."""
        word = (severity or "").strip().casefold()
        own = {name.casefold(): levels for name, levels in self.severities.items()}
        levels = own.get(word) or DEFAULT_SEVERITIES.get(word)
        return (Level.MEDIUM, Level.MEDIUM) if levels is None else (levels.impact, levels.urgency)


class HookSource(HookRules):
    """A source by its name, without its secrets."""

    name: HookName
