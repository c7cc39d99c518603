"""Hypothesis strategies for random workflows of the Yadage language with their init data, for test_differential.py.

A workflow is built stage by stage: each stage draws its parameters from what earlier stages of its scope publish, so
that most runs come to their end; a part of them has an odd string, a missing output or a failing command, because the
errors must agree too. What depends on timing in yadage itself (names of files that another step writes later, its own
folders inside of a step's folder) is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

Document = Any

PLAIN = ["a", "b c", "x-1", "0", "10", "é☃", "A", "yes", "1.5", "p=q"]
ODD = [
    "it's",
    '"q"',
    "",
    ".",
    "{}",
    "{workdir}",
    "{readdir0}/x",
    "{{a}}",
    "{a}",
    "}",
    "a,b",
    "~",
    "null",
    "in.txt",
    "*.dat",
]
NUMBERS = [0, 1, 3, -2, 2.0, 0.5, 1e-7, 12345678901, 100000000000000000000]


@dataclass(frozen=True)
class Case:
    """One example: the workflow document, its init data, and options as on yadage's command line."""

    workflow: Document
    init_data: dict[str, Any]
    init_files: tuple[str, ...] = ()
    workflow_options: dict[str, bool] = field(default_factory=dict)


@dataclass
class Stage:
    """What later stages can know of a stage: how many members, nodes or scopes, and the kinds of its outputs."""

    name: str
    many: bool
    outputs: dict[str, str] = field(default_factory=dict)
    inner: list[Stage] | None = None
    registered: dict[str, str] = field(default_factory=dict)
    registers: dict[str, str] = field(default_factory=dict)
    query: str = ""

    def __post_init__(self) -> None:
        self.query = self.name if re.fullmatch(r"[A-Za-z_@][A-Za-z0-9_@-]*", self.name) else f'"{self.name}"'


@dataclass
class Scope:
    """The stages of a scope so far; `depth` 0 is the workflow itself. `twin`: there may be others of the same text."""

    stages: list[Stage]
    depth: int = 0
    odd: bool = False
    twin: bool = False
    values: dict[str, str] = field(default_factory=dict)


def case(*, odd: bool = True) -> st.SearchStrategy[Case]:
    """A random workflow. With `odd` some have strange strings, failing commands and missing outputs."""
    return _case(odd)


@st.composite
def _case(draw: st.DrawFn, allow_odd: bool) -> Case:
    odd = allow_odd and draw(st.sampled_from([False, False, False, True]))
    data, kinds = draw(_init_data(odd))
    scope = Scope([Stage("init", False, kinds)], odd=odd)
    count = draw(st.integers(1, 4))
    names = [draw(st.sampled_from([f"s{n}", f"s{n}", f"é{n}", f"s.{n}", f"{n}s", f"s-{n}"])) for n in range(count)]
    stages = [draw(_stage(scope, name)) for name in names]
    files = draw(st.sampled_from([(), ("in.txt",), ("in.txt", "one.dat", "two.dat")]))
    if draw(st.integers(0, 9)) == 9:
        stages = list(reversed(stages))
    switches = {}
    if draw(st.integers(0, 5)) == 5:
        switches = {"discover": draw(st.booleans()), "relative": draw(st.booleans())}
    return Case({"stages": stages}, data, files, switches)


# -- values ---


def _scalar(odd: bool) -> st.SearchStrategy[Any]:
    plain = st.sampled_from(PLAIN) | st.sampled_from(NUMBERS)
    return plain | st.sampled_from(ODD) if odd else plain


def _list(odd: bool) -> st.SearchStrategy[list[Any]]:
    return st.lists(_scalar(odd), min_size=0 if odd else 1, max_size=3)


def _other(odd: bool) -> st.SearchStrategy[Any]:
    inner = _scalar(odd) | st.sampled_from([None, False, True, [], {}])
    return st.dictionaries(st.sampled_from(["k", "m n", "o.p"]), inner | st.lists(inner, max_size=2), max_size=2)


@st.composite
def _literal(draw: st.DrawFn, odd: bool) -> tuple[Any, str]:
    kind = draw(st.sampled_from(["scalar", "scalar", "list", "other"]))
    make = {"scalar": _scalar, "list": _list, "other": _other}[kind]
    return draw(make(odd)), kind


