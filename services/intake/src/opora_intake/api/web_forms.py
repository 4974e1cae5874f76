"""Web forms over HTTP, for those who settle them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import Field, TypeAdapter, ValidationError
from starlette.responses import Response

from opora_chassis.database import Transaction
from opora_chassis.http import Caller, Input, NotFound, PlatformDependency, WriteCall, requires, shown, writes
from opora_intake.api import web_form_examples as examples
from opora_intake.api.dependencies import Rules, broken_rules_as_problems
from opora_intake.api.views import View
from opora_intake.domain.web_forms import FormName, WebForm, WebFormRules
from opora_intake.handlers import web_forms as handlers
from opora_intake.store import web_forms as store

router = APIRouter(prefix="/v1", tags=["web forms"])

ReadForms = Annotated[Caller, Depends(requires("settings:read"))]
FormWrite = Annotated[WriteCall, Depends(writes("settings:write"))]
_NAME = TypeAdapter(FormName)


def _named(name: Annotated[str, Path(description="The form's name.")]) -> str:
    try:
        return _NAME.validate_python(name)
    except ValidationError:
        raise NotFound("web form", name) from None


Name = Annotated[str, Depends(_named)]


class NewWebForm(WebFormRules, Input):
    """A form to keep."""

    name: FormName
    """Its page is `/forms/{name}`."""


class WebFormReplacement(WebFormRules, Input):
    """What the form is from now on: the whole of it."""

    expected_version: Annotated[int | None, Field(ge=1)] = None
    """Refuse unless the form still is at this version."""


class WebFormView(WebFormRules, View):
    """A form as it stands."""

    name: str
    version: int
    changed_at: datetime
    changed_by: str


class WebFormList(View):
    """Every form, by name."""

    items: list[WebFormView]


@router.get("/web-forms", summary="List web forms")
@shown({"items": [examples.WEB_FORM]})
async def list_web_forms(platform: PlatformDependency, _caller: ReadForms) -> WebFormList:
    """Every form, by name."""
    return WebFormList(items=[_view(form) for form in await store.list_forms(platform.database)])


@router.get("/web-forms/{name}", summary="Read a web form")
@shown(examples.WEB_FORM)
async def get_web_form(name: Name, platform: PlatformDependency, _caller: ReadForms) -> WebFormView:
    """One form."""
    form = await store.find_form(platform.database, name)
    if form is None:
        raise NotFound("web form", name)
    return _view(form)


@router.post("/web-forms", status_code=201, response_model=WebFormView, summary="Add a web form")
@shown(examples.WEB_FORM, examples.NEW_WEB_FORMS, conflict="There is a web form of this name.")
async def add_web_form(body: NewWebForm, call: FormWrite, rules: Rules) -> Response:
    """Let anybody open tickets by the page `/forms/{name}`, and by `/v1/forms/{name}` from the sites in `origins`."""

    async def work(tx: Transaction) -> WebFormView:
        return _view(await handlers.add_form(tx, body.name, _rules(body), call.caller.actor, rules))

    with broken_rules_as_problems():
        return await call.run(work, status=201)


@router.put("/web-forms/{name}", response_model=WebFormView, summary="Replace a web form")
@shown(examples.CHANGED, examples.CHANGES, conflict="`expected_version` is no longer the form's version.")
async def replace_web_form(name: Name, body: WebFormReplacement, call: FormWrite, rules: Rules) -> Response:
    """Let the form be another one from now on. Pages that visitors have open are taken as long as they fit."""

    async def work(tx: Transaction) -> WebFormView:
        replaced = await handlers.replace_form(
            tx, name, _rules(body), call.caller.actor, rules, expected_version=body.expected_version
        )
        return _view(replaced)

    with broken_rules_as_problems():
        return await call.run(work)


@router.delete("/web-forms/{name}", status_code=204, response_class=Response, summary="Remove a web form")
@shown()
async def remove_web_form(name: Name, call: FormWrite) -> Response:
    """Remove a form; its tickets stay."""
    with broken_rules_as_problems():
        return await call.run(lambda tx: handlers.remove_form(tx, name), status=204)


def _rules(body: WebFormRules) -> WebFormRules:
    return WebFormRules(**{name: getattr(body, name) for name in WebFormRules.model_fields})


def _view(form: WebForm) -> WebFormView:
    known = {name: getattr(form.rules, name) for name in WebFormRules.model_fields}
    return WebFormView(
        **known, name=form.name, version=form.version, changed_at=form.changed_at, changed_by=form.changed_by
    )
