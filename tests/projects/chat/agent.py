from gate import wait_here
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolCall


class Scripted(GenericFakeChatModel):
    """Calls the tool once, then answers, by what the conversation holds and nothing else."""

    # Nor does it say a call of a tool in parts.
    disable_streaming: bool = True

    def bind_tools(self, tools, **kwargs):
        return self

    def _generate(self, messages, *args, **kwargs):
        from langchain_core.outputs import ChatGeneration, ChatResult

        said = messages[-1]
        if said.type == "tool":
            answer = AIMessage(f"it said {said.content}")
        else:
            answer = AIMessage("", tool_calls=[ToolCall(name="look_up", args={"word": "x"}, id="1")])
        return ChatResult(generations=[ChatGeneration(message=answer)])


def look_up(word: str) -> str:
    """Look a word up."""
    wait_here()
    return f"found {word}"


graph = create_agent(Scripted(messages=iter(())), tools=[look_up])
