"""Signing in with an API key, for browsers: a cookie that no script can read and no other site can use."""

from fastapi import Request, Response

from api.api_keys import ApiKeys
from api.current_request import current_request_id
from api.middleware.access import COOKIE, Caller, identify
from api.openapi.document import body, json_body, problems
from api.request_body import Limits, read_body
from api.routes.router import Router
from api.schemas.requests import SignIn
from api.schemas.responses import SessionOut

MAX_SIGN_IN = 1024  # bytes; anybody may send it

router = Router(prefix="/v1", tags=["session"])


@router.get("/session")
async def get_session(request: Request) -> SessionOut:
    """Return whether this service requires API keys, and the name and scope of the caller's key."""
    return _out(request.app.state.keys, request.state.caller)


@router.post(
    "/session",
    responses=problems(401, 403, 413, 415, 422, 503),
    openapi_extra=body(json_body(SignIn, {"key": "lk_..."})),
)
async def sign_in(request: Request, response: Response) -> SessionOut:
    """Keep an API key in a cookie until the browser closes. Revoking the key ends the session."""
    async with read_body(request, Limits(0, uploads=0, json_bytes=MAX_SIGN_IN)) as given:
        secret = given.parse(SignIn).key.get_secret_value()
    keys = request.app.state.keys
    caller = identify(keys, request.state.caller.address, secret)
    if caller.auth_error:
        raise caller.auth_error
    request.state.caller = caller  # the audit log names this caller
    if caller.key:
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, secret, httponly=True, samesite="strict", secure=secure)
    return _out(keys, caller)


@router.delete("/session", status_code=204, responses=problems(403))
async def sign_out(response: Response) -> None:
    """Delete the cookie."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def _out(keys: ApiKeys, caller: Caller) -> SessionOut:
    key = caller.key
    return SessionOut(
        request_id=current_request_id(),
        key_needed=keys.needed_by(caller.address),
        key=key.name if key else None,
        scope=key.scope if key else None,
    )