@st.composite
def _init_data(draw: st.DrawFn, odd: bool) -> tuple[dict[str, Any], dict[str, str]]:
    data: dict[str, Any] = {"n": draw(_scalar(odd)), "l": draw(_list(odd))}
    kinds = {"n": "scalar", "l": "list"}
    if draw(st.booleans()):
        data["ll"] = draw(st.lists(st.lists(_scalar(False), min_size=1, max_size=2), min_size=1, max_size=2))
        kinds["ll"] = "list"
    if draw(st.booleans()):
        data["m"] = draw(_other(odd))
        kinds["m"] = "other"
    if draw(st.integers(0, 4)) == 4:
        data["z"] = draw(st.sampled_from([None, False, True, "in.txt", "*.dat"]))
        kinds["z"] = "scalar"
    return data, kinds


# -- expressions ---


@st.composite
def _value(draw: st.DrawFn, scope: Scope, needs: set[str], want: str = "") -> tuple[Any, str]:
    """A parameter's value and its kind; what it reads is added to `needs`. `want` = "list": something to scatter."""
    choices = [stage for stage in scope.stages if any(not want or kind == want for kind in stage.outputs.values())]
    many = [stage for stage in scope.stages if stage.many or stage.inner is not None]
    how = draw(st.sampled_from(["one", "one", "literal", "many", "many", "value", "odd"]))
    if how == "value" and scope.values and not want:
        key = draw(st.sampled_from(sorted(scope.values)))
        needs.add(scope.values[key])
        return {"expression_type": "fromvalue", "key": key}, "other"
    if how == "odd" and not want:
        return draw(_odd_selection(scope, needs)), "other"
    if how == "many" and many:
        return draw(_selection(draw(st.sampled_from(many)), needs, want))
    if how == "literal" or not choices:
        if want == "list":
            return draw(_list(scope.odd)), "list"
        return draw(_literal(scope.odd))
    stage = draw(st.sampled_from(choices))
    if stage.many or stage.inner is not None:
        return draw(_selection(stage, needs, want))
    keys = [key for key, kind in stage.outputs.items() if not want or kind == want]
    key = draw(st.sampled_from(keys))
    kind = stage.outputs[key]
    needs.add(stage.query)
    if want == "" and kind == "list" and draw(st.integers(0, 3)) == 3:
        return {"step": stage.query, "output": draw(st.sampled_from([f"{key}[0]", f"{key}[-1]"]))}, "scalar"
    if want == "" and scope.odd and draw(st.integers(0, 9)) == 9:
        return {"step": stage.query, "output": draw(st.sampled_from(["nothere", f"{key}[5]", f"{key}[*]"]))}, "other"
    return {"step": stage.query, "output": key}, kind


@st.composite
def _odd_selection(draw: st.DrawFn, scope: Scope, needs: set[str]) -> Any:
    """The rarer forms: whole results, unions, slices of outputs, wildcards, descendants; some of them are errors."""
    one, two = draw(st.sampled_from(scope.stages)), draw(st.sampled_from(scope.stages))
    needs.update({one.query, two.query})
    keys = sorted(one.outputs) or ["nothing"]
    key = draw(st.sampled_from(keys))
    first, second = one.query, two.query
    queries = [
        f"{first}|{second}", f"{first},{second}", f"{first}..*", "*", f"`this`.{first}", f"{first}[9]", f"{first}[-1:]",
        f"{first}[*].init", f"{first}[*].*", f"({first}[0])|({second}[1])", "nothere",
    ]  # fmt: skip
    outputs = [key, "", "$", f"{key}[0:2]", f"{key}[-1]", "*", f"{key}.*", f"{key},{keys[-1]}", "k", "o.p", f"$.{key}"]
    chosen: dict[str, Any] = {"stages": draw(st.sampled_from(queries)), "output": draw(st.sampled_from(outputs))}
    for flag in ("flatten", "unwrap"):
        if draw(st.booleans()):
            chosen[flag] = True
    if chosen["output"] == "" and draw(st.booleans()):
        del chosen["output"]
    if draw(st.integers(0, 3)) == 3:
        chosen = {"step": one.query, "output": chosen.get("output", "$")}
    return chosen


