"""HTTP as every service speaks it: API keys, idempotent writes, problem details, keyset pages, health."""

from opora_chassis.http.application import PlatformDependency, build_app, platform_of, service_document
from opora_chassis.http.documentation import shown
from opora_chassis.http.errors import BadRequest, Conflict, Forbidden, NotFound, Problem, Unprocessable
from opora_chassis.http.forms import form_fields
from opora_chassis.http.group_commit import GroupCommit
from opora_chassis.http.health import Check, CheckSource
from opora_chassis.http.hot import HotWrite
from opora_chassis.http.idempotency import WriteCall, write_call, writes
from opora_chassis.http.keys import Caller, create_key, list_keys, requires, revoke_key
from opora_chassis.http.model import Input
from opora_chassis.http.pages import Limit, Page, decode_cursor, encode_cursor, page_of

__all__ = [
    "BadRequest",
    "Caller",
    "Check",
    "CheckSource",
    "Conflict",
    "Forbidden",
    "GroupCommit",
    "HotWrite",
    "Input",
    "Limit",
    "NotFound",
    "Page",
    "PlatformDependency",
    "Problem",
    "Unprocessable",
    "WriteCall",
    "build_app",
    "create_key",
    "decode_cursor",
    "encode_cursor",
    "form_fields",
    "list_keys",
    "page_of",
    "platform_of",
    "requires",
    "revoke_key",
    "service_document",
    "shown",
    "write_call",
    "writes",
]
