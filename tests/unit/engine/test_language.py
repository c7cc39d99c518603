"""The language through the engine: rounds, scopes, scatters, jq, registered values, predictions that look at files."""

from __future__ import annotations

from typing import Any

import pytest
from engine_run import Run
from engine_stages import globbing, jq_stage, multi, output, single, step

from reana_lite.event import Look, Question, QuestionKind, RunState, SubmitJob
from reana_lite.job import INIT_ROOT, RUN_ROOT, Input

ECHO = step("echo {x}", {"publisher_type": "frompar-pub", "outputmap": {"x": "x"}})


def x_of(run: Run, path: str) -> Any:
    """The parameter x of a node."""
    return run.nodes[path]["parameters"]["x"]


# -- order of application ----------------------------------------------------------------------------------------------
def test_every_application_passes_over_the_next_stage(run: Run) -> None:
    """Of a b c d e, all ready, the first round applies a c e, then b, then d: what each finds tells the order."""
    many = {"expression_type": "stage-output-selector", "stages": "a,b,c,d,e", "output": "x"}
    run.start([single(name, {"x": many if name in "bd" else name}, ECHO) for name in "abcde"])
    assert x_of(run, "/b/0") == ["a", "c", "e"]
    assert x_of(run, "/d/0") == ["a", ["a", "c", "e"], "c", "e"]
    run.go()


def test_a_stage_that_does_not_declare_init_is_applied_before_it(run: Run) -> None:
    run.start([single("a", {"x": output("init", "v", many=True)}, ECHO)], {"v": 1})
    assert run.go().state is RunState.FINISHED
    assert x_of(run, "/a/0") == []


def test_reading_what_was_laid_out_in_the_same_round_ends_the_run(run: Run) -> None:
    run.start([single("a", {"x": 1}, ECHO), single("b", {"x": 1}, ECHO), single("c", {"x": output("a", "x")}, ECHO)])
    assert run.finish is not None
    assert run.finish.error == (
        "stage /c: parameter 'x': it reads outputs of /a/0, which are not known yet; declare 'a' in `dependencies`"
    )


# -- references --------------------------------------------------------------------------------------------------------
def test_null_and_false_make_no_edge(run: Run) -> None:
    values = {"n": None, "f": False, "e": [], "m": {}, "t": True, "z": 0, "s": ""}
    constant = {"publisher_type": "constant-pub", "publish": values}
    run.start(
        [
            single("a", {}, step(publisher=constant)),
            single("b", {"x": output("a", "n"), "f": output("a", "f"), "e": output("a", "e")}, ECHO, after=["a"]),
            single("c", {"x": output("a")}, ECHO, after=["a"]),
        ]
    )
    assert run.nodes["/b/0"]["inputs"] == []
    assert run.nodes["/c/0"]["inputs"] == [["/a/0", "/s"], ["/a/0", "/t"], ["/a/0", "/z"]]
    assert sorted(run.jobs) == ["/a/0", "/b/0"]
    run.go()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (output("a", "list"), [1, 2]),
        (output("a", "list[1]"), 2),
        (output("a", "dotted.key"), 3),
        (output("a", "list", many=True), [[1, 2]]),
        (output("a", "list", many=True, flatten=True), [1, 2]),
        (output("a", "list", many=True, unwrap=True), [1, 2]),
        (output("a", "one", many=True, flatten=True, unwrap=True), 5),
        (output("a,a", "one", many=True), [5, 5]),
        (output("nothere", "one", many=True), []),
        (output("a[0]", "one"), 5),
    ],
)
def test_selections(run: Run, expression: Any, expected: Any) -> None:
    publish = {"list": [1, 2], "dotted.key": 3, "one": 5}
    run.start(
        [
            single("a", {}, step(publisher={"publisher_type": "constant-pub", "publish": publish})),
            single("b", {"x": expression}, ECHO, after=["a"]),
        ]
    )
    run.go()
    assert x_of(run, "/b/0") == expected


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        (output("nothere", "x"), "must select exactly one node, it selects 0"),
        (output("m", "x"), "must select exactly one node, it selects 2"),
        (output("a", "y"), "the output 'y' selects nothing in the outputs of /a/0; it has: x"),
        (output("a", "$.*.*"), "cannot be applied|selects nothing"),
        (output("a", "x[0]"), "applied to a single value"),
        ({"expression_type": "other"}, "unknown expression_type 'other'"),
        ({"expression_type": "stage-output-selector"}, "none of `step`, `stages`, `steps`"),
        ({**output("a", "x", many=True), "steps": "a"}, "mean the same"),
        (output("m[*] | sub", "x", many=True), "selects nodes and sub-workflows at once|an index"),
        (output("1st", "x"), "unexpected '1'"),
    ],
)
def test_selections_that_end_the_run(run: Run, expression: Any, reason: str) -> None:
    run.start(
        [
            single("a", {"x": 1}, ECHO),
            multi("m", {"x": [1, 2]}, ["x"], ECHO),
            single("sub", {"x": 1}, [single("i", {"x": 1}, ECHO)]),
            single("b", {"x": expression}, ECHO, after=["a", "m"]),
        ]
    )
    run.go()
    assert run.finish is not None
    assert run.finish.state is RunState.FAILED
    assert run.finish.error.startswith("stage /b: parameter 'x': ")
    assert any(part in run.finish.error for part in reason.split("|"))


