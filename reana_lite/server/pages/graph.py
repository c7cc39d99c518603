"""The graph of a run as boxes to draw: stages in columns, edges between them, nodes of an unfolded stage as cells. Pure.

A stage that is folded shows counts, so that a graph of thousands of nodes is as large as one of ten. Edges are those of
what stages refer to, without those that follow from others. Lengths are units of the drawing (about a pixel).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reana_lite.database import NodeRecord

WIDTH, HEIGHT, GAP_X, GAP_Y, CELL = 146, 62, 34, 20, 16
PAGE = 200
"""Cells of an unfolded stage that are drawn at once."""

ORDER = ("finished", "reused", "running", "failed", "stopped", "waiting")
"""What nodes are counted as."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One node of an unfolded stage."""

    node: str
    label: str
    state: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a stage's bar."""

    state: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Box:
    """One stage: where it is drawn, how many of its nodes are in which state, its nodes if it is unfolded."""

    name: str
    state: str
    counts: Mapping[str, int]
    total: int
    x: float
    y: float
    width: float
    height: float
    shares: tuple[Share, ...]
    cells: tuple[Cell, ...] = ()
    unfolded: bool = False

    @property
    def text(self) -> str:
        """The counts in words."""
        if not self.total:
            return "not there yet"
        if self.total == 1:
            return next(iter(self.counts))
        return ", ".join(f"{count} {state}" for state, count in self.counts.items())


@dataclass(frozen=True, slots=True)
class Drawing:
    """All boxes, the paths of the edges, and the size of it."""

    boxes: tuple[Box, ...]
    edges: tuple[tuple[str, str, str], ...]
    width: float
    height: float


def stages_of(workflow: Mapping[str, Any]) -> dict[str, set[str]]:
    """Stages of a workflow document in order, each with those it refers to (serial: each with the one before it)."""
    stages = workflow.get("stages")
    if not isinstance(stages, list):
        names = [f"step-{at}" for at in range(1, len(workflow.get("steps", ())) + 1)]
        return {name: set(names[at - 1 : at]) if at else set() for at, name in enumerate(names)}
    names = [str(stage.get("name")) for stage in stages if isinstance(stage, dict)]
    needs: dict[str, set[str]] = {}
    for stage in stages:
        if isinstance(stage, dict):
            said = set(_references(stage.get("scheduler"))) | set(_dependencies(stage.get("dependencies")))
            needs[str(stage.get("name"))] = {name for name in said if name in names}
    return needs


def _dependencies(value: Any) -> Iterable[str]:
    rows = value.get("expressions", ()) if isinstance(value, dict) else value or ()
    for row in rows if isinstance(rows, list | tuple) else ():
        if isinstance(row, str):
            yield _leading(row)


