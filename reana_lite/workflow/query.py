"""The JSONPath dialect of the language: jsonpath-rw 1.4, its precedence and its errors included.

A query is parsed once (`parse` caches) and finds values in an index of steps or in a tree of references. Precedence
from loose to tight: brackets (they apply to everything before them), `..`, `.`, `|`, `&`, `where`; a comma list of
names is one field step. Besides finding, a Query says which names of the top level it can depend on, so that a stage
need not be looked at again when something else was added. Used by expression.py and layout.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from reana_lite.errors import InvalidWorkflow

MAX_TEXT = 10_000
"""Length of a query (characters); published workflows have some hundred at most."""

MAX_STEPS = 5_000_000
"""Values that one query may look at: several `..` in a row multiply."""


class Match(NamedTuple):
    """A value and the match it was found in (None: the top)."""

    value: Any
    context: Match | None


@dataclass(frozen=True, slots=True)
class Root:
    """`$`."""


@dataclass(frozen=True, slots=True)
class This:
    """The operator in backquotes that stays where it is."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The operator in backquotes that goes one level up."""


@dataclass(frozen=True, slots=True)
class Fields:
    """One or several names; `*` among them means all."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """`[n]`, negative from the end."""

    index: int


@dataclass(frozen=True, slots=True)
class Slice:
    """`[*]` or `[start:end]`; what is not a list counts as a list of one."""

    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Binary:
    """Two paths joined by `.`, `..`, `|`, `&` or `where`."""

    operator: str
    left: Path
    right: Path


Path = Root | This | Parent | Fields | Index | Slice | Binary


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query.

    `roots`: names of the top level on which its matches depend (None: any). `plain`: it is one or several names and
    nothing else, so that only what is directly below these names counts. `grows`: more data can only add matches.
    """

    text: str
    path: Path
    roots: frozenset[str] | None
    plain: bool
    grows: bool

    def find(self, data: Any) -> list[Any]:
        """All values matched, in order; raises InvalidWorkflow where the dialect raises."""
        if self.plain and isinstance(self.path, Fields):
            return [data[name] for name in self.path.names if name in data] if isinstance(data, dict) else []
        try:
            return [match.value for match in _find(self.path, Match(data, None), [MAX_STEPS])]
        except (TypeError, KeyError, IndexError, AttributeError, NotImplementedError, RecursionError) as error:
            raise InvalidWorkflow(
                f"the query {self.text!r} cannot be applied: {_reason(error)}", query=self.text
            ) from error


def parse(text: Any) -> Query:
    """The query of a text; raises InvalidWorkflow with the column if it is not one."""
    if not isinstance(text, str):
        raise InvalidWorkflow(f"a query must be a string, not {text!r}")
    if len(text) > MAX_TEXT:
        raise InvalidWorkflow(f"the query {text[:60]!r}... has more than {MAX_TEXT} characters")
    try:
        return _parsed(text)
    except RecursionError:
        raise InvalidWorkflow(f"the query {text[:60]!r}... is nested too deeply") from None


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Query:
    path = _Parser(text).parse()
    top = path.right if isinstance(path, Binary) and path.operator == "." and path.left in (Root(), This()) else path
    plain = isinstance(top, Fields) and "*" not in top.names
    return Query(text, top if plain else path, _roots(path), plain, _grows(path))


# -- finding -----------------------------------------------------------------------------------------------------------
def _find(path: Path, at: Match, left_over: list[int]) -> list[Match]:
    found = _found(path, at, left_over)
    left_over[0] -= 1 + len(found)
    if left_over[0] < 0:
        raise NotImplementedError(f"it looks at more than {MAX_STEPS} values")
    return found


def _found(path: Path, at: Match, left_over: list[int]) -> list[Match]:
    match path:
        case Fields(names=names):
            return _fields(names, at)
        case Binary(operator=".", left=left, right=right):
            return [found for match in _find(left, at, left_over) for found in _find(right, _wrapped(match), left_over)]
        case Index(index=index):
            return [Match(at.value[index], at)] if len(at.value) > index else []
        case Slice(start=start, end=end):
            return _slice(start, end, at)
        case Binary(operator="|", left=left, right=right):
            return _find(left, at, left_over) + _find(right, at, left_over)
        case Binary(operator="where", left=left, right=right):
            return [match for match in _find(left, at, left_over) if _find(right, _wrapped(match), left_over)]
        case Binary(operator="..", left=left, right=right):
            return [found for match in _find(left, at, left_over) for found in _descend(right, match, left_over)]
        case Root():
            while at.context is not None:
                at = at.context
            return [at]
        case This():
            return [at]
        case Parent():
            return [at.context]  # type: ignore[list-item]  # None above the top, as in the dialect
        case _:
            raise NotImplementedError("the operator & is not available")


def _wrapped(match: Match | None) -> Match:
    return Match(None, None) if match is None else match


def _fields(names: tuple[str, ...], at: Match) -> list[Match]:
    value = at.value
    if "*" in names:
        names = tuple(value) if isinstance(value, dict) else ()
    if not isinstance(value, dict):
        return []
    return [Match(value[name], at) for name in names if name in value]


def _slice(start: int | None, end: int | None, at: Match) -> list[Match]:
    if isinstance(at.value, dict | int | str):
        at = Match([at.value], at.context)
    return [Match(at.value[index], at) for index in range(len(at.value))[start:end]]


def _descend(right: Path, at: Match | None, left_over: list[int]) -> list[Match]:
    if at is None:
        raise AttributeError("above the top")
    found = _find(right, at, left_over)
    if isinstance(at.value, list):
        for element in at.value:
            found += _descend(right, Match(element, at), left_over)
    elif isinstance(at.value, dict):
        for element in at.value.values():
            found += _descend(right, Match(element, at), left_over)
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return "an index is applied to a mapping"
    if isinstance(error, TypeError):
        return "an index, a slice or [*] is applied to a single value"
    if isinstance(error, IndexError):
        return "a negative index goes beyond the beginning of a list"
    if isinstance(error, AttributeError):
        return "it goes above the top"
    return str(error)