# -- scattering --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("parameters", "over", "more", "expected"),
    [
        ({"x": [1, 2], "y": "ab"}, ["x", "y"], {}, [(1, "a"), (2, "b")]),
        ({"x": [1, 2, 3], "y": "ab"}, ["x", "y"], {}, [(1, "a"), (2, "b")]),
        (
            {"x": [1, 2], "y": "ab"},
            ["x", "y"],
            {"method": "cartesian"},
            [(1, "a"), (1, "b"), (2, "a"), (2, "b")],
        ),
        (
            {"x": [1, 2], "y": "ab"},
            ["y", "x"],
            {"method": "cartesian"},
            [(1, "a"), (2, "a"), (1, "b"), (2, "b")],
        ),
        ({"x": [1, 2, 3], "y": 0}, ["x"], {"batchsize": 2}, [([1, 2], 0), ([3], 0)]),
        ({"x": [1, 2, 3], "y": 0}, ["x"], {"batchsize": -1}, []),
        ({"x": [1, 2, 3], "y": 0}, ["x"], {"batchsize": 0}, [(1, 0), (2, 0), (3, 0)]),
        ({"x": [1, 2, 3, 4, 5, 6, 7], "y": 0}, ["x"], {"partitionsize": 3}, [([1, 2], 0), ([3, 4], 0), ([5, 6, 7], 0)]),
        ({"x": [1, 2], "y": 0}, ["x"], {"partitionsize": 9}, [([1], 0), ([2], 0)]),
        ({"x": {"b": 1, "a": 2}, "y": 0}, ["x"], {}, [("b", 0), ("a", 0)]),
        ({"x": 1, "y": 0}, [], {"method": "cartesian"}, [(1, 0)]),
        ({"x": [1], "y": 0}, ["x"], {"method": "typo"}, []),
    ],
)
def test_scatter(run: Run, parameters: Any, over: list[str], more: Any, expected: list[Any]) -> None:
    run.start([multi("m", parameters, over, ECHO, **more)])
    run.go()
    assert [(n["parameters"]["x"], n["parameters"]["y"]) for n in run.nodes.values()] == expected
    assert [n["name"] for n in run.nodes.values()] == [f"m_{i}" for i in range(len(expected))]


@pytest.mark.parametrize(
    ("parameters", "over", "more", "reason"),
    [
        ({"x": 1}, ["x"], {}, "needs a list for the parameter 'x', not 1"),
        ({"x": [1]}, ["y"], {}, "names the parameter 'y', which the stage does not have"),
        ({"x": [1]}, [], {}, "method zip needs at least one parameter"),
        ({"x": [1]}, ["x"], {"batchsize": 2.0}, "`batchsize` must be an integer"),
        ({"x": output("init", "v")}, ["x"], {}, "not the single value 'text'"),
    ],
)
def test_scatters_that_end_the_run(run: Run, parameters: Any, over: Any, more: Any, reason: str) -> None:
    run.start([multi("m", parameters, over, ECHO, after=["init"], **more)], {"v": "text"})
    finish = run.go()
    assert finish.state is RunState.FAILED
    assert reason in finish.error


def test_cases_keep_their_number_but_not_their_position(run: Run) -> None:
    run.start([multi("m", {"x": [1, 2, 3, 4]}, ["x"], [{"if": ".x == 1 or .x == 4", "step": ECHO}])])
    assert [(path, node["name"]) for path, node in run.nodes.items()] == [("/m/0", "m_0"), ("/m/1", "m_3")]
    run.go()