@st.composite
def _selection(draw: st.DrawFn, stage: Stage, needs: set[str], want: str) -> tuple[Any, str]:
    """Over several nodes or scopes: all, some by index or slice, those inside of scopes, or what a scope registered."""
    if stage.inner is not None and (not stage.registered or draw(st.booleans())):
        inside = draw(st.sampled_from(stage.inner))
        query = f"{stage.query}[*].{inside.query}"
        if inside.inner is not None:
            deeper = draw(st.sampled_from(inside.inner))
            query, inside = f"{query}[*].{deeper.query}", deeper
        keys = inside.outputs if inside.inner is None else inside.registered
        needs.add(stage.query)
    else:
        pieces = ["", "[*]", "[0]", "[-1]", "[1:]", "[0:2]"]
        query = stage.query + draw(st.sampled_from(pieces))
        keys = stage.registered if stage.inner is not None else stage.outputs
        needs.add(stage.query)
    key = draw(st.sampled_from(sorted(keys) or ["nothing"]))
    chosen: dict[str, Any] = {draw(st.sampled_from(["stages", "steps"])): query, "output": key}
    if draw(st.booleans()):
        chosen["flatten"] = True
    unwrapped = not want and draw(st.booleans())
    if unwrapped:
        chosen["unwrap"] = True
    return chosen, "other" if unwrapped else "list"


# -- steps ---


@st.composite
def _step(draw: st.DrawFn, names: list[str], odd: bool) -> tuple[Document, dict[str, str]]:
    """A step over parameters `names` (besides `out`), and the kinds of what it publishes."""
    shown = " ".join(f"{{{name}}}" for name in names)
    end = draw(st.sampled_from(["", "", "", "; exit 3", "; cat {nothere}"])) if odd else ""
    command = f"echo {shown} > {{out}}{end}"
    number = draw(st.integers(0, 2))
    kinds: dict[str, str]
    publisher: dict[str, Any]
    match draw(
        st.sampled_from(
            ["frompar", "interpolated", "text", "fromglob", "fromyaml", "fromparjq", "constant", "noop", "pure"]
        )
    ):
        case "frompar":
            publisher = {"publisher_type": "frompar-pub", "outputmap": {"o": "out", **{f"p{n}": n for n in names}}}
            kinds = {"o": "scalar", **{f"p{n}": "other" for n in names}}
        case "interpolated":
            text = draw(st.sampled_from(["f*.txt", "{out}", "t-{out}", *(f"v{{{n}}}" for n in names)]))
            glob = draw(st.booleans())
            publisher = {
                "publisher_type": "interpolated-pub", "publish": {"o": "{out}", "t": text},
                "glob": glob, "relative_paths": draw(st.booleans()),
            }  # fmt: skip
            kinds = {"o": "list", "t": "other"} if glob else {"o": "scalar", "t": "scalar"}
            command += (
                f"\nfor i in 0 1 2; do echo $i > f$i.txt; test $i -ge {number} && break; done; true" if not end else ""
            )
        case "text":
            text = draw(st.sampled_from(["{out}", "f{{1}}", "*.txt", "", "/nothere/*"]))
            whole = draw(st.sampled_from([[text, "x"], {"o": {"k": text, "z": None, "y": [False, 1.0]}, "q": [text]}]))
            publisher = {
                "publisher_type": "interpolated-pub", "publish": whole, "glob": draw(st.booleans()),
                "relative_paths": draw(st.booleans()),
            }  # fmt: skip
            kinds = {"o": "other", "q": "list"} if isinstance(whole, dict) else {"[0]": "other", "[*]": "other"}
        case "fromglob":
            command = f"mkdir -p d/e; echo {shown} > d/e/deep.txt; for i in 1 2 3; do echo $i > f$i.txt; done{end}"
            globs = ["*.txt", f"f[0-{number}].txt", "d/**/*.txt", "f?.txt", "none*", "d/*/", "d/./e/../e/*"]
            publisher = {
                "publisher_type": "fromglob-pub", "globexpression": draw(st.sampled_from(globs)), "outputkey": "o",
            }  # fmt: skip
            kinds = {"o": "list"}
        case "fromyaml":
            lines = ["o: [1, 2.0, x]", "o: {a: null, b: false}", "o: 1e3", "o: '{workdir}/y'", "o: 017", "o: [[1], []]"]
            content = draw(st.sampled_from(lines)).replace("{", "{{").replace("}", "}}")
            command = f"echo {shown} > {{out}}; cat > r.yml <<X\n{content}\nX{end}"
            publisher = {"publisher_type": "fromyaml-pub", "yamlfile": "r.yml"}
            kinds = {"o": "other"}
        case "fromparjq":
            scripts = [
                "{o: .out, all: .}",
                "{o: [.out]}",
                "{o: (. | length), all: keys}",
                "with_entries(.key |= .) | {o: ., all: 1.0}",
            ]
            publisher = {
                "publisher_type": "fromparjq-pub", "script": draw(st.sampled_from(scripts)),
                "tryExact": draw(st.booleans()), "glob": draw(st.booleans()), "relative_paths": draw(st.booleans()),
            }  # fmt: skip
            kinds = {"o": "other"}
        case "constant":
            constant = draw(_literal(odd))[0]
            publisher = {"publisher_type": "constant-pub", "publish": {"o": constant, "q": [1, 2.0, "x"]}}
            kinds = {"o": "other", "q": "list"}
        case "noop":
            publisher = {"publisher_type": "frompar-pub", "outputmap": {"o": "out", "q": {"r": [names[0], "out"]}}}
            process = {"process_type": "string-interpolated-cmd", "cmd": command}
            environment = draw(st.sampled_from([{"environment_type": "noop-env"}, None]))
            return {"process": process, "environment": environment, "publisher": publisher}, {
                "o": "scalar",
                "q": "other",
            }
        case _:
            publisher = {"publisher_type": "frompar-pub", "outputmap": {"o": "out", **{f"p{n}": n for n in names}}}
            kinds = {"o": "scalar", **{f"p{n}": "other" for n in names}}
            return {"process": None, "environment": None, "publisher": publisher}, kinds
    process = {"process_type": "string-interpolated-cmd", "cmd": command}
    return {"process": process, "environment": {"environment_type": "localproc-env"}, "publisher": publisher}, kinds