# -- what it depends on ------------------------------------------------------------------------------------------------
def _roots(path: Path) -> frozenset[str] | None:
    if isinstance(path, Fields):
        return None if "*" in path.names else frozenset(path.names)
    if not isinstance(path, Binary) or _climbs(path.right):
        return None
    if path.operator == "|":
        left, right = _roots(path.left), _roots(path.right)
        return None if left is None or right is None else left | right
    if path.operator == "." and path.left in (Root(), This()):
        return _roots(path.right)
    return _roots(path.left)


def _climbs(path: Path) -> bool:
    if isinstance(path, Binary):
        return _climbs(path.left) or _climbs(path.right)
    return isinstance(path, Root | Parent)


def _grows(path: Path) -> bool:
    if isinstance(path, Binary):
        return path.operator != "&" and _grows(path.left) and _grows(path.right)
    if isinstance(path, Index):
        return path.index >= 0
    if isinstance(path, Slice):
        return all(bound is None or bound >= 0 for bound in (path.start, path.end))
    return True


# -- parsing -----------------------------------------------------------------------------------------------------------
_TOKEN = re.compile(
    r"""(?P<blank>[ \t\n]+)
    |(?P<id>[a-zA-Z_@][a-zA-Z0-9_@\-]*)
    |(?P<number>-?\d+)
    |(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<named>`(?:[^`\\]|\\.)*`)
    |(?P<sign>\.\.|[*.\[\]()$,:|&])""",
    re.VERBOSE,
)
_LEVEL = {"..": 1, ".": 2, "|": 3, "&": 4, "where": 5}
_ESCAPED = re.compile(r"\\(.)")


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


class _Parser:
    """One parse of one text. Brackets are the loosest operator; all others are left associative."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._tokens()
        self.position = 0

    def parse(self) -> Path:
        path = self._expression()
        if self._peek().kind != "end":
            raise self._unexpected()
        return path

    def _tokens(self) -> list[_Token]:
        tokens: list[_Token] = []
        position = 0
        while position < len(self.text):
            found = _TOKEN.match(self.text, position)
            if found is None:
                raise InvalidWorkflow(
                    f"the query {self.text!r} has an unexpected character at column {position + 1}; names with other "
                    "characters than letters, digits, _, @ and - must be quoted",
                    query=self.text,
                )
            kind = str(found.lastgroup)
            text = found.group()
            if kind in ("quoted", "named"):
                text = _ESCAPED.sub(r"\1", text[1:-1])
            if kind == "id" and text == "where":
                kind = "sign"
            if kind != "blank":
                tokens.append(_Token("id" if kind == "quoted" else kind, text, position + 1))
            position = found.end()
        return [*tokens, _Token("end", "", len(self.text) + 1)]

    def _peek(self) -> _Token:
        return self.tokens[self.position]

    def _next(self) -> _Token:
        self.position += 1
        return self.tokens[self.position - 1]

    def _sign(self, text: str) -> bool:
        token = self._peek()
        return token.kind == "sign" and token.text == text

    def _take(self, text: str) -> None:
        if not self._sign(text):
            raise self._unexpected()
        self.position += 1

    def _unexpected(self) -> InvalidWorkflow:
        token = self._peek()
        what = "ends too early" if token.kind == "end" else f"has an unexpected {token.text!r} at column {token.column}"
        return InvalidWorkflow(f"the query {self.text!r} {what}", query=self.text)

    def _expression(self) -> Path:
        path = self._operators(self._primary(), 1)
        while True:
            if self._sign("["):
                path = Binary(".", path, self._brackets())
            elif self._level():
                path = self._operators(path, 1)
            else:
                return path

    def _level(self) -> int:
        token = self._peek()
        return _LEVEL.get(token.text, 0) if token.kind == "sign" else 0

    def _operators(self, left: Path, least: int) -> Path:
        while (level := self._level()) >= least and level:
            operator = self._next().text
            right = self._primary()
            while self._level() > level:
                right = self._operators(right, self._level())
            left = Binary(operator, left, right)
        return left

    def _primary(self) -> Path:
        token = self._peek()
        if token.kind == "id":
            return Fields(self._names())
        if self._sign("["):
            return self._brackets()
        self.position += 1
        if token.kind == "named" and token.text in ("this", "parent"):
            return This() if token.text == "this" else Parent()
        if token.kind == "sign" and token.text == "*":
            return Fields(("*",))
        if token.kind == "sign" and token.text == "$":
            return Root()
        if token.kind == "sign" and token.text == "(":
            path = self._expression()
            self._take(")")
            return path
        self.position -= 1
        raise self._unexpected()

    def _names(self) -> tuple[str, ...]:
        names = [self._name()]
        while self._sign(","):
            self.position += 1
            names.append(self._name())
        return tuple(names)

    def _name(self) -> str:
        if self._peek().kind != "id":
            raise self._unexpected()
        return self._next().text

    def _brackets(self) -> Path:
        self._take("[")
        path: Path
        if self._peek().kind == "id":
            path = Fields(self._names())
        elif self._sign("*"):
            self.position += 1
            path = Slice()
        else:
            start = self._number()
            if start is not None and self._sign("]"):
                path = Index(start)
            else:
                self._take(":")
                path = Slice(start, self._number())
        self._take("]")
        return path

    def _number(self) -> int | None:
        return int(self._next().text) if self._peek().kind == "number" else None