@pytest.mark.parametrize(("condition", "chosen"), [("0", 0), ('""', 0), ("[]", 0), ("{}", 0), ("[0]", 1), ('"0"', 1)])
def test_conditions_are_true_in_the_sense_of_python(run: Run, condition: str, chosen: int) -> None:
    run.start([single("a", {"x": 1}, [{"if": condition, "step": ECHO}])])
    run.go()
    assert len(run.nodes) == chosen


def test_a_stage_without_members_is_never_ready_for_others(run: Run) -> None:
    run.start(
        [
            multi("m", {"x": []}, ["x"], ECHO),
            single("b", {"x": output("m", "x", many=True)}, ECHO, after=["m"]),
            single("c", {"x": output("m", "x", many=True)}, ECHO),
        ]
    )
    assert run.go().state is RunState.FINISHED
    assert list(run.nodes) == ["/c/0"]


# -- sub-workflows and registered values -------------------------------------------------------------------------------
SUB = [single("leaf", {"x": output("init", "x")}, ECHO, after=["init"])]


def test_sub_workflows_have_scopes_and_folders_of_their_own(run: Run) -> None:
    run.start(
        [
            multi("sub", {"x": [7, 8]}, ["x"], SUB),
            single("all", {"x": output("sub[*].leaf", "x", many=True)}, ECHO, after=["sub"]),
        ]
    )
    run.go()
    assert list(run.nodes) == [
        "/all/0", "/sub/0/init/0", "/sub/0/leaf/0", "/sub/1/init/0", "/sub/1/leaf/0",
    ]  # fmt: skip
    assert run.nodes["/sub/1/leaf/0"]["readwrite"] == [f"{RUN_ROOT}/sub_1/leaf"]
    assert run.nodes["/sub/1/init/0"]["name"] == "init_sub_1"
    assert x_of(run, "/all/0") == [7, 8]


def test_a_dependency_on_sub_workflows_waits_for_all_that_is_inside(run: Run) -> None:
    inner = [
        single("one", {}, step("touch o", globbing("o*")), after=["init"]),
        single("two", {"x": output("one", "out")}, ECHO, after=["one"]),
    ]
    run.start(
        [
            multi("sub", {"i": [1, 2]}, ["i"], inner),
            single("all", {"x": output("sub[*].two", "x", many=True)}, ECHO, after=["sub"]),
        ]
    )
    run.go(writing={"/sub/0/one/0": {"o": ""}, "/sub/1/one/0": {"o": ""}})
    assert x_of(run, "/all/0") == [[f"{RUN_ROOT}/sub_0/one/o"], [f"{RUN_ROOT}/sub_1/one/o"]]


def test_values_are_registered_in_a_scope_and_read_from_above(run: Run) -> None:
    value = output("leaf", "x")
    inner = [
        single("leaf", {"x": 5}, ECHO, register_values={"v": value}),
        single("end", {"x": 1}, ECHO, after=["leaf"]),
    ]
    from_value = {"expression_type": "fromvalue", "key": "v"}
    run.start(
        [
            single("sub", {}, inner),
            single("a", {"x": output("sub", "v"), "y": output("sub", "nothere")}, ECHO, after=["sub"]),
            single("b", {"x": {**from_value, "scope": "sub"}}, ECHO, after=["sub"]),
            single("c", {"x": from_value}, ECHO, after=["sub"]),
        ]
    )
    run.go()
    assert [x_of(run, f"/{name}/0") for name in "abc"] == [5, 5, None]
    assert run.nodes["/a/0"]["inputs"] == [["/sub/0/leaf/0", "/x"]]
    assert run.nodes["/a/0"]["parameters"]["y"] is None


def test_a_value_registered_twice_ends_the_run(run: Run) -> None:
    more = {"register_values": {"v": output("a", "x")}}
    run.start([single("a", {"x": 1}, ECHO, **more), single("z", {"x": 1}, ECHO), single("b", {"x": 1}, ECHO, **more)])
    assert run.finish is not None
    assert run.finish.error == "stage /b: the value 'v' is already registered in this scope"


def test_scopes_two_levels_down_cannot_be_reached(run: Run) -> None:
    middle = [single("mid", {}, [single("leaf", {"x": 1}, ECHO)])]
    run.start([single("top", {}, middle), single("b", {"x": 1}, ECHO, after=["top[*].mid"])])
    run.go()
    assert run.finish is not None
    assert "stage /b: its dependency 'top[*].mid': the scope '/mid/0' cannot be reached" in run.finish.error


