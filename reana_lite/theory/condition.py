"""Small expressions over the values of a theory: `m_lsp < m_gluino - 100`, `(m_gluino + m_lsp) / 2`.

Names, numbers, quoted texts, + - * /, comparisons (chained as in mathematics), and, or, not, parentheses, and the
functions abs, exp, log (natural), sqrt: read by the parser here and by nothing else, so that an expression from anywhere
can only compute. Used by scans and their templates.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reana_lite.errors import InvalidInput
from reana_lite.theory.parameters import Value
from reana_lite.theory.reading import shown

MAX_LENGTH = 500
MAX_DEPTH = 40

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_.]*)"
    r"|(?P<text>'[^']*'|\"[^\"]*\")|(?P<sign><=|>=|==|!=|<|>|\+|-|\*|/|\(|\)))"
)
_COMPARE: dict[str, Callable[[Value, Value], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_ORDER = {"<", "<=", ">", ">="}
_WORDS = {"and", "or", "not"}
_FUNCTIONS: dict[str, Callable[[float], float]] = {"abs": abs, "exp": math.exp, "log": math.log, "sqrt": math.sqrt}

_Compiled = Callable[[Mapping[str, Value]], Value]


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression; `names` are those that it needs values for."""

    text: str
    names: frozenset[str]
    _compiled: _Compiled = field(repr=False, compare=False)

    @classmethod
    def of(cls, text: str) -> Expression:
        """The expression that a text says; InvalidInput with the place where it stops making sense."""
        parser = _Parser(text)
        compiled = parser.whole()
        return cls(text, frozenset(parser.names), compiled)

    def value(self, values: Mapping[str, Value]) -> Value:
        """What it comes to; InvalidInput for a missing name, a division by zero, a text where a number is needed."""
        try:
            return self._compiled(values)
        except KeyError as error:
            known = ", ".join(sorted(values)) or "none"
            raise self._refuse(f"there is no {error.args[0]!r}; there are {known}") from error
        except ZeroDivisionError as error:
            raise self._refuse("division by zero") from error
        except OverflowError as error:
            raise self._refuse("a number becomes too large") from error

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether it is true; InvalidInput if it comes to something else than true or false."""
        value = self.value(values)
        if not isinstance(value, bool):
            raise self._refuse(f"it comes to {shown(repr(value))} and not to true or false; compare it with something")
        return value

    def number(self, values: Mapping[str, Value]) -> float | int:
        """The finite number it comes to; InvalidInput if it is none."""
        value = self.value(values)
        if isinstance(value, bool | str) or not math.isfinite(value):
            raise self._refuse(f"it comes to {shown(repr(value))}, which is not a number")
        return value

    def _refuse(self, reason: str) -> InvalidInput:
        return InvalidInput(f"{shown(self.text)!r}: {reason}", field="expression", value=shown(self.text))


class _Parser:
    """Recursive descent; every method gives a function of the values."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: set[str] = set()
        self.depth = 0
        self.at = 0
        if len(text) > MAX_LENGTH:
            raise self.refuse(f"longer than {MAX_LENGTH} characters")
        self.tokens: list[tuple[str, str, int]] = []
        place = 0
        while text[place:].strip():
            match = _TOKEN.match(text, place)
            if match is None or match.lastgroup is None:
                place += len(text[place:]) - len(text[place:].lstrip())
                raise self.refuse(f"{text[place]!r} means nothing here", place)
            self.tokens.append((match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            place = match.end()

    def refuse(self, reason: str, place: int | None = None) -> InvalidInput:
        where = "" if place is None else f" (character {place + 1})"
        text = f"{shown(self.text)!r}{where}: {reason}; right is such as m_lsp < m_gluino - 100"
        return InvalidInput(text, field="expression", value=shown(self.text))

    def peek(self) -> str:
        """The next sign or word of the language, "" for everything else and at the end."""
        kind, text, _ = self.tokens[self.at] if self.at < len(self.tokens) else ("", "", 0)
        return text if kind == "sign" or (kind == "name" and text in _WORDS) else ""

    def take(self, *signs: str) -> str:
        sign = self.peek()
        if sign and sign in signs:
            self.at += 1
            return sign
        return ""

    def whole(self) -> _Compiled:
        compiled = self.either()
        if self.at < len(self.tokens):
            _, text, place = self.tokens[self.at]
            raise self.refuse(f"{shown(text)!r} is not expected", place)
        return compiled

    def either(self) -> _Compiled:
        parts = [self.both()]
        while self.take("or"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else lambda values: any(self.switch(part(values)) for part in parts)

    def both(self) -> _Compiled:
        parts = [self.negated()]
        while self.take("and"):
            parts.append(self.negated())
        return parts[0] if len(parts) == 1 else lambda values: all(self.switch(part(values)) for part in parts)

    def negated(self) -> _Compiled:
        if not self.take("not"):
            return self.comparison()
        part = self.deeper(self.negated)
        return lambda values: not self.switch(part(values))

    def comparison(self) -> _Compiled:
        parts = [self.sum()]
        signs: list[str] = []
        while sign := self.take(*_COMPARE):
            signs.append(sign)
            parts.append(self.sum())
        if not signs:
            return parts[0]

        def compare(values: Mapping[str, Value]) -> bool:
            found = [part(values) for part in parts]
            return all(self.compared(s, a, b) for s, a, b in zip(signs, found, found[1:], strict=False))

        return compare

    def sum(self) -> _Compiled:
        return self.chain(self.product, {"+": operator.add, "-": operator.sub})

    def product(self) -> _Compiled:
        return self.chain(self.signed, {"*": operator.mul, "/": operator.truediv})

    def chain(
        self, operand: Callable[[], _Compiled], known: Mapping[str, Callable[[float, float], float]]
    ) -> _Compiled:
        first = operand()
        rest: list[tuple[Callable[[float, float], float], _Compiled]] = []
        while sign := self.take(*known):
            rest.append((known[sign], operand()))
        if not rest:
            return first

        def compute(values: Mapping[str, Value]) -> Value:
            total = self.number(first(values))
            for combine, part in rest:
                total = combine(total, self.number(part(values)))
            return total

        return compute

    def signed(self) -> _Compiled:
        sign = self.take("-", "+")
        if not sign:
            return self.atom()
        part = self.deeper(self.signed)
        if sign == "+":
            return lambda values: self.number(part(values))
        return lambda values: -self.number(part(values))

    def atom(self) -> _Compiled:
        if self.take("("):
            part = self.deeper(self.either)
            if not self.take(")"):
                raise self.refuse("a closing parenthesis is missing")
            return part
        if self.at == len(self.tokens):
            raise self.refuse("something is missing at the end" if self.tokens else "there is nothing in it")
        kind, text, place = self.tokens[self.at]
        if kind == "sign" or text in _WORDS:
            raise self.refuse(f"a name or a number is expected before {text!r}", place)
        self.at += 1
        if kind == "name":
            if text in ("true", "false"):
                return lambda _: text == "true"
            if text in _FUNCTIONS and self.take("("):
                return self.function(text)
            self.names.add(text)
            return lambda values: values[text]
        constant: Value = text[1:-1] if kind == "text" else int(text) if text.isdecimal() else float(text)
        return lambda _: constant

    def function(self, name: str) -> _Compiled:
        part = self.deeper(self.either)
        if not self.take(")"):
            raise self.refuse("a closing parenthesis is missing")

        def apply(values: Mapping[str, Value]) -> Value:
            argument = self.number(part(values))
            try:
                return _FUNCTIONS[name](argument)
            except ValueError as error:
                raise self.refuse(f"{name} of {argument:g} is no number") from error

        return apply

    def deeper(self, parse: Callable[[], _Compiled]) -> _Compiled:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.refuse(f"nested deeper than {MAX_DEPTH} levels")
        compiled = parse()
        self.depth -= 1
        return compiled

    # -- what values may do ----------------------------------------------------------------------------------------

    def number(self, value: Value) -> float | int:
        if isinstance(value, bool | str):
            raise self.refuse(f"{shown(repr(value))} is not a number")
        return value

    def switch(self, value: Value) -> bool:
        if not isinstance(value, bool):
            raise self.refuse(f"{shown(repr(value))} is neither true nor false; compare it with something")
        return value

    def compared(self, sign: str, left: Value, right: Value) -> bool:
        if isinstance(left, str) is not isinstance(right, str) and sign in _ORDER:
            raise self.refuse(f"{shown(repr(left))} and {shown(repr(right))} have no order")
        return _COMPARE[sign](left, right)
