"""A chat model that needs no key and no network: it understands a few phrases, calls tools and streams word by word.

What it says depends on the messages alone, so that a test, a demo and a repeated super-step get the same answer.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolCall, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from typing_extensions import override

HELP = (
    'I am a scripted model. Try "remember that I like tea", "what do you know about me?", '
    '"how much is a lamp?", "order 2 lamps" or "what did I say before?".'
)


class ScriptedModel(BaseChatModel):
    """Answers by rules; tools that are bound to it are called by name."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @override
    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model itself: its rules name the tools."""
        return self

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=reply(messages))])

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for piece in split(reply(messages)):
            chunk = ChatGenerationChunk(message=piece)
            if run_manager:
                run_manager.on_llm_new_token(piece.text, chunk=chunk)
            yield chunk


def split(message: AIMessage) -> Iterator[AIMessageChunk]:
    """Yield a message as a stream brings it: each word by itself, calls of tools in one piece, then the end."""
    for word in re.findall(r"\S+\s*", message.text):
        yield AIMessageChunk(word)
    calls = [
        {"name": call["name"], "args": json.dumps(call["args"], ensure_ascii=False), "id": call["id"], "index": index}
        for index, call in enumerate(message.tool_calls)
    ]
    yield AIMessageChunk("", tool_call_chunks=calls, chunk_position="last")


def reply(messages: Sequence[BaseMessage]) -> AIMessage:
    """Return what the model says next: calls of tools, or an answer made of their results."""
    place = max((index for index, each in enumerate(messages) if isinstance(each, HumanMessage)), default=None)
    if place is None:
        return AIMessage(HELP)
    if results := [each.text for each in messages[place:] if isinstance(each, ToolMessage)]:
        return AIMessage(" ".join(results))
    asked = messages[place]
    if calls := choose_calls(asked.text):
        # The id is the call's own for ever: orders are kept under it.
        stem = hashlib.sha256(f"{asked.id}\0{asked.text}".encode()).hexdigest()[:12]
        return AIMessage(
            "",
            tool_calls=[
                ToolCall(name=name, args=arguments, id=f"call-{stem}-{number}")
                for number, (name, arguments) in enumerate(calls)
            ],
        )
    return AIMessage(chat(asked.text, [each.text for each in messages[:place] if isinstance(each, HumanMessage)]))


def choose_calls(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the tools that a phrase asks for, with their arguments."""
    if found := re.search(r"\bremember(?: that)?:? (.+?)[.!]?\s*$", text, re.IGNORECASE | re.DOTALL):
        return [("remember", {"fact": found[1]})]
    if re.search(r"\bwhat do you (know|remember)\b", text, re.IGNORECASE):
        return [("recall", {})]
    if found := re.search(r"\border (.+)", text, re.IGNORECASE):
        wanted = re.findall(r"\b(\d{1,4}) ([a-z]+)", found[1].lower())
        return [("place_order", {"item": _singular(item), "count": int(count)}) for count, item in wanted]
    if found := re.search(r"\bhow much (?:is|are|does|do) (?:an? |the )?([a-z]+)", text.lower()):
        return [("look_up_price", {"item": _singular(found[1])})]
    return []


def chat(text: str, before: Sequence[str]) -> str:
    """Answer what needs no tool; ``before`` is what was said in earlier turns."""
    if re.search(r"\bwhat did i say\b", text, re.IGNORECASE):
        return f'You said: "{before[-1]}"' if before else "This is the first thing that you say to me."
    if re.match(r"\s*(hello|hi|good (morning|day|evening))\b", text, re.IGNORECASE):
        return f"Hello! {HELP}"
    return HELP


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word