def test_workdir_cannot_be_passed_to_a_sub_workflow(run: Run) -> None:
    run.start([single("sub", {"x": "{workdir}/x"}, SUB)])
    assert run.finish is not None
    assert "node /sub/0/init/0: the text '{workdir}/x' in a parameter cannot be used" in run.finish.error


def test_a_name_cannot_leave_the_workspace(run: Run) -> None:
    run.start([single("../../x", {"x": 1}, ECHO)])
    assert run.finish is not None
    assert "makes a folder outside of the workspace" in run.finish.error


# -- jq-stage ----------------------------------------------------------------------------------------------------------
def test_a_jq_stage_moves_references_about(run: Run) -> None:
    bindings = {"all": {"$wflowref": [".m[]", ".x"]}, "k": 2.0}
    run.start(
        [
            multi("m", {"x": ["p", "q"]}, ["x"], ECHO),
            jq_stage(
                "j", bindings, "[.all[] | {x: .[0], k: 2.0}]", after=["m"], postscript='. + {y: (.x + "!")}', step=ECHO
            ),
        ]
    )
    run.go()
    assert [run.nodes[f"/j/{i}"]["parameters"] for i in range(2)] == [
        {"x": "p", "k": 2, "y": "p!"}, {"x": "q", "k": 2, "y": "q!"},
    ]  # fmt: skip
    assert run.nodes["/j/1"]["inputs"] == [["/m/1", "/x"]]
    assert run.nodes["/j/1"]["name"] == "j_1"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("5", "must give a list of parameters, not 5"),
        ("[5]", "parameters must be a mapping, a list or a string, not 5"),
        ("empty", "gave no output"),
        ("nothere(", "is not valid"),
        ('[{"$wflowpointer": {"step": "/nothere/0", "result": ""}}]', "points nowhere"),
    ],
)
def test_jq_stages_that_end_the_run(run: Run, script: str, reason: str) -> None:
    run.start([jq_stage("j", {}, script, step=ECHO)])
    assert run.finish is not None
    assert reason in run.finish.error


# -- files -------------------------------------------------------------------------------------------------------------
def test_texts_of_the_init_data_are_looked_up_before_anything_is_laid_out(run: Run) -> None:
    run.files = {f"{INIT_ROOT}/a.dat": "", f"{INIT_ROOT}/b.dat": ""}
    run.start(
        [single("s", {"x": output("init")}, ECHO, after=["init"])], {"f": "a.dat", "g": "*.dat", "t": "text", "n": 1}
    )
    (look,) = run.commands
    assert isinstance(look, Look)
    assert set(look.questions) == {
        Question(QuestionKind.EXISTS, f"{INIT_ROOT}/a.dat"),
        Question(QuestionKind.EXISTS, f"{INIT_ROOT}/*.dat"),
        Question(QuestionKind.GLOB, f"{INIT_ROOT}/*.dat"),
        Question(QuestionKind.EXISTS, f"{INIT_ROOT}/text"),
    }
    assert run.engine.snapshot()["unapplied_stages"] == ["/s"]
    run.go()
    both = [f"{INIT_ROOT}/a.dat", f"{INIT_ROOT}/b.dat"]
    assert x_of(run, "/s/0") == {"f": f"{INIT_ROOT}/a.dat", "g": both, "n": 1, "t": "text"}


def test_numbers_alone_need_no_look(run: Run) -> None:
    run.start([single("s", {"x": output("init", "n")}, ECHO, after=["init"])], {"n": [1, 2.0]})
    assert [type(command) for command in run.commands] == [SubmitJob]
    assert run.results()["/init/0"] == {"n": [1, 2]}
    run.go()


def test_a_sub_workflow_finds_files_of_the_step_its_parameters_came_from(run: Run) -> None:
    """Laid out before the files are there: its init node changes when they appear, its inner stages keep what they saw."""
    run.start(
        [
            single("up", {"x": "a.txt"}, ECHO),
            single("sub", {"x": output("up", "x")}, SUB, after=["up"]),
            single("late", {"x": output("sub[0].init", "x")}, ECHO, after=["sub", "slow"]),
            single("slow", {}, step(publisher=globbing("*"))),
        ]
    )
    assert run.results()["/sub/0/init/0"] == {"x": "a.txt"}
    assert x_of(run, "/sub/0/leaf/0") == "a.txt"
    run.finish_job("/up/0", writes={"a.txt": ""})
    run.go()
    assert run.results()["/sub/0/init/0"] == {"x": f"{RUN_ROOT}/up/a.txt"}
    assert x_of(run, "/sub/0/leaf/0") == "a.txt"
    assert x_of(run, "/late/0") == f"{RUN_ROOT}/up/a.txt"


