"""Upcasters: a fact's old major versions are raised to the newest at the reader's edge, so handlers know one."""

from collections.abc import Callable
from typing import Any, TypeVar

from opora_contracts.fact import Fact, type_key

Old = TypeVar("Old", bound=Fact)

_upcasters: dict[type_key, Callable[[Any], Fact]] = {}


def upcaster(old: type[Old]) -> Callable[[Callable[[Old], Fact]], Callable[[Old], Fact]]:
    """Register a pure function from one version of a type to the next.

        @upcaster(TicketCreatedV1)
        def with_severity(old: TicketCreatedV1) -> TicketCreated: ...

    Raises TypeError when the version has an upcaster already.
    """
    if has_upcaster(old):
        raise TypeError(f"{old.event_type} version {old.version} has an upcaster already")

    def register(function: Callable[[Old], Fact]) -> Callable[[Old], Fact]:
        _upcasters[old.event_type, old.version] = function
        return function

    return register


def newest(fact: Fact) -> Fact:
    """The fact in the highest version that upcasters lead to; the same object when there is none for it.

    Raises TypeError for an upcaster that leads anywhere but to its type's next version.
    """
    if not _upcasters:
        return fact
    while (raise_one := _upcasters.get((fact.event_type, fact.version))) is not None:
        raised = raise_one(fact)
        if (raised.event_type, raised.version) != (fact.event_type, fact.version + 1):
            raise TypeError(f"the upcaster of {fact.event_type} version {fact.version} must lead to the next version")
        fact = raised
    return fact


def has_upcaster(old: type[Fact]) -> bool:
    """Whether this version of a type can be raised to the next."""
    return (old.event_type, old.version) in _upcasters
