"""What the agent can do by itself: arithmetic and dates, the two things that models get wrong."""

import ast
import operator
from collections.abc import Callable
from datetime import date

from langchain_core.tools import tool

MAX_EXPONENT = 1000

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


@tool
def calculate(expression: str) -> str:
    """Work out an arithmetic expression of numbers, + - * / // % ** and parentheses."""
    try:
        return str(_evaluate(ast.parse(expression[:200], mode="eval").body))
    except (SyntaxError, ValueError, ArithmeticError, RecursionError) as error:
        return f"error: {error}"


@tool
def days_between(start: str, end: str) -> str:
    """Count the days from one date to another, both as YYYY-MM-DD."""
    try:
        return str((date.fromisoformat(end) - date.fromisoformat(start)).days)
    except ValueError as error:
        return f"error: {error}"


def _evaluate(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _BINARY:
            first, second = _evaluate(left), _evaluate(right)
            if isinstance(sign, ast.Pow) and max(abs(first), abs(second)) > MAX_EXPONENT:
                raise ValueError("that power is too large")
            return _BINARY[type(sign)](first, second)
        case _:
            raise ValueError("only numbers, + - * / // % ** and parentheses")
