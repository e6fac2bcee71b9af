"""Which other sites' pages may read what the gateway answers: those that the settings name, with tokens alone."""

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from agentic_gateway.web.origins import Origins


def allow_origins(app: FastAPI, origins: Origins) -> None:
    """Answer pages of the named origins; without any, browsers keep every answer from other sites' pages.

    Cookies are never taken along: such a page brings a bearer token of its own.
    """
    if not origins.named:
        return
    app.add_middleware(
        CORSMiddleware,
        allow_origins=sorted(origins.named),
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "If-Match",
            "If-None-Match",
            "Idempotency-Key",
            "Last-Event-ID",
        ],
        expose_headers=["ETag", "Location", "Retry-After", "Content-Range"],
        allow_credentials=False,
        max_age=600,
    )
