"""What comes of a run: the reference of a large result, or the error."""

from typing import Annotated

from pydantic import Field

from agentic_core.times import Time
from agentic_core.wire import MAX_GENERATION, ApiModel, LongText, ShortText


class ResultRef(ApiModel):
    """Where a result is that is too large for the status."""

    size: Annotated[int, Field(ge=0, le=MAX_GENERATION, description="Bytes of the JSON text.")]
    sha256: Annotated[str, Field(max_length=64, description="Digest of the JSON text, in hexadecimal.")]
    url: Annotated[str, Field(max_length=2048, description="Where it is kept.")]
    download_url: Annotated[
        str | None,
        Field(max_length=4096, description="A link to it that was asked for: whoever has it reads the result."),
    ] = None
    download_expires_at: Annotated[Time | None, Field(description="Until when the link is good.")] = None


class RunError(ApiModel):
    """Why a session or a turn failed."""

    type: Annotated[ShortText, Field(description="The exception's type, or the reason.")]
    message: Annotated[LongText, Field(description="What went wrong.")] = ""
    node: Annotated[ShortText | None, Field(description="The node that raised.")] = None
    retriable: Annotated[bool | None, Field(description="Whether another attempt could succeed.")] = None
