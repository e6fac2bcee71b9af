"""Log-in of browsers: to the OpenID provider and back, log-out.

Not part of the API that programs use, and so not of its description.
"""

import hmac
import logging
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import JSONResponse, RedirectResponse

from agentic_gateway.auth.logins import COOKIE, Logins
from agentic_gateway.auth.oidc.flow import FLOW_SECONDS, Flow, build_authorization_url, read_flow, read_return_path
from agentic_gateway.auth.oidc.provider import NotLoggedIn
from agentic_gateway.auth.sealing import make_secret
from agentic_gateway.context import Context, WithContext
from agentic_gateway.problems import Refused, answer_problem
from agentic_gateway.web.origins import require_own_page

# One for each log-in that is on, so that two tabs do not disturb each other.
FLOW_COOKIE: Final = "__Host-agentic-flow-"
_NAME_CHARACTERS: Final = 12

log = logging.getLogger(__name__)
router = APIRouter(prefix="/auth", include_in_schema=False)


@router.get("/ways")
async def show_ways(context: WithContext) -> Response:
    """Say what the sign-in page can offer: whether this gateway logs people in, and whether a proxy may name them."""
    callers = context.callers
    return JSONResponse({"login": callers.logins is not None, "proxy": callers.proxy is not None})


@router.get("/login")
async def begin_login(
    request: Request, context: WithContext, return_path: Annotated[str, Query(alias="return", max_length=2048)] = "/"
) -> Response:
    """Send the browser to the provider; ``return`` is the path on this gateway that it comes back to."""
    logins = _find_logins(request, context)
    client = logins.provider.client
    metadata = await logins.provider.fetch_metadata()
    secret = make_secret()
    flow = read_flow(secret)
    assert flow is not None  # noqa: S101  (it was made a line above)
    url = build_authorization_url(
        metadata.authorization_endpoint,
        flow,
        client_id=client.client_id,
        redirect_uri=client.redirect_uri,
        scopes=client.scopes,
        is_consent_asked="offline_access" in client.scopes.split(),
    )
    response = RedirectResponse(url, 303)
    value = f"{secret}.{read_return_path(return_path).encode().hex()}"
    _set_cookie(response, _name_cookie(flow.state), value, FLOW_SECONDS)
    return response


@router.get("/callback")
async def end_login(
    request: Request,
    context: WithContext,
    state: Annotated[str, Query(max_length=128)] = "",
    code: Annotated[str, Query(max_length=4096)] = "",
    iss: Annotated[str | None, Query(max_length=2048)] = None,
    error: Annotated[str, Query(max_length=256)] = "",
) -> Response:
    """Take what the provider sends with the browser, log the person in, and lead back to where they were."""
    logins = _find_logins(request, context)
    name = _name_cookie(state)
    try:
        flow, path = _read_flow_cookie(request.cookies.get(name, ""), state)
        cookie = await _log_in(logins, context, flow, code=code, iss=iss, error=error)
    except Refused as refused:
        response = answer_problem(refused, request.scope["path"])
    else:
        if (old := request.cookies.get(COOKIE)) is not None:
            await logins.forget(old)
        response = RedirectResponse(path, 303)
        _set_cookie(response, COOKIE, cookie, int(logins.seconds))
    # It serves once, whatever came of it.
    _set_cookie(response, name, "", 0)
    return response


async def _log_in(logins: Logins, context: Context, flow: Flow, *, code: str, iss: str | None, error: str) -> str:
    """Return the cookie of a log-in; raises ``Refused`` if there is none."""
    provider = logins.provider
    metadata = await provider.fetch_metadata()
    # RFC 9207: another provider's answer, brought here by whoever mixes them up.
    if iss is None and metadata.names_issuer:
        raise Refused("bad-request", "the answer does not name its issuer")
    if iss is not None and iss != provider.client.issuer:
        raise Refused("bad-request", "the answer is of another issuer")
    if error:
        shown = error if error.replace("_", "").isalnum() and error.isascii() else "an error"
        raise Refused("forbidden", f"the provider did not log you in: {shown}")
    if not code:
        raise Refused("bad-request", "the answer brings no code")
    try:
        tokens = await provider.redeem(code, flow.verifier, flow.nonce)
    except NotLoggedIn as refused:
        log.info("a log-in failed: %s", refused)
        raise Refused("not-authenticated", "the log-in failed: begin again at /auth/login") from None
    try:
        caller = await context.callers.identities.identify(tokens.id_token)
    except Refused as refused:
        if refused.status != 401:
            raise
        raise Refused(
            "forbidden", "the cluster does not take this provider's tokens: its API server has to trust the same issuer"
        ) from None
    return await logins.begin(caller.name, tokens)


@router.post("/logout")
async def log_out(request: Request, context: WithContext) -> Response:
    """End the browser's log-in; ``endSession`` is where to end that at the provider, too."""
    logins = _find_logins(request, context)
    require_own_page("POST", request.headers, context.callers.origins)
    if (cookie := request.cookies.get(COOKIE)) is not None:
        await logins.end(cookie)
    metadata = await logins.provider.fetch_metadata()
    # No id_token_hint: a token has no place in an address.
    query = {
        "client_id": logins.provider.client.client_id,
        "post_logout_redirect_uri": f"{context.callers.origins.own}/",
    }
    url = f"{metadata.end_session_endpoint}?{urlencode(query)}" if metadata.end_session_endpoint else None
    response = JSONResponse({"endSession": url})
    _set_cookie(response, COOKIE, "", 0)
    return response


def _find_logins(request: Request, context: Context) -> Logins:
    """Return what logs people in; raises ``Refused`` if that is off, or asked for too often from one address."""
    if context.callers.logins is None:
        raise Refused("not-found", "this gateway logs nobody in: OIDC_ISSUER is not set; send a token of the cluster")
    context.callers.rates.take(f"address {request.client.host if request.client else ''}")
    return context.callers.logins


def _read_flow_cookie(value: str, state: str) -> tuple[Flow, str]:
    """Return the log-in that this browser began with that state, and where it leads back to.

    Raises ``Refused`` if it began none, or another one.
    """
    secret, _, path = value.partition(".")
    flow = read_flow(secret)
    if flow is None or not hmac.compare_digest(flow.state.encode(), state.encode()):
        raise Refused("bad-request", "this browser did not begin this log-in, or too long ago: begin at /auth/login")
    try:
        return flow, read_return_path(bytes.fromhex(path).decode())
    except ValueError:
        return flow, "/"


def _name_cookie(state: str) -> str:
    """Return the name of the cookie of one log-in; what is no state of ours gives one that no browser has."""
    part = "".join(each for each in state[:_NAME_CHARACTERS] if each.isascii() and (each.isalnum() or each in "-_"))
    return FLOW_COOKIE + part


def _set_cookie(response: Response, name: str, value: str, seconds: int) -> None:
    # Lax: the provider's page leads back here, and that request has to bring the cookie.
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="lax")