def _references(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("step", "stages") and isinstance(inner, str):
                yield _leading(inner)
            elif key == "workflow":
                continue
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _leading(text: str) -> str:
    return re.split(r"[.\[*?]", text, maxsplit=1)[0]


def stage_of(node: str) -> str:
    """The stage at the top that a node is of: /generate/3 of generate, /sub/0/fit/0 of sub."""
    return node.strip("/").split("/")[0]


def state_of(node: NodeRecord, *, over: str = "") -> str:
    """What a node is counted as; `over`: the state of a run that has ended."""
    if node.state == "finished":
        return "reused" if node.reused_from else "finished"
    if node.state in ("running", "failed"):
        return "stopped" if over == "stopped" and node.state == "running" else node.state
    return "stopped" if over == "stopped" else "waiting"


def draw(
    needs: Mapping[str, set[str]], nodes: Sequence[NodeRecord], *, unfold: str = "", page: int = 0, over: str = ""
) -> Drawing:
    """The drawing of a run. `unfold` names the stage whose nodes are shown, `page` which of them."""
    members: dict[str, list[NodeRecord]] = {}
    for node in nodes:
        members.setdefault(stage_of(node.node), []).append(node)
    order = {name: set(before) for name, before in needs.items() if name != "init"}
    for name in members:
        order.setdefault(name, set())
    order.pop("init", None)
    order = {name: _without_implied(name, order) for name in order}
    column = _columns(order)
    boxes = _place(order, column, members, unfold=unfold, page=page, over=over)
    edges = tuple(
        (before, name, _path(boxes[before], boxes[name]))
        for name in order
        for before in sorted(order[name] & order.keys())
    )
    width = max((box.x + box.width for box in boxes.values()), default=0) + 2
    height = max((box.y + box.height for box in boxes.values()), default=0) + 2
    return Drawing(tuple(boxes.values()), edges, width, height)


def _without_implied(name: str, order: Mapping[str, set[str]]) -> set[str]:
    direct = order[name] & order.keys() - {name}
    far: set[str] = set()
    todo = list(direct)
    seen: set[str] = set()
    while todo:
        for before in order[todo.pop()] & order.keys():
            far.add(before)
            if before not in seen:
                seen.add(before)
                todo.append(before)
    return direct - far


def _columns(order: Mapping[str, set[str]]) -> dict[str, int]:
    """The column of each stage: one after the last of those it needs (a circle ends where it closes)."""
    found: dict[str, int] = {}
    for _ in order:
        for name, before in order.items():
            found[name] = min(max((found.get(one, 0) + 1 for one in before), default=0), len(order))
    return found


def _place(
    order: Mapping[str, set[str]], column: Mapping[str, int], members: Mapping[str, list[NodeRecord]], *,
    unfold: str, page: int, over: str,
) -> dict[str, Box]:  # fmt: skip
    boxes: dict[str, Box] = {}
    x = 1.0
    for at in range(max(column.values(), default=-1) + 1):
        y = 1.0
        wide = WIDTH
        for name in [name for name in order if column[name] == at]:
            box = _box(name, members.get(name, []), (x, y), page=page if name == unfold else None, over=over)
            boxes[name] = box
            y += box.height + GAP_Y
            wide = max(wide, int(box.width))
        x += wide + GAP_X
    return boxes


def _box(name: str, nodes: Sequence[NodeRecord], place: tuple[float, float], *, page: int | None, over: str) -> Box:
    x, y = place
    states = [state_of(node, over=over) for node in nodes]
    found = Counter(states)
    counts = {state: found[state] for state in ORDER if found[state]}
    cells: tuple[Cell, ...] = ()
    width, height = float(WIDTH), float(HEIGHT)
    if page is not None and nodes:
        shown = sorted(nodes, key=lambda node: _natural(node.node))[page * PAGE : (page + 1) * PAGE]
        across = max(10, round((2 * len(shown)) ** 0.5))
        width = max(width, across * CELL + 24)
        height += -(-len(shown) // across) * CELL + 10
        cells = tuple(
            Cell(
                node.node,
                node.node,
                state_of(node, over=over),
                x + 12 + i % across * CELL,
                y + HEIGHT + i // across * CELL,
            )
            for i, node in enumerate(shown)
        )
    shares = []
    at = x + 12.0
    for state, count in counts.items():
        share = (width - 24) * count / len(nodes)
        shares.append(Share(state, at, share))
        at += share
    return Box(name, _state(counts), counts, len(nodes), x, y, width, height, tuple(shares), cells, page is not None)


def _state(counts: Mapping[str, int]) -> str:
    for state in ("failed", "running", "stopped"):
        if state in counts:
            return state
    return "finished" if counts and "waiting" not in counts else "waiting"


def _natural(path: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in path.split("/")]


def _path(start: Box, end: Box) -> str:
    x1, y1 = start.x + start.width, start.y + HEIGHT / 2
    x2, y2 = end.x - 7, end.y + HEIGHT / 2
    if x2 < x1:
        return f"M{x1:.0f} {y1:.0f}H{x1 + 10:.0f}V{y2:.0f}H{x2:.0f}"
    bend = GAP_X / 2
    return f"M{x1:.0f} {y1:.0f}C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