def test_an_exact_name_is_predicted_without_files_and_found_afterwards(run: Run) -> None:
    publisher = {
        "publisher_type": "fromparjq-pub", "script": ".", "tryExact": True, "glob": False, "relative_paths": True,
    }  # fmt: skip
    run.start(
        [
            single("a", {"x": "o.txt", "here": "."}, step("touch o.txt", publisher)),
            single("b", {"x": output("a", "x")}, ECHO, after=["a"]),
        ]
    )
    assert run.results()["/a/0"] == {"x": "o.txt", "here": f"{RUN_ROOT}/a/."}
    assert run.jobs["/a/0"].questions == (Question(QuestionKind.EXISTS, f"{RUN_ROOT}/a/o.txt"),)
    run.finish_job("/a/0", writes={"o.txt": ""})
    run.go()
    assert run.results()["/a/0"] == {"x": f"{RUN_ROOT}/a/o.txt", "here": f"{RUN_ROOT}/a/."}
    assert x_of(run, "/b/0") == "o.txt"


@pytest.mark.parametrize(
    ("publisher", "expected"),
    [
        (globbing("*.txt"), {"out": [f"{RUN_ROOT}/a/1.txt", f"{RUN_ROOT}/a/2.txt"]}),
        (globbing("*.root"), {"out": "*.root"}),
        (
            {"publisher_type": "fromglob-pub", "globexpression": "/?.txt", "outputkey": "k"},
            {"k": [f"{RUN_ROOT}/a/1.txt", f"{RUN_ROOT}/a/2.txt"]},
        ),
        ({"publisher_type": "fromyaml-pub", "yamlfile": "o.yml"}, {"b": [2.0], "n": None}),
        (
            {
                "publisher_type": "interpolated-pub", "glob": False, "relative_paths": True,
                "publish": {"p": "{x}.txt", "l": ["{workdir}", 1], "n": 2.0},
            },
            {"p": f"{RUN_ROOT}/a/[1, 2].txt", "l": [f"{RUN_ROOT}/a", 1], "n": 2.0},
        ),
        ({"publisher_type": "constant-pub", "publish": {"k": "{x}"}}, {"k": "{x}"}),
        ({"publisher_type": "frompar-pub", "outputmap": {"k": ["x", None]}}, {"k": [[1, 2], None]}),
        (
            {"publisher_type": "fromparjq-pub", "script": "{k: .x[0]}", "tryExact": True, "glob": True,
             "relative_paths": True},
            {"k": 1},
        ),
    ],
)  # fmt: skip
def test_publishers(run: Run, publisher: Any, expected: Any) -> None:
    run.start([single("a", {"x": [1, 2]}, step(publisher=publisher))])
    run.finish_job("/a/0", writes={"1.txt": "", "2.txt": "", "o.yml": {"n": None, "b": [2.0]}})
    assert run.results()["/a/0"] == expected


# -- inputs of jobs ----------------------------------------------------------------------------------------------------
def test_inputs_are_ancestors_whose_folder_is_named_with_or_without_an_edge(run: Run) -> None:
    run.start(
        [
            single("a", {"x": "{workdir}/x"}, ECHO),
            single("a1", {"x": "{workdir}/x"}, ECHO),
            single("b", {"x": output("a", "x"), "y": output("a1", "x")}, ECHO, after=["a", "a1"]),
            single(
                "c",
                {"x": output("b", "x"), "out": "o"},
                step(f"cat {RUN_ROOT}/a1/x.{{x}} {RUN_ROOT}/nowhere"),
                after=["b"],
            ),
            single("d", {"x": 1, "out": "o"}, step(f"cat {RUN_ROOT}/a/x")),
        ]
    )
    run.go()
    assert [tree.folder for tree in run.jobs["/b/0"].inputs] == [f"{RUN_ROOT}/a"]
    assert [tree.folder for tree in run.jobs["/d/0"].inputs] == []
    # c names a1 by hand and, through what b passed on, a: both are ancestors although it has an edge to b only
    assert [tree.folder for tree in run.jobs["/c/0"].inputs] == [f"{RUN_ROOT}/a", f"{RUN_ROOT}/a1"]


