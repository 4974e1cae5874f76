"""What the documentation of presence on tickets shows."""

from opora_intake.api.examples import Json, page

_LENA: Json = {
    "actor": "agent:lena",
    "doing": "editing",
    "since": "2026-03-02T08:51:10Z",
    "until": "2026-03-02T08:51:52Z",
}
PRESENT = page(_LENA)
ANNA_TOO: Json = page(
    _LENA,
    {"actor": "agent:anna", "doing": "viewing", "since": "2026-03-02T08:51:30Z", "until": "2026-03-02T08:52:00Z"},
)
DOINGS: Json = {"The ticket is open before me": {"doing": "viewing"}, "I write an answer": {"doing": "editing"}}
