"""The linter: each finding once, with its place, and none of an agreement that is as it should be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opora_sla.agreement import AgreementDocument, Dimensions, choose, read_agreement
from opora_sla.lint import findings

HOURS = {"P1": {"hours": 4}, "P2": {"hours": 8}}
"""What most of these promise."""


def agreed(name: str = "A", *, targets: Any = HOURS, **fields: Any) -> AgreementDocument:
    return AgreementDocument.model_validate({"name": name, "metrics": {"resolution": {"targets": targets}}} | fields)


def said(*documents: AgreementDocument) -> list[tuple[int, str, str]]:
    return [
        (found.agreement, ".".join(str(part) for part in found.place), found.words) for found in findings(documents)
    ]


SOUND = [
    [agreed()],
    [agreed("A", rank=1, conditions={"priority": ["P1"]}), agreed("B")],
    [agreed("A", conditions={"tier": ["gold"]}), agreed("B", conditions={"tier": ["silver"]})],
    # More conditions come first, so that the general one is left what the special one is not for.
    [agreed("A", conditions={"tier": ["gold"], "priority": ["P1"]}), agreed("B", conditions={"tier": ["gold"]})],
    [agreed("A", conditions={"tier": ["gold"]}), agreed("B", conditions={"kind": ["incident"]}, rank=1)],
    # Both tiers that are named, but a ticket may have another one.
    [agreed("A", conditions={"tier": ["gold", "silver"]}, rank=1), agreed("B")],
]


@pytest.mark.parametrize("documents", SOUND, ids=str)
def test_agreements_that_are_sound_give_no_finding(documents: list[AgreementDocument]) -> None:
    """Nothing is said for its own sake."""
    assert said(*documents) == []


KINDS_BUT_ONE = ["incident", "service_request", "question", "problem", "complaint"]


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        (
            [agreed("A"), agreed("B", conditions={"tier": ["gold"]}), agreed("C", rank=1)],
            [
                (0, "conditions", "never applies: 'C' will be chosen"),
                (1, "conditions", "never applies: 'C' will be chosen"),
            ],
        ),
        (
            [
                agreed("A", conditions={"tier": ["gold"]}),
                agreed("B", rank=5, conditions={"tier": ["gold", "silver"]}),
            ],
            [(0, "conditions", "never applies: 'B' will be chosen")],
        ),
        # Of two that say the same, the later one applies.
        (
            [agreed("A", conditions={"tier": ["gold"]}), agreed("B", conditions={"tier": ["gold"]})],
            [(0, "conditions", "never applies: 'B' will be chosen")],
        ),
        # No single one is before it everywhere, but all together are.
        (
            [
                agreed("A"),
                agreed("B", conditions={"kind": KINDS_BUT_ONE}, rank=1),
                agreed("C", conditions={"kind": ["other"]}, rank=1),
            ],
            [(0, "conditions", "never applies: 'B' and 'C' will be chosen")],
        ),
        (
            [agreed("A", conditions={"tier": ["gold"]}), agreed("B", conditions={"product": ["mail"]})],
            [(1, "rank", "contradicts 'A': tickets of both conditions")],
        ),
        (
            [agreed("A", conditions={"tier": ["gold", "iron"]}), agreed("B", conditions={"tier": ["gold", "wood"]})],
            [(1, "rank", "contradicts 'A': tickets of both conditions")],
        ),
        (
            [agreed("A", conditions={"tier": ["gold"]}), agreed("A", conditions={"tier": ["iron"]})],
            [(1, "name", "is the name of another agreement too")],
        ),
        (
            [agreed(conditions={"priority": ["P1", "P4"]})],
            [(0, "conditions.priority.1", "no metric has a target for P4")],
        ),
        (
            [
                agreed(
                    metrics={
                        "resolution": {
                            "targets": {"P1": {"hours": 2}, "P3": {"hours": 8}},
                            "warn_before": [{"hours": 7}, {"hours": 8}],
                            "escalation": {
                                "steps": [
                                    {"before_due": {"hours": 8}, "tell": ["lead"]},
                                    {"before_due": {"hours": 9}, "tell": ["lead"]},
                                ]
                            },
                        }
                    }
                )
            ],
            [
                (0, "metrics.resolution.warn_before.1", "no target is longer than this"),
                (0, "metrics.resolution.escalation.steps.1.before_due", "no target is longer than this"),
            ],
        ),
        (
            [agreed(targets={"P1": {"hours": 9}, "P3": {"hours": 8}})],
            [(0, "metrics.resolution.targets.P1", "P1 has more time than P3")],
        ),
        (
            [
                agreed(
                    metrics={
                        "first_response": {"targets": {"P1": {"hours": 5}, "P2": {"hours": 8}}},
                        "resolution": {"targets": HOURS},
                    }
                )
            ],
            [(0, "metrics.first_response.targets.P1", "the first response may take longer than the resolution")],
        ),
        (
            [
                agreed(
                    metrics={
                        "resolution": {"targets": HOURS},
                        "update": {"targets": {"P1": {"hours": 4}, "P2": {"hours": 9}, "P3": {"days": 9}}},
                        "operational": {
                            "network": {"targets": {"P1": {"hours": 5}, "P2": {"hours": 4}}},
                            "developers": {"targets": HOURS, "warn_before": [{"hours": 8}]},
                        },
                        "underpinning": {"targets": {"P1": {"hours": 9}}},
                    }
                )
            ],
            [
                (0, "metrics.operational.network.targets.P1", "P1 has more time than P2"),
                (0, "metrics.operational.developers.warn_before.0", "no target is longer than this"),
                (0, "metrics.update.targets.P2", "more time from one update to the next than the whole resolution"),
                (0, "metrics.operational.network.targets.P1", "more time for one group than the whole resolution"),
            ],
        ),
        (
            [agreed(metrics={"operational": {key: {"targets": HOURS} for key in ("network", "desk", "Network ")}})],
            [(0, "metrics.operational.Network ", "is 'network' in other letters")],
        ),
        (
            [agreed(targets={"P1": {"days": 22}}, weekly_hours={"mon": [["09:00", "10:00"]]})],
            [(0, "metrics.resolution.targets.P1", "ten years have less working time than this")],
        ),
        (
            [agreed(weekly_hours={"mon": [["09:00", "17:00"], ["22:00", "06:00"]]})],
            [(0, "weekly_hours.mon.1", "is open from 22:00 until 06:00 of the next day")],
        ),
    ],
)
def test_what_is_hardly_meant_is_found(
    documents: list[AgreementDocument], expected: list[tuple[int, str, str]]
) -> None:
    """One finding a fault, where it stands."""
    found = said(*documents)
    assert [
        (number, place, words[: len(start)])
        for (number, place, words), (_, _, start) in zip(found, expected, strict=True)
    ] == expected


def test_only_night_hours_are_a_note() -> None:
    """They may well be meant; everything else is a finding."""
    night = findings([agreed(weekly_hours={"mon": [["22:00", "06:00"]]})])
    other = findings([agreed(conditions={"priority": ["P4"]})])
    assert ([found.is_note for found in night], [found.is_note for found in other]) == ([True], [False])


FIRST, SECOND = "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"
VALID: list[dict[str, str]] = [
    {},
    {"valid_from": FIRST},
    {"valid_until": FIRST},
    {"valid_from": FIRST, "valid_until": SECOND},
    {"valid_from": SECOND},
    {"valid_until": SECOND},
]
AT = [datetime(2026, month, 1, tzinfo=UTC) for month in (2, 3, 4)]
SOME = {
    "tier": st.sets(st.sampled_from(["gold", "iron"]), min_size=1),
    "product": st.sets(st.sampled_from(["mail"]), min_size=1),
    "tags": st.sets(st.sampled_from(["vip", "outage"]), min_size=1),
    "channel": st.sets(st.sampled_from(["email", "web", "chat", "phone", "api", "event", "other"]), min_size=1),
}
TICKETS: list[Dimensions] = [
    {"tier": tier, "product": product, "channel": channel, "tags": frozenset(tags)}
    for tier in ("gold", "iron", None)
    for product in ("mail", None)
    for tags in ((), ("vip",), ("outage",), ("vip", "outage"))
    for channel in ("email", "web", "chat", "phone", "api", "event", "other")
]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.fixed_dictionaries({}, optional=SOME), st.integers(0, 2), st.sampled_from(VALID)),
        min_size=1,
        max_size=5,
    )
)
def test_never_means_that_no_ticket_chooses_it(drawn: list[tuple[dict[str, set[str]], int, dict[str, str]]]) -> None:
    """What is said never to apply is chosen for no ticket, and each of the others for one."""
    documents = [
        agreed(
            str(number), rank=rank, conditions={name: sorted(values) for name, values in conditions.items()}, **valid
        )
        for number, (conditions, rank, valid) in enumerate(drawn)
    ]
    made_at = datetime(2026, 1, 1, tzinfo=UTC)
    agreements = [
        read_agreement(UUID(int=number), 1, document, made_at) for number, document in enumerate(documents, start=1)
    ]
    chosen = {choose(agreements, ticket, at).document.name for ticket in TICKETS for at in AT}
    never = {number for number, place, _ in said(*documents) if place == "conditions"}
    assert {documents[number].name for number in range(len(documents)) if number not in never} == chosen - {
        "Standard support"
    }
