"""A stage whose dependencies are met -> its members: single, scattered, batched, made by jq.

`members` evaluates the stage's parameters in its scope and yields what is to be added, one by one; layout.py adds. A
member has a name, a body (step or sub-workflow), final parameters, and the inputs they came from. Everything that goes
wrong here ends the run, as InvalidWorkflow. No node is made here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from reana_lite.errors import InvalidWorkflow
from reana_lite.workflow import jqprogram
from reana_lite.workflow.expression import evaluate, is_expression
from reana_lite.workflow.graph import Graph, Scope
from reana_lite.workflow.spec import Body, JqStage, MultiStep, Parameters, Stage, Step, Workflow
from reana_lite.workflow.value import (
    InputRecord,
    Json,
    Reference,
    Tree,
    canonical,
    decoded,
    read_pointer,
    references,
    resolve,
)

_POINTER = "$wflowpointer"
_REFERENCE = "$wflowref"


@dataclass(frozen=True, slots=True)
class Member:
    """What one application of a stage adds once: a node of a step, or a sub-workflow."""

    name: str
    body: Step | Workflow
    parameters: Json
    inputs: list[InputRecord]


def members(stage: Stage, scope: Scope, graph: Graph, *, most: int) -> Iterator[Member]:
    """The members of a stage in order, at most `most`; raises InvalidWorkflow if one cannot be made."""
    scheduler = stage.scheduler
    if scheduler.fault:
        raise InvalidWorkflow(scheduler.fault)
    if isinstance(scheduler, JqStage):
        made = _by_jq(scheduler, scope, graph)
        numbered = True
    else:
        parameters = _evaluated(scheduler.parameters, scope, graph)
        numbered = isinstance(scheduler, MultiStep)
        trees = _scattered(scheduler, parameters) if isinstance(scheduler, MultiStep) else iter((parameters,))
        made = _resolved(trees)
    for number, (parameters, inputs) in enumerate(made):
        if number >= most:
            raise InvalidWorkflow(f"it would have more than {most} members (option max_nodes)")
        body = _chosen(scheduler.body, parameters)
        if body is not None:
            yield Member(f"{stage.name}_{number}" if numbered else stage.name, body, parameters, inputs)


def _evaluated(parameters: Parameters, scope: Scope, graph: Graph) -> dict[str, Tree]:
    trees: dict[str, Tree] = {}
    for key, value in parameters:
        try:
            trees[key] = evaluate(value, scope, graph) if is_expression(value) else value
        except InvalidWorkflow as error:
            raise InvalidWorkflow(f"parameter {key!r}: {error.message}", parameter=key) from error
    return trees


def _resolved(trees: Iterable[Tree]) -> Iterator[tuple[Json, list[InputRecord]]]:
    for tree in trees:
        inputs: list[InputRecord] = []
        yield decoded(resolve(tree, inputs)), inputs


def _chosen(body: Body, parameters: Json) -> Step | Workflow | None:
    """The body for these parameters: of `cases` the first that is true in the Python sense."""
    if body is None:
        raise InvalidWorkflow("the stage has no body: it needs one of `step`, `workflow`, `cases`")
    if not isinstance(body, tuple):
        return body
    for case in body:
        if case.fault:
            raise InvalidWorkflow(case.fault)
        if jqprogram.first(case.condition, canonical(parameters)):
            if case.body is None:
                raise InvalidWorkflow("the case has no body: it needs one of `step`, `workflow`")
            return case.body
    return None


# -- scattering --------------------------------------------------------------------------------------------------------
def _scattered(scheduler: MultiStep, parameters: dict[str, Tree]) -> Iterator[dict[str, Tree]]:
    scatter = scheduler.scatter
    if scatter is None:
        raise InvalidWorkflow("a multistep-stage needs `scatter`")
    common = dict(parameters)
    taken: dict[str, list[Tree]] = {}
    for key in scatter.parameters:
        if key not in common:
            raise InvalidWorkflow(f"`scatter` names the parameter {key!r}, which the stage does not have")
        taken[key] = _grouped(_elements(key, common.pop(key)), scheduler.batchsize, scheduler.partitionsize)
    if scatter.method == "zip":
        if not taken:
            raise InvalidWorkflow("`scatter` with method zip needs at least one parameter")
        rows: Iterable[tuple[Tree, ...]] = zip(*taken.values(), strict=False)
    elif scatter.method == "cartesian":
        rows = itertools.product(*taken.values())
    else:
        return
    for row in rows:
        yield {**common, **dict(zip(taken, row, strict=True))}


def _elements(key: str, tree: Tree) -> list[Tree]:
    if isinstance(tree, list | dict | str):
        return list(tree)
    what = f"the single value {tree.value!r}" if isinstance(tree, Reference) else repr(tree)
    raise InvalidWorkflow(f"`scatter` needs a list for the parameter {key!r}, not {what}")


def _grouped(elements: list[Tree], batchsize: float | None, partitionsize: float | None) -> list[Tree]:
    if batchsize:
        if not isinstance(batchsize, int):
            raise InvalidWorkflow(f"`batchsize` must be an integer, not {batchsize!r}")
        return [elements[start : start + batchsize] for start in range(0, len(elements), batchsize)]
    if partitionsize:
        parts = min(partitionsize, len(elements))
        if not isinstance(parts, int):
            raise InvalidWorkflow(f"`partitionsize` must be an integer, not {partitionsize!r}")
        return list(_parts(elements, parts))
    return elements


def _parts(elements: list[Tree], parts: int) -> Iterator[list[Tree]]:
    """Consecutive parts whose lengths differ by at most one, the longer ones last."""
    end = 0
    for number in range(parts):
        begin, end = end, end + (len(elements) + number) // parts
        yield elements[begin:end]


# -- jq-stage ----------------------------------------------------------------------------------------------------------
def _by_jq(scheduler: JqStage, scope: Scope, graph: Graph) -> Iterator[tuple[Json, list[InputRecord]]]:
    if scheduler.missing:
        raise InvalidWorkflow(
            f"the jq-stage has no {scheduler.missing[0]!r} (an object reached by $ref gets no defaults)"
        )
    if scheduler.bindings is None:
        raise InvalidWorkflow("a jq-stage needs `bindings`")

    def selected(found: dict[str, Any]) -> Json:
        return _referenced(found[_REFERENCE], scope, graph)

    def pointed(found: dict[str, Any]) -> Tree:
        place = found[_POINTER]
        node = graph.nodes[place["step"]]
        return Reference(node.path, place["result"], read_pointer(node.result, place["result"]))

    bindings = _replaced(dict(scheduler.bindings), _REFERENCE, selected)
    singles = jqprogram.first(scheduler.stepscript, bindings)
    if not isinstance(singles, list | dict | str):
        raise InvalidWorkflow(f"the stepscript must give a list of parameters, not {singles!r}")
    for single in singles:
        inputs: list[InputRecord] = []
        try:
            values = resolve(_replaced(single, _POINTER, pointed), inputs)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise InvalidWorkflow(f"the stepscript made a pointer that points nowhere: {error}") from error
        yield decoded(jqprogram.first(scheduler.postscript, values)), inputs


def _replaced(value: Json, key: str, change: Callable[[dict[str, Any]], Tree]) -> Tree:
    """The value with every object that has `key` replaced by what `change` makes of it."""
    if isinstance(value, dict):
        if key in value:
            return change(value)
        return {name: _replaced(element, key, change) for name, element in value.items()}
    if isinstance(value, list):
        return [_replaced(element, key, change) for element in value]
    return value


def _referenced(reference: Any, scope: Scope, graph: Graph) -> Json:
    if not (isinstance(reference, list) and len(reference) == 2):
        raise InvalidWorkflow(f"`{_REFERENCE}` must be a list of two jq programs, not {reference!r}")
    selector, script = reference

    def outputs(member: dict[str, Any]) -> Json:
        node = graph.nodes[member["_nodeid"]]
        if not node.known:
            raise InvalidWorkflow(f"it reads outputs of {node.path}, which are not known yet; declare {node.stage!r}")
        return jqprogram.every(script, _opaque(references(node.path, node.result)))

    return _replaced(jqprogram.every(selector, scope.index), "_nodeid", outputs)


def _opaque(tree: Tree) -> Json:
    """The tree with each reference replaced by an opaque pointer object."""
    if isinstance(tree, Reference):
        return {_POINTER: {"step": tree.node, "result": tree.pointer}}
    if isinstance(tree, dict):
        return {key: _opaque(element) for key, element in tree.items()}
    if isinstance(tree, list):
        return [_opaque(element) for element in tree]
    return tree
