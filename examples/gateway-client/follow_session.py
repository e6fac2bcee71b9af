"""Starts a session through the gateway, prints its messages as they come, answers its questions, prints its result.

    python follow_session.py https://gateway.example.org outliers --namespace team --inputs '{"ask": true}'

The token is read from the variable AGENTIC_TOKEN, as `kubectl create token NAME` makes one.
"""

import argparse
import asyncio
import json
import os
import sys
from typing import Any

from agentic_client import AsyncClient, GatewayError, Message, Question


async def follow(client: AsyncClient, workflow: str, inputs: Any, answer: Any) -> Any:
    """Run one session to its end and return its result."""
    session = await client.start(workflow, inputs)
    async with client.stream(session.name, on_state=lambda state: print(f"[{state}]", file=sys.stderr)) as stream:
        async for message in stream:
            show(message)
            if message.type == "workflow_waiting_for_input":
                session = await client.wait(session.name, until=lambda found: found.is_waiting)
                for question in session.questions:
                    value = answer if answer is not None else ask(question)
                    await client.answer(session.name, question.id, value, digest=question.digest or None)
    return await client.result(session.name)


def show(message: Message) -> None:
    """Print one message."""
    if message.gap is not None:
        print(f"messages {message.gap.first} to {message.gap.last} are no longer kept", file=sys.stderr)
    else:
        print(f"{message.seq:>5} {message.type}: {message.text}", file=sys.stderr)


def ask(question: Question) -> Any:
    """Return what somebody types."""
    return json.loads(input(f"{question.prompt} (JSON): "))


async def main() -> int:
    """Read the command line; print the result as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("gateway")
    parser.add_argument("workflow")
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--inputs", type=json.loads, default={}, help="the inputs, as JSON")
    parser.add_argument("--answer", type=json.loads, default=None, help="the answer to every question, as JSON")
    parser.add_argument("--ca-file", default=None, help="certificates (PEM) that vouch for the gateway")
    options = parser.parse_args()
    token = os.environ.get("AGENTIC_TOKEN", "")
    try:
        async with AsyncClient(
            options.gateway, token=token, namespace=options.namespace, ca_file=options.ca_file
        ) as client:
            result = await follow(client, options.workflow, options.inputs, options.answer)
    except GatewayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
