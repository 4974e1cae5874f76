"""Who may call, and what they may do."""

from datetime import timedelta
from typing import Any

import pytest

from opora_chassis.http import create_key, list_keys, revoke_key
from opora_chassis.http.keys import KeyRing, token_hash
from opora_chassis.testing import wait_until


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer nonsense", "Basic abc", "Bearer opk_" + "a" * 43])
async def test_a_missing_malformed_or_unknown_key_is_refused(notes: Any, value: str) -> None:
    """401 with a challenge, and nothing about why it could have worked."""
    response = await notes.client.get("/v1/notes", headers={"Authorization": value})
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.json()["type"] == "urn:opora:problem:unauthorized"


async def test_a_request_without_the_header_is_refused(notes: Any, anonymous: Any) -> None:
    """401 too when nothing is sent; plain routes are guarded alike."""
    assert (await notes.client.get("/v1/notes")).status_code == 401
    assert (await notes.client.post("/v1/hot")).status_code == 401


async def test_an_expired_key_is_refused(notes: Any) -> None:
    """401 from the instant at which the key expires."""
    expired = await create_key(
        notes.database, "old", ["notes:read"], expires_at=await notes.database.now() - timedelta(seconds=1)
    )
    assert (await notes.client.get("/v1/notes", headers=bearer(expired))).status_code == 401


async def test_a_revoked_key_is_refused(notes: Any) -> None:
    """A revoked key finds no caller; revoking twice or an unknown id says so."""
    token = await create_key(notes.database, "leaked", ["notes:read"])
    (key,) = [key for key in await list_keys(notes.database) if key.name == "leaked"]
    assert await revoke_key(notes.database, key.id)
    assert not await revoke_key(notes.database, key.id)
    assert (await notes.client.get("/v1/notes", headers=bearer(token))).status_code == 401


async def test_a_revoked_key_stops_working_although_it_was_seen(notes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache forgets a caller in time."""
    monkeypatch.setattr("opora_chassis.http.keys._CACHE_SECONDS", 0.05)
    ring = KeyRing(notes.database)
    token = await create_key(notes.database, "seen", ["notes:read"])
    assert await ring.find_caller(token_hash(token)) is not None
    (key,) = [key for key in await list_keys(notes.database) if key.name == "seen"]
    await revoke_key(notes.database, key.id)

    async def forgotten() -> bool:
        return await ring.find_caller(token_hash(token)) is None

    await wait_until(forgotten)


async def test_a_key_without_the_scope_is_refused(notes: Any) -> None:
    """403 names the scope that is lacking; the scopes given work."""
    token = await create_key(notes.database, "reader", ["notes:read"])
    assert (await notes.client.get("/v1/notes", headers=bearer(token))).status_code == 200
    response = await notes.client.post("/v1/notes", json={"text": "hi"}, headers=bearer(token))
    assert response.status_code == 403
    assert response.json()["scope"] == "notes:write"


async def test_the_token_is_stored_nowhere(notes: Any) -> None:
    """Only its hash is; the same token given again makes no second key."""
    token = await create_key(notes.database, "given", ["notes:read"], "opk_" + "Z" * 43)
    await create_key(notes.database, "given", ["notes:read"], token)
    rows = await notes.database.fetch("select * from api_keys where name = 'given'")
    assert [row["hash"] for row in rows] == [token_hash(token)]
    assert token not in str(rows)


async def test_a_guessable_token_is_not_taken(notes: Any) -> None:
    """A token that is not 256 bits long would make the plain hash unsafe."""
    with pytest.raises(ValueError, match="43 letters or digits"):
        await create_key(notes.database, "weak", ["notes:read"], "opk_secret")


async def test_the_key_acts_for_the_person_it_names(notes: Any) -> None:
    """With `actor:assume` the header decides who did it; without the header it is the key."""
    named = await notes.client.post("/v1/notes", json={"text": "a"}, headers={"X-Opora-Actor": "agent:anna"})
    plain = await notes.client.post("/v1/notes", json={"text": "b"})
    assert named.json()["actor"] == "agent:anna"
    assert plain.json()["actor"] == "key:office"


async def test_acting_for_others_needs_its_scope(notes: Any) -> None:
    """403 without the scope, 400 for a name that is no person."""
    token = await create_key(notes.database, "writer", ["notes:write"])
    headers = bearer(token) | {"X-Opora-Actor": "agent:anna"}
    response = await notes.client.post("/v1/notes", json={"text": "a"}, headers=headers)
    assert response.json()["scope"] == "actor:assume"
    wrong = await notes.client.post("/v1/notes", json={"text": "a"}, headers={"X-Opora-Actor": "system:intake"})
    assert wrong.status_code == 400
