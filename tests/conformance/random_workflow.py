"""Hypothesis strategies for random workflows of the Yadage language with their init data, for test_differential.py.

A workflow is built stage by stage: each stage draws its parameters from what earlier stages of its scope publish, so
that most runs come to their end; a part of them has an odd string, a missing output or a failing command, because the
errors must agree too. What depends on timing in yadage itself (names of files that another step writes later, its own
folders inside of a step's folder) is left out.
"""

from __future__ import annotations

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


@dataclass
class Stage:
    """What later stages can know of a stage: how many members, nodes or scopes, and the kinds of its outputs."""

    name: str
    many: bool
    outputs: dict[str, str] = field(default_factory=dict)
    inner: list[Stage] | None = None
    registered: dict[str, str] = field(default_factory=dict)


@dataclass
class Scope:
    """The stages of a scope so far; `depth` 0 is the workflow itself. `twin`: there may be others of the same text."""

    stages: list[Stage]
    depth: int = 0
    odd: bool = False
    twin: bool = False


def case(*, odd: bool = True) -> st.SearchStrategy[Case]:
    """A random workflow. With `odd` some have strange strings, failing commands and missing outputs."""
    return _case(odd)


@st.composite
def _case(draw: st.DrawFn, allow_odd: bool) -> Case:
    odd = allow_odd and draw(st.sampled_from([False, False, False, True]))
    data, kinds = draw(_init_data(odd))
    scope = Scope([Stage("init", False, kinds)], odd=odd)
    count = draw(st.integers(1, 4))
    stages = [draw(_stage(scope, f"s{number}")) for number in range(count)]
    files = draw(st.sampled_from([(), ("in.txt",), ("in.txt", "one.dat", "two.dat")]))
    if draw(st.integers(0, 9)) == 9:
        stages = list(reversed(stages))
    return Case({"stages": stages}, data, files)


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
    how = draw(st.sampled_from(["one", "one", "literal", "many", "many"]))
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
    needs.add(stage.name)
    if want == "" and kind == "list" and draw(st.integers(0, 3)) == 3:
        return {"step": stage.name, "output": draw(st.sampled_from([f"{key}[0]", f"{key}[-1]"]))}, "scalar"
    if want == "" and scope.odd and draw(st.integers(0, 9)) == 9:
        return {"step": stage.name, "output": draw(st.sampled_from(["nothere", "$", "", f"{key}[5]"]))}, "other"
    return {"step": stage.name, "output": key}, kind


@st.composite
def _selection(draw: st.DrawFn, stage: Stage, needs: set[str], want: str) -> tuple[Any, str]:
    """Over several nodes or scopes: all, some by index or slice, those inside of scopes, or what a scope registered."""
    if stage.inner is not None and (not stage.registered or draw(st.booleans())):
        inside = draw(st.sampled_from(stage.inner))
        query = f"{stage.name}[*].{inside.name}"
        if inside.inner is not None:
            deeper = draw(st.sampled_from(inside.inner))
            query, inside = f"{query}[*].{deeper.name}", deeper
        keys = inside.outputs if inside.inner is None else inside.registered
        needs.add(stage.name)
    else:
        pieces = ["", "[*]", "[0]", "[-1]", "[1:]", "[0:2]"]
        query = stage.name + draw(st.sampled_from(pieces))
        keys = stage.registered if stage.inner is not None else stage.outputs
        needs.add(stage.name)
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
    match draw(st.sampled_from(["frompar", "interpolated", "fromglob", "fromyaml", "fromparjq", "constant", "pure"])):
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
    kinds = ["single", "single", "scatter", "scatter", "cases"] + (["sub", "subs"] if scope.depth < 2 else [])
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
            want = "list" if kind in ("scatter", "subs") else ""
            parameters[letter], value_kinds[letter] = draw(_value(scope, needs, want))
        scheduler: dict[str, Any] = {"scheduler_type": "singlestep-stage", "parameters": parameters}
        many = kind in ("scatter", "subs")
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
        elif kind == "cases":
            test = draw(st.sampled_from(["true", ".a == 1", '.a | type == "string"', ".a | length", "0", ".b"]))
            first, outputs = draw(_step(sorted(value_kinds), scope.odd))
            second, others = draw(_step(sorted(value_kinds), scope.odd))
            scheduler["cases"] = [{"if": test, "step": first}, {"if": "true", "step": second}]
            stage.outputs = {key: outputs[key] for key in outputs.keys() & others.keys()}
        else:
            scheduler["step"], stage.outputs = draw(_step(sorted(value_kinds), scope.odd))
        document = {"name": name, "scheduler": scheduler}
    document["dependencies"] = draw(_dependencies(sorted(needs), scope))
    scope.stages.append(stage)
    return document


@st.composite
def _dependencies(draw: st.DrawFn, needs: list[str], scope: Scope) -> Document:
    """What a stage waits for: all that it reads, in one of the language's forms; sometimes more."""
    more = draw(st.sampled_from([stage.name for stage in scope.stages]))
    wanted = sorted({*needs, more}) if draw(st.booleans()) or not needs else needs
    form = draw(st.integers(0, 9))
    if form == 9 and all(stage.outputs for stage in scope.stages if stage.name in wanted):
        outputs = {stage.name: next(iter(stage.outputs)) for stage in scope.stages if stage.name in wanted}
        expressions = [
            {"expression_type": "stage-output-selector", "stages": name, "output": key} for name, key in outputs.items()
        ]
        return {"dependency_type": "expressions_fulfilled", "expressions": expressions}
    if form >= 7:
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
        if not made.many and made.inner is None and made.outputs and draw(st.booleans()):
            key = draw(st.sampled_from(sorted(made.outputs)))
            value = {"expression_type": "stage-output-selector", "step": made.name, "output": key}
            document["scheduler"]["register_values"] = {f"r{number}": value}
            stage.registered[f"r{number}"] = made.outputs[key]
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
    needs.add(source.name)
    selector = draw(st.sampled_from([f".{source.name}[]", f"[.{source.name}[]]", f".{source.name}[0]"]))
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
