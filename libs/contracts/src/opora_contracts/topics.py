"""The topic registry: topics, keys, partitions, retention, who writes and who reads, and which types stand where."""

from dataclasses import dataclass

from opora_contracts import commitments, customers, feedback, notifications, progress, requests, sla, tickets
from opora_contracts.fact import Fact

FOREVER = -1
_HOUR_MS = 3_600_000
_WEEK_MS = 7 * 24 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class Topic:
    """One Kafka topic as the platform needs it."""

    name: str
    key: str
    """What a record's key is."""
    types: tuple[type[Fact], ...]
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    description: str
    partitions: int = 12
    retention_ms: int = FOREVER


REQUESTS = Topic(
    name="opora.requests",
    key="the publisher's id of the case",
    types=(requests.TicketSubmitted, requests.TicketReplySubmitted),
    producers=("other systems",),
    consumers=("intake",),
    description="What other systems ask for.",
    retention_ms=_WEEK_MS,
)
TICKETS = Topic(
    name="opora.tickets",
    key="ticket_id",
    types=(
        tickets.TicketCreated,
        tickets.TicketAssessed,
        tickets.TicketAssigned,
        tickets.TicketDiagnosed,
        tickets.TicketPlanned,
        tickets.TicketResolved,
        tickets.TicketVerified,
        tickets.TicketClosed,
        tickets.TicketReopened,
        tickets.TicketHeld,
        tickets.TicketResumed,
        tickets.TicketReplied,
        tickets.TicketNoted,
        tickets.TicketUpdated,
        tickets.TicketLinked,
        tickets.TicketUnlinked,
        tickets.TicketMerged,
    ),
    producers=("intake",),
    consumers=("sla", "notify", "feedback"),
    description="A ticket's life, in order.",
)
CUSTOMERS = Topic(
    name="opora.customers",
    key="customer_id or organization_id",
    types=(
        customers.CustomerRegistered,
        customers.CustomerUpdated,
        customers.CustomerMerged,
        customers.CustomerUndeliverable,
        customers.CustomerDeliverable,
        customers.OrganizationRegistered,
        customers.OrganizationUpdated,
    ),
    producers=("intake",),
    consumers=("notify", "feedback"),
    description="Who the customers and their organisations are.",
)
SLA = Topic(
    name="opora.sla",
    key="ticket_id",
    types=(
        sla.SlaStarted,
        sla.SlaPaused,
        sla.SlaResumed,
        sla.SlaWarning,
        sla.SlaEscalated,
        sla.SlaBreached,
        sla.SlaMet,
        sla.SlaCancelled,
        sla.SlaCorrected,
        commitments.CommitmentStarted,
        commitments.CommitmentPaused,
        commitments.CommitmentResumed,
        commitments.CommitmentWarning,
        commitments.CommitmentEscalated,
        commitments.CommitmentBreached,
        commitments.CommitmentMet,
        commitments.CommitmentCancelled,
        commitments.CommitmentCorrected,
    ),
    producers=("sla",),
    consumers=("notify",),
    description="Service level clocks and what became of them.",
)
NOTIFICATIONS = Topic(
    name="opora.notifications",
    key="notification_id",
    types=(
        notifications.NotificationDelivered,
        notifications.NotificationFailed,
        notifications.NotificationSuppressed,
    ),
    producers=("notify",),
    consumers=(),
    description="What became of messages to people and systems.",
)
FEEDBACK = Topic(
    name="opora.feedback",
    key="ticket_id",
    types=(feedback.SurveyRequested, feedback.FeedbackReceived, feedback.FeedbackAlerted),
    producers=("feedback",),
    consumers=("notify",),
    description="Surveys, answers, alerts.",
)
PROGRESS = Topic(
    name="opora.progress",
    key="partition",
    types=(progress.ProgressMarked,),
    producers=("intake",),
    consumers=("sla",),
    description="How far the ticket facts are complete.",
    retention_ms=_HOUR_MS,
)

TOPICS = (REQUESTS, TICKETS, CUSTOMERS, SLA, NOTIFICATIONS, FEEDBACK, PROGRESS)
"""Every topic of the platform."""

_topic_of = {fact_type.event_type: topic for topic in TOPICS for fact_type in topic.types}


def topic_of(fact: Fact | type[Fact]) -> Topic:
    """The topic on which this type of fact is published. Raises KeyError for a type that no topic carries."""
    return _topic_of[fact.event_type]