# -- stages ---


@st.composite
def _stage(draw: st.DrawFn, scope: Scope, name: str) -> Document:
    """One more stage of the scope, which learns of it."""
    kinds = ["single", "single", "scatter", "scatter", "cases", "scattered cases"]
    if scope.depth < 2:
        kinds += ["sub", "subs"]
    if not scope.twin:  # deviations.yml: jq_stage_in_scattered_workflow
        kinds.append("jq")
    kind = draw(st.sampled_from(kinds))
    needs: set[str] = set()
    if kind == "jq":
        document, stage = draw(_jq_stage(scope, name, needs))
    else:
        parameters: dict[str, Any] = {"out": "{workdir}/o.txt"} if not kind.startswith("sub") else {}
        value_kinds: dict[str, str] = {}
        for letter in "ab"[: draw(st.integers(1, 2))]:
            want = "list" if kind in ("scatter", "subs", "scattered cases") else ""
            parameters[letter], value_kinds[letter] = draw(_value(scope, needs, want))
        scheduler: dict[str, Any] = {"scheduler_type": "singlestep-stage", "parameters": parameters}
        many = kind in ("scatter", "subs", "scattered cases")
        if many:
            value_kinds = dict.fromkeys(value_kinds, "other")
            scheduler["scheduler_type"] = "multistep-stage"
            scattered = [letter for letter in value_kinds if draw(st.integers(0, 3)) or letter == "a"]
            scheduler["scatter"] = {"method": draw(st.sampled_from(["zip", "cartesian"])), "parameters": scattered}
            extra = draw(st.sampled_from(["", "", "batchsize", "partitionsize"]))
            if extra:
                scheduler[extra] = draw(st.integers(1, 3))
                value_kinds = {k: "list" if k in scattered else v for k, v in value_kinds.items()}
        stage = Stage(name, many)
        if kind.startswith("sub"):
            scheduler["workflow"] = draw(_sub_workflow(scope, stage, value_kinds))
            if draw(st.integers(0, 3)) == 3:
                scheduler["workflow_opts"] = {"discover": draw(st.booleans()), "relative": draw(st.booleans())}
        elif kind.endswith("cases"):
            test = draw(st.sampled_from(["true", ".a == 1", '.a | type == "string"', ".a | length", "0", ".b"]))
            first, outputs = draw(_step(sorted(value_kinds), scope.odd))
            second, others = draw(_step(sorted(value_kinds), scope.odd))
            otherwise = draw(st.sampled_from(["true", "true", ".b", '.a != "a"']))
            scheduler["cases"] = [{"if": test, "step": first}, {"if": otherwise, "step": second}]
            stage.outputs = {key: outputs[key] for key in outputs.keys() & others.keys()}
        else:
            scheduler["step"], stage.outputs = draw(_step(sorted(value_kinds), scope.odd))
        document = {"name": name, "scheduler": scheduler}
    document["dependencies"] = draw(_dependencies(sorted(needs), scope))
    if not stage.many and stage.outputs and draw(st.integers(0, 3)) == 3:
        key, output = f"v{len(scope.stages)}", draw(st.sampled_from(sorted(stage.outputs)))
        value = {"expression_type": "stage-output-selector", "step": stage.query, "output": output}
        document["scheduler"]["register_values"] = {key: value}
        scope.values[key] = stage.query
        stage.registers = {key: stage.outputs[output]}
    scope.stages.append(stage)
    return document


