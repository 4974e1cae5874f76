"""What each process tells of itself: every replica behind a name is asked."""

import asyncio
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit

import httpx

from opora_cli.doctor.diagnosis import STATUS, Diagnosis
from opora_cli.metrics import FUSE, read_metrics

_ASK_SECONDS = 5.0


async def examine_process(service: str, name: str, url: str, log_command: str) -> list[Diagnosis]:
    """How each process that answers under this name is. A name that stands for nobody is a finding."""
    try:
        replicas = await addresses_of(url)
    except OSError as error:
        return [Diagnosis(f"{name}: health", "not there", f"no process has this name: {error}", STATUS)]
    found = await asyncio.gather(
        *(
            _examine(service, name if len(replicas) == 1 else f"{name} at {address}", url, address, log_command)
            for address in replicas
        )
    )
    return [diagnosis for diagnoses in found for diagnosis in diagnoses]


async def addresses_of(url: str) -> Sequence[str]:
    """Every address that the url's host stands for: several replicas of a container share a name. Raises OSError."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
    return sorted({str(address[0]) for *_, address in found})


async def _examine(service: str, label: str, url: str, address: str, log_command: str) -> list[Diagnosis]:
    parts = urlsplit(url)
    host = f"[{address}]" if ":" in address else address
    place = urlunsplit(parts._replace(netloc=f"{host}:{parts.port or 80}"))
    try:
        async with httpx.AsyncClient(timeout=_ASK_SECONDS, trust_env=False, headers={"Host": parts.netloc}) as client:
            ready = await client.get(f"{place}/health/ready")
            metrics = read_metrics((await client.get(f"{place}/metrics")).text, (FUSE,))
        checks = ready.json().get("checks", [])
    except (httpx.HTTPError, ValueError) as error:
        return [Diagnosis(f"{label}: health", "no answer", f"it does not answer: {type(error).__name__}", log_command)]
    blown = sorted(labels["topic"] for labels, value in metrics[FUSE] if value)
    found = [
        Diagnosis(
            f"{label}: fuse of {topic}",
            "blown",
            "too many events failed in a row, so consumption stands still: mend or roll back what was deployed last;"
            " it goes on by itself when an event succeeds",
            f"opora dead-letters list --service {service}",
        )
        for topic in blown
    ]
    failed = [f"{check['name']}: {check['detail']}" for check in checks if not check["ok"]]
    if ready.is_success:
        return [*found, Diagnosis(f"{label}: health", "ready")]
    return [*found, Diagnosis(f"{label}: health", "not ready", "; ".join(failed) or "it is not ready", log_command)]
