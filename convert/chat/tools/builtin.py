"""A clock and a calculator."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from datetime import datetime

_LONGEST = 200
_MOST_BITS = 4096
_TWO: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def clock() -> str:
    """Tells the local date and time, with the offset from UTC."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def calculator(expression: str) -> int | float:
    """Calculates an arithmetic expression.

    Args:
        expression: numbers, + - * / // % ** and parentheses, for example (47 + 38) * 2
    """
    if len(expression) > _LONGEST:
        raise ValueError(f"an expression has at most {_LONGEST} characters")
    try:
        tree = ast.parse(expression.strip(), mode="eval")  # parses and runs nothing
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError("this is no arithmetic expression") from None
    return _value(tree.body)


def _value(node: ast.expr) -> int | float:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return _small(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left), _value(right))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _TWO:
            return _small(_TWO[type(op)](_value(left), _value(right)))
    raise ValueError("only numbers, + - * / // % ** and parentheses are known")


def _power(base: float, exponent: float) -> int | float:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > _MOST_BITS:
        raise ValueError("the result is too large")
    result = base**exponent
    if isinstance(result, complex):
        raise ValueError("the result is not a real number")
    return _small(result)


def _small(value: float) -> int | float:
    if isinstance(value, int):
        if value.bit_length() > _MOST_BITS:
            raise ValueError("the result is too large")
    elif not math.isfinite(value):
        raise ValueError("the result is too large")
    return value