@st.composite
def _dependencies(draw: st.DrawFn, needs: list[str], scope: Scope) -> Document:
    """What a stage waits for: all that it reads, in one of the language's forms; sometimes more."""
    more = draw(st.sampled_from([stage.query for stage in scope.stages]))
    wanted = sorted({*needs, more}) if draw(st.booleans()) or not needs else needs
    form = draw(st.integers(0, 14))
    if form == 10:
        inner = [f"{one.query}[*].{two.query}" for one in scope.stages if one.inner for two in one.inner]
        return [*wanted, draw(st.sampled_from([*inner, f"{more}[0]", "nothere", f"{more}[*]", "*"]))]
    if form == 11 and len(wanted) > 1:
        return [" | ".join(wanted)] if draw(st.booleans()) else [",".join(wanted)]
    if form == 12 and draw(st.booleans()):
        return wanted[:-1]
    if form == 9 and all(stage.outputs for stage in scope.stages if stage.query in wanted):
        outputs = {stage.query: next(iter(stage.outputs)) for stage in scope.stages if stage.query in wanted}
        expressions = [
            {"expression_type": "stage-output-selector", "stages": name, "output": key} for name, key in outputs.items()
        ]
        return {"dependency_type": "expressions_fulfilled", "expressions": expressions}
    if form in (7, 8):
        return {"dependency_type": "jsonpath_ready", "expressions": wanted}
    return wanted


@st.composite
def _sub_workflow(draw: st.DrawFn, scope: Scope, stage: Stage, kinds: dict[str, str]) -> Document:
    """The stages of a sub-workflow; `stage` learns what is inside and what is registered."""
    inner = Scope([Stage("init", False, dict(kinds))], scope.depth + 1, scope.odd, scope.twin or stage.many)
    stages = []
    for number in range(draw(st.integers(1, 2))):
        document = draw(_stage(inner, f"i{number}"))
        made = inner.stages[-1]
        stage.registered.update(made.registers)
        stages.append(document)
    stage.inner = [made for made in inner.stages if made.outputs or made.inner]
    return {"stages": stages}


@st.composite
def _jq_stage(draw: st.DrawFn, scope: Scope, name: str, needs: set[str]) -> tuple[Document, Stage]:
    """A jq-stage over the outputs of one earlier stage of nodes."""
    source = draw(
        st.sampled_from([stage for stage in scope.stages if stage.inner is None and stage.outputs] or scope.stages[:1])
    )
    key = draw(st.sampled_from(sorted(source.outputs) or ["n"]))
    needs.add(source.query)
    member = f'.["{source.name}"]'
    selector = draw(st.sampled_from([f"{member}[]", f"[{member}[]]", f"{member}[0]"]))
    flat = "[.a | flatten | .[]" if draw(st.booleans()) else "[.a | .[]"
    scripts = [" | {a: .}]", " | {a: [.], b: 2.0}]", " | {b: 1, a: .}] | .[0:2]"]
    scheduler: dict[str, Any] = {
        "scheduler_type": "jq-stage",
        "bindings": {"a": {"$wflowref": [selector, f".{key}"]}, "c": draw(_literal(scope.odd))[0]},
        "stepscript": flat + draw(st.sampled_from(scripts)),
        "postscript": draw(st.sampled_from(['. + {out: "{workdir}/o.txt"}', '{a: .a, out: "{workdir}/o.txt", n: 3}'])),
    }
    stage = Stage(name, True)
    scheduler["step"], stage.outputs = draw(_step(["a"], scope.odd))
    return {"name": name, "scheduler": scheduler}, stage
