"""A run as one plain document: nodes, edges, stages, values, as the conformance corpus writes them down.

Paths are virtual. For tests, exports and comparisons; nothing is computed here that the run depends on.
"""

from __future__ import annotations

from typing import Any

from reana_lite.workflow.graph import Graph, Node, NodeKind, NodeState, Scope
from reana_lite.workflow.layout import Layout
from reana_lite.workflow.value import escape

_STATES = {NodeState.FINISHED: "SUCCESS", NodeState.FAILED: "FAILED", NodeState.RUNNING: "RUNNING"}


def snapshot(graph: Graph, layout: Layout) -> dict[str, Any]:
    """Nodes by path, edges, stages with their outputs, applied and unapplied stages, registered values."""
    stages: dict[str, Any] = {}
    _stages(layout.top, graph, stages)
    return {
        "nodes": {path: _node(graph.nodes[path]) for path in sorted(graph.nodes)},
        "edges": sorted([parent.path, node.path] for node in graph.nodes.values() for parent in node.parents),
        "stages": dict(sorted(stages.items())),
        "applied_stages": sorted(stage.path for stage in layout.applied),
        "unapplied_stages": sorted(stage.path for stage in layout.open_stages()),
        "values": _values(layout.top),
    }


def _node(node: Node) -> dict[str, Any]:
    document = {
        "name": node.name,
        "offset": node.scope.offset,
        "stage": node.stage,
        "index": node.index,
        "state": _STATES.get(node.state, "DEFINED"),
        "pure_publishing": node.kind is NodeKind.PURE,
        "parameters": node.parameters,
        "inputs": [list(record) for record in node.inputs],
        "result": node.result if node.known else None,
        "readwrite": [] if node.folders.own is None else [node.folders.own],
        "readonly": sorted(set(node.folders.others)),
    }
    if node.state is NodeState.FAILED:
        document["failure"] = {"class": node.cause or "RuntimeError", "message": node.failure}
    return document


def _stages(scope: Scope, graph: Graph, stages: dict[str, Any]) -> None:
    for name, listed in scope.index.items():
        if not isinstance(listed, list):
            continue
        key = f"{scope.offset}/{escape(name)}"
        nodes = [member["_nodeid"] for member in listed if "_nodeid" in member]
        below = [scope.scopes[member["_offset"]] for member in listed if "_offset" in member]
        stages[key] = {
            "nodes": nodes,
            "scopes": [inner.offset for inner in below],
            "outputs": [graph.nodes[path].result if graph.nodes[path].known else None for path in nodes],
        }
        for inner in below:
            _stages(inner, graph, stages)


def _values(scope: Scope) -> dict[str, Any]:
    values: dict[str, Any] = {"_values": dict(scope.values)} if scope.values else {}
    for name, listed in scope.index.items():
        if isinstance(listed, list) and any("_offset" in member for member in listed):
            values[name] = [_values(scope.scopes[member["_offset"]]) for member in listed if "_offset" in member]
    return values
