"""The running services under requests that are generated from their own documents, right ones and wrong ones."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from opora_embedded.testing import KafkaServer
from tests.documents.test_openapi import PROCESSES, Operation, documents, operations, placed
from tests.e2e.stack import Databases, Stack, running_stack

EXAMPLES = 12
"""Requests for each operation and each of the two ways; the same ones each time."""

_SETTINGS = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
EVERY = [pytest.param(each, id=f"{each.service}-{each.name}") for each in operations()]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services(
    kafka: KafkaServer, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """The HTTP of all four services."""
    async with running_stack(tmp_path_factory.mktemp("generated"), kafka, databases, PROCESSES) as stack:
        yield stack


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("operation", EVERY)
async def test_every_answer_is_documented_and_none_is_a_failure(services: Stack, operation: Operation) -> None:
    """Whatever is asked, the status is one that the operation names, and below 500."""
    async with services.client(operation.service) as client:
        real = _parameters(operation.path.removeprefix("/v1"), await placed(client, operation))
        headers = {"Authorization": client.headers["Authorization"]}
    answered = await asyncio.to_thread(_ask, operation, services.urls[operation.service], headers, real)
    named = set(operation.told["responses"]) - {"default"}
    assert [each for each in answered if each[0] >= 500 or str(each[0]) not in named] == []
    assert len(answered) > EXAMPLES


def _ask(
    operation: Operation, base_url: str, headers: Mapping[str, str], real: Mapping[str, str]
) -> list[tuple[int, str]]:
    """The status of each answer, and what was asked and said. Every other request leads to something that exists."""
    answered: list[tuple[int, str]] = []
    described = schemathesis.openapi.from_dict(documents()[operation.service])[operation.path][operation.method]
    with requests.Session() as session:
        session.trust_env = False

        def ask(case: Any) -> None:
            if real and len(answered) % 2:
                case.path_parameters = {**(case.path_parameters or {}), **real}
            # A stream of events has no end: the beginning of an answer is enough.
            asked = case.as_transport_kwargs(base_url=base_url, headers=dict(headers))
            with session.request(**asked, timeout=60, stream=True) as answer:
                words = "" if answer.status_code < 400 else answer.text[:300]
                answered.append((answer.status_code, f"{case.as_curl_command()[:600]} -> {words}"))

        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _SETTINGS(given(case=described.as_strategy(generation_mode=mode))(ask))()
    return answered


def _parameters(template: str, path: str) -> dict[str, str]:
    """The values that stand in a path for the template's parameters."""
    pairs = zip(template.split("/"), str(path).split("/"), strict=True)
    return {name[1:-1]: value for name, value in pairs if name.startswith("{")}
