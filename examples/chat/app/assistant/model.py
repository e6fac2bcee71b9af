"""Chooses the model: an endpoint with OpenAI's chat-completions protocol that a Secret names, else the scripted one."""

import os

from langchain_core.language_models import BaseChatModel

from assistant.scripted import ScriptedModel


def make_model() -> BaseChatModel:
    """Return the model of this image's environment; raise RuntimeError where its client library is not installed.

    The library is imported only where it is needed: it takes longer to load than all the rest of this example.
    """
    base_url, key = os.environ.get("OPENAI_BASE_URL"), os.environ.get("OPENAI_API_KEY")
    if not (base_url or key):
        return ScriptedModel()
    try:
        from langchain_openai import ChatOpenAI
    except ImportError as error:
        raise RuntimeError("OPENAI_BASE_URL or OPENAI_API_KEY is set: install langchain-openai in the image") from error
    return ChatOpenAI(
        model=os.environ.get("MODEL") or "gpt-4o-mini",
        base_url=base_url or None,
        # Endpoints of one's own often take none, and the client refuses to start without.
        api_key=key or "none",
        temperature=0,
        timeout=60,
        max_retries=3,
    )
