"""Value expressions: selections over the outputs of other stages and registered values of a scope.

An expression is evaluated in a scope, against its index, and gives a tree of references (value.py), so that what a
parameter was made of is known. Whatever cannot be evaluated ends the run: InvalidWorkflow says why. Used by
scheduling.py (parameters) and layout.py (dependencies).
"""

from __future__ import annotations

from typing import Any

from reana_lite.errors import InvalidWorkflow
from reana_lite.workflow.graph import Graph, Node, Scope
from reana_lite.workflow.query import parse
from reana_lite.workflow.value import Json, Reference, Tree, escape, references

_DEEPEST = 100


def is_expression(value: Json) -> bool:
    """Whether a parameter is to be evaluated; all others are literals."""
    return isinstance(value, dict) and "expression_type" in value


def evaluate(expression: dict[str, Json], scope: Scope, graph: Graph, *, depth: int = 0) -> Tree:
    """The tree of references an expression stands for; raises InvalidWorkflow if there is none."""
    if depth > _DEEPEST:
        raise InvalidWorkflow(f"registered values refer to each other more than {_DEEPEST} times over")
    kind = expression["expression_type"]
    if kind == "stage-output-selector":
        return _selection(expression, scope, graph, depth)
    if kind == "fromvalue":
        return _registered(expression, scope, graph, depth)
    raise InvalidWorkflow(f"unknown expression_type {kind!r}; known: stage-output-selector, fromvalue")


# -- members found by a query ------------------------------------------------------------------------------------------
def nodes_found(text: str, scope: Scope, graph: Graph) -> list[Node]:
    """The nodes that a query over the scope's index selects, through members or through lists of members."""
    return [graph.nodes[member["_nodeid"]] for member in _members(text, scope, "_nodeid")]


def scopes_found(text: str, scope: Scope) -> list[Scope]:
    """The scopes of sub-workflows that a query selects; InvalidWorkflow if one lies too deep to be reached."""
    return [scope.below(member["_offset"]) for member in _members(text, scope, "_offset")]


def _members(text: str, scope: Scope, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for value in parse(text).find(scope.index):
        if isinstance(value, dict):
            if kind in value:
                found.append(value)
        elif isinstance(value, list):
            found.extend(member for member in value if kind in member)
    return found


# -- stage-output-selector ---------------------------------------------------------------------------------------------
def _selection(expression: dict[str, Json], scope: Scope, graph: Graph, depth: int) -> Tree:
    output = expression.get("output")
    if "stages" in expression and "steps" in expression:
        raise InvalidWorkflow("`stages` and `steps` mean the same: give one of them")
    if "stages" in expression or "steps" in expression:
        text = expression.get("stages") or expression.get("steps")
        combined: list[Tree] = []
        for member in _selected(text, scope, graph):
            part = _output(member, output, graph, depth)
            if isinstance(part, list) and expression.get("flatten", False):
                combined.extend(part)
            else:
                combined.append(part)
        return combined[0] if len(combined) == 1 and expression.get("unwrap", False) else combined
    if "step" in expression:
        members = _selected(expression["step"], scope, graph)
        if len(members) != 1:
            raise InvalidWorkflow(
                f"`step: {expression['step']}` must select exactly one node, it selects {len(members)}; "
                "use `stages` for any number"
            )
        return _output(members[0], output, graph, depth)
    raise InvalidWorkflow("the selection has none of `step`, `stages`, `steps`")


def _selected(text: Any, scope: Scope, graph: Graph) -> list[Node] | list[Scope]:
    nodes, scopes = nodes_found(text, scope, graph), scopes_found(text, scope)
    if nodes and scopes:
        raise InvalidWorkflow(f"the query {text!r} selects nodes and sub-workflows at once")
    return scopes or nodes


def _output(member: Node | Scope, output: Any, graph: Graph, depth: int) -> Tree:
    if isinstance(member, Scope):
        return _value_of(member, output, graph, depth)
    if not member.known:
        raise InvalidWorkflow(
            f"it reads outputs of {member.path}, which are not known yet; declare {member.stage!r} in `dependencies`"
        )
    return _part(member, output or "$")


def _part(node: Node, output: Any) -> Tree:
    result = node.result
    if isinstance(result, dict) and isinstance(output, str) and output in result:
        value = result[output]
        pointer = f"/{escape(output)}"
        return references(node.path, value, pointer)
    found = parse(output).find(references(node.path, result))
    if len(found) != 1:
        which = "nothing" if not found else f"{len(found)} values"
        has = f"; it has: {', '.join(result)}" if isinstance(result, dict) else ""
        raise InvalidWorkflow(f"the output {output!r} selects {which} in the outputs of {node.path}{has}")
    return found[0]


# -- registered values -------------------------------------------------------------------------------------------------
def _registered(expression: dict[str, Json], scope: Scope, graph: Graph, depth: int) -> Tree:
    if "key" not in expression:
        raise InvalidWorkflow("a `fromvalue` expression needs `key`")
    if "scope" in expression:
        scopes = scopes_found(expression["scope"], scope)
        if len(scopes) != 1:
            raise InvalidWorkflow(
                f"`scope: {expression['scope']}` must select exactly one sub-workflow, it selects {len(scopes)}"
            )
        scope = scopes[0]
    value = _value_of(scope, expression["key"], graph, depth)
    if isinstance(value, Reference):
        return value
    if not value:
        return None
    if is_expression(value):
        return evaluate(value, scope, graph, depth=depth + 1)
    return value


def _value_of(scope: Scope, key: Any, graph: Graph, depth: int) -> Tree:
    stored = scope.values.get(key) if isinstance(key, str) else None
    if not stored:
        return None
    if not is_expression(stored):
        raise InvalidWorkflow(f"the registered value {key!r} is not an expression (it needs `expression_type`)")
    return evaluate(stored, scope, graph, depth=depth + 1)
