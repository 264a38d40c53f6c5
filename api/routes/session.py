"""Signing in with a key, for browsers: a cookie that no script can read and no other site can use."""

from fastapi import APIRouter, Request, Response

from api.middleware.access import COOKIE, Caller, identify
from api.openapi.document import body, json_body, problems
from api.request_body import Limits, read_body
from api.request_id import current_request_id
from api.schemas.requests import SignIn
from api.schemas.responses import SessionOut

router = APIRouter(prefix="/v1", tags=["session"])


@router.get("/session")
async def session(request: Request) -> SessionOut:
    """Tell whether this service wants keys, and what the caller's allows."""
    return _out(request.app.state.ring.needed, request.state.caller)


@router.post(
    "/session",
    responses=problems(401, 403, 413, 415, 422, 503),
    openapi_extra=body(json_body(SignIn, {"key": "lk_..."})),
)
async def sign_in(request: Request, response: Response) -> SessionOut:
    """Take a key and keep it in a cookie until the browser closes; revoking the key ends the session."""
    async with read_body(request, Limits(0, pictures=0)) as given:
        secret = given.parse(SignIn).key.get_secret_value()
    ring = request.app.state.ring
    caller = identify(ring, request.state.caller.address, secret)
    if caller.auth_error:
        raise caller.auth_error
    request.state.caller = caller  # whom the audit log names
    if caller.key:
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, secret, httponly=True, samesite="strict", secure=secure)
    return _out(ring.needed, caller)


@router.delete("/session", status_code=204, responses=problems(403))
async def sign_out(response: Response) -> None:
    """Forget the cookie."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def _out(needed: bool, caller: Caller) -> SessionOut:
    key = caller.key
    return SessionOut(
        request_id=current_request_id(),
        key_needed=needed,
        key=key.name if key else None,
        scope=key.scope if key else None,
    )