def test_a_folder_above_others_names_all_ancestors_below_it(run: Run) -> None:
    run.start(
        [
            multi("sub", {"x": [1, 2]}, ["x"], [single("leaf", {"x": output("init", "x")}, ECHO, after=["init"])]),
            single("b", {"x": output("sub[0].leaf", "x")}, ECHO, after=["sub"]),
            single(
                "c",
                {"y": output("b", "x"), "out": "o"},
                step(f"ls {RUN_ROOT}/sub_0 '{RUN_ROOT}/b/../sub_1'/"),
                after=["b"],
            ),
        ]
    )
    run.go()
    assert [tree.folder for tree in run.jobs["/c/0"].inputs] == [f"{RUN_ROOT}/sub_0/leaf"]


def test_what_others_left_in_a_nodes_own_folder_is_its_input_in_the_order_in_which_they_ended(run: Run) -> None:
    run.start(
        [
            single("twin", {"out": "x"}, step("touch x")),
            single("twin", {"out": "y"}, step("touch y")),
            single("gate", {"out": "g"}, step("touch g", globbing("g"))),
            single("twin", {"out": output("gate", "out")}, step("touch z"), after=["gate"]),
            single("late", {"out": "l"}, step("touch l", globbing("l"))),
            single("reader", {"out": output("late", "out")}, step(f"ls {RUN_ROOT}/twin"), after=["late"]),
        ]
    )
    assert run.jobs["/twin/0"].inputs == run.jobs["/twin/1"].inputs == ()
    run.finish_job("/twin/1")
    run.finish_job("/gate/0", writes={"g": ""})
    run.finish_job("/twin/0")
    run.finish_job("/late/0", writes={"l": ""})
    second, first = (Input(f"{RUN_ROOT}/twin", f"key/twin/{n}", 1, f"sha256:/twin/{n}") for n in (1, 0))
    assert run.jobs["/twin/2"].inputs == (second,)  # it began before the other had ended
    assert run.jobs["/reader/0"].inputs == (second, first)


def test_files_of_the_start_are_inputs_by_the_innermost_folder_named(run: Run) -> None:
    trees = tuple(
        Input(f"{INIT_ROOT}/{name}", f"tree-{name}", 0, f"sha256:{name}") for name in ("theory", "odd name", "deep/one")
    )
    run.start(
        [
            single("a", {"out": "o"}, step(f"cat {INIT_ROOT}/theory/x.slha")),
            single("b", {"out": "o"}, step(f"ls {INIT_ROOT}/")),
            single("c", {"out": "o"}, step(f"cat '{INIT_ROOT}/odd name/x' {INIT_ROOT}/deep/*")),
            single("d", {"out": "o"}, step(f"cat {INIT_ROOT}-other/theory {INIT_ROOT}/theory_2")),
        ],
        trees=trees,
    )
    run.go()
    named = {node: [tree.key for tree in job.inputs] for node, job in run.jobs.items()}
    assert named == {
        "/a/0": ["tree-theory"],
        "/b/0": ["tree-deep/one", "tree-odd name", "tree-theory"],
        "/c/0": ["tree-deep/one", "tree-odd name"],
        "/d/0": [],
    }


# -- nothing to do -----------------------------------------------------------------------------------------------------
def test_a_run_that_did_nothing_says_why(run: Run) -> None:
    run.start([single("a", {"x": 1}, ECHO, after=["init"]), single("b", {"x": 1}, ECHO, after=["a"])])
    end = run.go()
    assert end.state is RunState.FINISHED
    assert end.error == (
        "nothing was computed: no parameters or input files were given, and the stages wait for them (a, b)"
    )


def test_a_run_whose_stages_wait_for_something_else_says_so(run: Run) -> None:
    run.start([single(f"a{n}", {"x": 1}, ECHO, after=["nobody"]) for n in range(7)], {"v": 1})
    end = run.go()
    assert (end.state, end.error) == (
        RunState.FINISHED,
        "nothing was computed: what the stages wait for did not come about (a0, a1, a2, a3, a4 and 2 more)",
    )


def test_a_run_that_did_something_says_nothing(run: Run) -> None:
    run.start([single("a", {"x": 1}, ECHO), single("b", {"x": 1}, ECHO, after=["nobody"])])
    assert (run.go().error, run.finish.error if run.finish else None) == ("", "")
