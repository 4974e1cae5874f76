"""Forms of web pages."""

from urllib.parse import parse_qsl

from starlette.requests import Request

from opora_chassis.http.errors import BadRequest

_MOST_FIELDS = 100


async def form_fields(request: Request) -> dict[str, str]:
    """The fields of an urlencoded form; the last of a repeated name counts. Raises BadRequest for anything else."""
    try:
        text = (await request.body()).decode("utf-8")
        return dict(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=_MOST_FIELDS))
    except ValueError as error:
        raise BadRequest(f"The body is not a web form: {error}.") from error
