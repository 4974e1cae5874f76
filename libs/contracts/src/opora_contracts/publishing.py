"""What a system outside Opora may publish, and where: judged before anything is sent."""

from opora_contracts.attributes import reserved_source_problem, shown
from opora_contracts.event import Event
from opora_contracts.fact import Fact
from opora_contracts.topics import TOPICS, Topic, topic_of

OTHER_SYSTEMS = "other systems"
"""The registry's word for publishers that are no service of Opora."""


def is_open(topic: Topic) -> bool:
    """Whether systems outside Opora publish on this topic."""
    return OTHER_SYSTEMS in topic.producers


def open_types() -> tuple[str, ...]:
    """The event types that systems outside Opora may publish, in the registry's order."""
    return tuple(one.event_type for topic in TOPICS if is_open(topic) for one in topic.types)


def refusal(event: Event[Fact]) -> str | None:
    """Why a system outside Opora may not publish this event, as a sentence; None when it may."""
    try:
        topic = topic_of(event.data)
    except KeyError:
        return f"no topic carries the type {shown(event.type)}; another system may publish {_open_types()}"
    if not is_open(topic):
        return (
            f"{event.type} is a fact that {' and '.join(topic.producers)} alone writes on {topic.name}; "
            f"another system may publish {_open_types()}"
        )
    return reserved_source_problem(event.source)


def _open_types() -> str:
    return ", ".join(open_types())
