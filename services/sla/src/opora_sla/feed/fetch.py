"""The bytes of a feed, from the internet and within limits."""

from __future__ import annotations

import asyncio
from urllib.parse import urljoin, urlsplit

import httpx

from opora_chassis.addresses import ForbiddenAddressError, check_url, resolve_public
from opora_sla.calendar.document import FEED_SCHEMES
from opora_sla.feed.errors import FeedError

MOST_BYTES = 1_000_000
FETCH_SECONDS = 10.0
MOST_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK = 200
_DEFAULT_PORTS = {"https": 443, "http": 80}
_HEADERS = {"accept": "text/calendar", "accept-encoding": "identity", "user-agent": "opora-sla"}


async def fetch(
    client: httpx.AsyncClient, url: str, *, allow_private: bool, within_seconds: float = FETCH_SECONDS
) -> bytes:
    """The feed, at most a megabyte of it, after at most three redirects, all of it within ten seconds.

    Each address on the way is checked, and the very address that was checked is called: never one inside, unless
    `allow_private`. The client must not follow redirects itself. Raises FeedError.
    """
    try:
        async with asyncio.timeout(within_seconds):
            for _ in range(MOST_REDIRECTS + 1):
                request = await _request(client, url, allow_private=allow_private)
                answer = await client.send(request, stream=True)
                try:
                    if answer.status_code not in _REDIRECTS:
                        return await _content(answer)
                    url = _next(url, answer.headers.get("location"))
                finally:
                    await answer.aclose()
    except TimeoutError:
        raise FeedError(f"does not end within {within_seconds:g} s") from None
    except ForbiddenAddressError as error:
        raise FeedError(f"leads where no feed is read: {error}") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        raise FeedError(f"cannot be reached: {type(error).__name__}") from error
    raise FeedError(f"leads on more than {MOST_REDIRECTS} times; write the address where it ends")


async def _request(client: httpx.AsyncClient, url: str, *, allow_private: bool) -> httpx.Request:
    check_url(url, allow_private=allow_private, public_schemes=FEED_SCHEMES)
    if allow_private:
        return client.build_request("GET", url, headers=_HEADERS)
    parts = urlsplit(url)
    host = parts.hostname or ""
    address = await resolve_public(host, parts.port or _DEFAULT_PORTS[parts.scheme])
    named = httpx.URL(url)
    return client.build_request(
        "GET",
        named.copy_with(host=address),
        headers={**_HEADERS, "host": named.netloc.decode("ascii")},
        extensions={"sni_hostname": host},
    )


async def _content(answer: httpx.Response) -> bytes:
    if answer.status_code != _OK:
        raise FeedError(f"is not there: its address answered {answer.status_code}")
    if answer.headers.get("content-encoding", "identity") != "identity":
        # A few compressed bytes can become any number.
        raise FeedError("is compressed, which was not asked for")
    content = bytearray()
    async for piece in answer.aiter_bytes():
        content += piece
        if len(content) > MOST_BYTES:
            raise FeedError(f"is longer than {MOST_BYTES:,} bytes; give one that has the coming two years only")
    return bytes(content)


def _next(url: str, location: str | None) -> str:
    if not location:
        raise FeedError("leads on to no address")
    following = urljoin(url, location)
    if url.startswith("https://") and not following.startswith("https://"):
        raise FeedError("leads from https on to an address without it")
    return following
