"""What can be named as TARGET, on real files: the five kinds, their options, and what is refused before a job starts."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from reana_lite.artifact import Manifest
from reana_lite.catalogue import Sources, create
from reana_lite.errors import InvalidAnalysis, InvalidInput, InvalidWorkflow, NotFound, ReanaLiteError
from reana_lite.job import INIT_ROOT, Input
from reana_lite.serial import Serial
from reana_lite.target import Prepared, TargetKind, TargetOptions, resolve

FLOW = """\
stages:
- name: hello
  dependencies: [init]
  scheduler:
    scheduler_type: singlestep-stage
    parameters: {name: {step: init, output: name}, out: '{workdir}/out'}
    step: {$ref: 'steps.yml#/hello'}
"""
STEPS = """\
hello:
  process: {process_type: string-interpolated-cmd, cmd: 'echo {name} > {out}'}
  environment: {environment_type: localproc-env}
  publisher: {publisher_type: frompar-pub, outputmap: {out: out}}
"""


class Shelf:
    """A storage that only remembers what it was asked to keep."""

    def __init__(self) -> None:
        self.trees: dict[str, list[str]] = {}

    def keep_tree(self, source: Path, folder: str) -> Input:
        files = [source] if source.is_file() else [path for path in source.rglob("*") if not path.is_dir()]
        base = source.parent if source.is_file() else source
        self.trees[folder] = sorted(str(path.relative_to(base)) for path in files)
        return Input(folder, folder, 0, Manifest().digest)

    def keep_bytes(self, files: dict[str, bytes], folder: str) -> Input:
        self.trees[folder] = sorted(files)
        return Input(folder, folder, 0, Manifest().digest)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def take(here: Path, target: str, *, search: Path | None = None, **options: Any) -> Prepared:
    sources = Sources(search=() if search is None else (search,), downloads=here.parent / "downloads", timeout_s=2.0)
    scratch = here.parent / "scratch"
    return resolve(target, options=TargetOptions(folder=here, scratch=scratch, **options), sources=sources)


def refused(here: Path, target: str, **options: Any) -> ReanaLiteError:
    with pytest.raises(ReanaLiteError) as caught:
        take(here, target, **options)
    return caught.value


def kept(prepared: Prepared) -> dict[str, list[str]]:
    shelf = Shelf()
    init = prepared.keep(shelf)  # type: ignore[arg-type]
    assert [tree.folder for tree in init.trees] == list(shelf.trees)
    assert init.parameters == prepared.parameters
    return shelf.trees


def flow(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "workflow.yml").write_text(FLOW)
    (folder / "steps.yml").write_text(STEPS)
    return folder


# -- analyses ----------------------------------------------------------------------------------------------------------


def test_an_analysis_by_folder_file_and_name(here: Path) -> None:
    create("mine", here / "mine")
    for target in ("mine", "./mine", "mine/analysis.yml", str(here / "mine")):
        prepared = take(here, target, example="default", search=here)
        assert prepared.kind is TargetKind.ANALYSIS
        assert prepared.name == "mine"
    assert prepared.parameters["n_events"] == 4000
    assert prepared.parameters["code_limit"] == f"{INIT_ROOT}/code_limit/limit.py"
    assert prepared.parameters["theory"] == f"{INIT_ROOT}/theory/theory.json"
    assert prepared.parameters["theory_format"] == "parameters"
    assert not prepared.discover
    assert not prepared.relative
    assert list(prepared.stand_ins) == list(prepared.options["stand_ins"]) == ["docker.io/library/python:3.12-slim"]
    assert [result.name for result in prepared.results] == ["result", "counts"]
    assert prepared.workflow["stages"][0]["name"] == "generate"
    assert kept(prepared)[f"{INIT_ROOT}/code_limit"] == ["limit.py"]
    json.dumps([prepared.workflow, prepared.parameters, prepared.options])


def test_a_theory_of_the_users(here: Path) -> None:
    create("mine", here / "mine")
    (here / "point.yaml").write_text("m_gluino: 1500\nm_lsp: 100\nxsec_pb: 0.01\n")
    prepared = take(here, "mine", files=("point.yaml",), assignments=("n_events=200", "blocks=[7]"))
    assert prepared.theory.name == "point"
    assert prepared.values == {"n_events": 200, "blocks": [7]}
    assert prepared.parameters["theory_files"] == {"parameters": [prepared.parameters["theory"]]}


def test_equal_theories_are_equal_whatever_the_file_is_called(here: Path) -> None:
    create("mine", here / "mine")
    (here / "a.yml").write_text("m_gluino: 2000\nm_lsp: 0\nxsec_pb: 0.00101\n")
    one = take(here, "mine", files=("a.yml",))
    two = take(here, "mine", example="default")
    assert one.parameters == two.parameters
    assert one.brought[-1] != one.brought[0]
    assert next(b.files for b in one.brought if "theory" in b.folder).keys() == {"theory.json"}


@pytest.mark.parametrize(
    ("options", "kind", "reason"),
    [
        ({}, InvalidInput, "mine needs a theory file (parameters); or try --example default"),
        ({"example": "defualt"}, NotFound, "did you mean default?"),
        ({"example": "default", "assignments": ("n_evnts=5",)}, InvalidInput, "did you mean n_events?"),
        ({"example": "default", "assignments": ("n_events=5",)}, InvalidInput, "a whole number from 100 to 1000000"),
        ({"example": "default", "assignments": ("n_events",)}, InvalidInput, "is not KEY=VALUE"),
        ({"example": "default", "data_options": ("initdir=x",)}, InvalidInput, "do not apply to an analysis"),
        ({"files": ("none.slha",)}, InvalidInput, "does not exist"),
        ({"files": ("mine",)}, InvalidInput, "is a folder"),
        ({"files": ("empty",)}, InvalidInput, "empty"),
        ({"files": ("events.lhe.gz",)}, InvalidInput, "events.lhe.gz"),
    ],
)
def test_what_an_analysis_refuses(here: Path, options: dict[str, Any], kind: type[Exception], reason: str) -> None:
    create("mine", here / "mine")
    (here / "empty").touch()
    (here / "events.lhe.gz").write_bytes(gzip.compress(b"<LesHouchesEvents version='1.0'>\n")[:-12])
    error = refused(here, "./mine", **options)
    assert type(error) is kind
    assert reason in error.message


def test_checking_needs_no_theory_and_reads_all_of_them(here: Path) -> None:
    folder = create("mine", here / "mine")
    assert take(here, "mine", checking=True).example == "default"
    (folder / "examples" / "heavy.yml").write_text("m_gluino: 1_000\nm_lsp: 0\n")
    error = refused(here, "mine", checking=True)
    assert isinstance(error, InvalidAnalysis)
    assert [fault.path for fault in error.faults] == ["/examples/heavy/theory", "/tests/1/theory"]
    assert "heavy.yml" in error.message
    text = (folder / "analysis.yml").read_text()
    (folder / "analysis.yml").write_text(text[: text.index("examples:")])
    assert take(here, "mine", checking=True).parameters["theory"] == ""


def test_what_tools_leave_beside_code_changes_nothing(here: Path) -> None:
    folder = create("mine", here / "mine")
    text = (folder / "analysis.yml").read_text()
    for name in ("generate", "selection", "limit"):
        text = text.replace(f"code/{name}.py", "code")
    (folder / "analysis.yml").write_text(text)
    before = kept(take(here, "mine", example="default"))
    (folder / "code" / "__pycache__").mkdir()
    (folder / "code" / "__pycache__" / "limit.cpython-311.pyc").write_bytes(b"x")
    assert kept(take(here, "mine", example="default")) == before
    assert before[f"{INIT_ROOT}/code_limit"] == ["generate.py", "limit.py", "selection.py"]


def test_results_of_unknown_stages_are_faults_with_their_line(here: Path) -> None:
    folder = create("mine", here / "mine")
    text = (folder / "analysis.yml").read_text().replace("  stage: limit\n", "  stage: limits\n")
    (folder / "analysis.yml").write_text(text)
    error = refused(here, "mine", example="default")
    assert isinstance(error, InvalidAnalysis)
    assert f"analysis.yml:{text.splitlines().index('  stage: limits') + 1} /results/0/stage" in error.message
    assert "did you mean limit?" in error.message


def test_downloads_come_from_the_mirror(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = create("mine", here / "mine")
    content = b"{}"
    sha256 = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    extra = f"data:\n  likelihood: {{url: 'http://127.0.0.1:9/l.json', sha256: {sha256}}}\n"
    (folder / "analysis.yml").write_text((folder / "analysis.yml").read_text() + extra)
    (here / "mirror").mkdir()
    (here / "mirror" / "other-name").write_bytes(content)
    monkeypatch.setenv("RECAST_DATA_MIRROR", str(here / "mirror"))
    options = TargetOptions(folder=here, scratch=here.parent / "scratch", example="default")
    prepared = resolve("./mine", options=options)
    assert prepared.parameters["likelihood"] == f"{INIT_ROOT}/likelihood/l.json"
    assert kept(prepared)[f"{INIT_ROOT}/likelihood"] == ["l.json"]


# -- bare workflows ----------------------------------------------------------------------------------------------------


def test_a_workflow_file(here: Path) -> None:
    flow(here)
    (here / "one.yml").write_text("name: first\nn: 1\nlist: [1]\n")
    (here / "two.yml").write_text("name: second\nlist: [2]\n")
    prepared = take(here, "workflow.yml", files=("one.yml", "two.yml"), assignments=("n=2", "text=a b"))
    assert prepared.kind is TargetKind.WORKFLOW
    assert prepared.parameters == {"name": "second", "n": 2, "list": [2], "text": "a b"}
    assert prepared.name == "here"
    assert prepared.brought == ()
    assert (prepared.discover, prepared.relative) == (True, True)
    assert prepared.workflow["stages"][0]["scheduler"]["step"]["process"]["cmd"] == "echo {name} > {out}"


def test_input_yml_is_taken_without_being_named(here: Path) -> None:
    flow(here)
    (here / "input.yml").write_text("name: x\n")
    prepared = take(here, "workflow.yml")
    assert prepared.parameters == {"name": "x"}
    assert any("input.yml is taken as init file" in warning for warning in prepared.warnings)


def test_data_options(here: Path) -> None:
    flow(here)
    for name in ("data", "base/init", "base/sub"):
        (here / name).mkdir(parents=True)
        (here / name / "file").write_text(name)
    prepared = take(here, "workflow.yml", assignments=("name=x",), data_options=("initdir=data", "nest=false"))
    assert kept(prepared) == {INIT_ROOT: ["file"]}
    assert prepared.options == {"nest": False}
    prepared = take(
        here,
        "workflow.yml",
        assignments=("name=x",),
        data_options=("pathbase=base", "initdir=init", "subinits={part: sub, more: {_data: sub, in: init}}"),
        workflow_options=("discover=false", "relative=false"),
    )
    assert prepared.subinits == {
        "part": f"{INIT_ROOT}/.subinits/part/_data",
        "more": {"_data": f"{INIT_ROOT}/.subinits/more/_data", "in": f"{INIT_ROOT}/.subinits/more/in/_data"},
    }
    assert len(kept(prepared)) == 4
    assert (prepared.discover, prepared.relative) == (False, False)


def test_input_archives(here: Path) -> None:
    flow(here)
    with zipfile.ZipFile(here / "a.zip", "w") as out:
        out.writestr("top/in/x.txt", "1")
        out.writestr("top/y.txt", "2")
    for name in ("a.zip", (here / "a.zip").as_uri()):
        options = (f"inputarchive={name}", "archivematch='*/in/'")
        prepared = take(here, "workflow.yml", assignments=("name=x",), data_options=options)
        assert kept(prepared) == {INIT_ROOT: ["x.txt"]}
    error = refused(here, "workflow.yml", data_options=("inputarchive=a.zip", "archivematch='none/'"))
    assert "exactly one folder" in error.message
    assert "is no file" in refused(here, "workflow.yml", data_options=("inputarchive=b.zip",)).message
    assert "needs 'inputarchive'" in refused(here, "workflow.yml", data_options=("archivematch=x/",)).message


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"data_options": ("initdri=x",)}, "did you mean initdir?"),
        ({"data_options": ("nest=maybe",)}, "right is true or false"),
        ({"data_options": ("read=x",)}, "cannot be used"),
        ({"data_options": ("subinits=[1]",)}, "right is a mapping"),
        ({"data_options": ("subinits={a/b: x}",)}, "no name of a stage"),
        ({"workflow_options": ("discvr=true",)}, "did you mean discover?"),
        ({"assignments": ("word",)}, "is not KEY=VALUE"),
        ({"assignments": ("a=[1",)}, "is not YAML"),
        ({"assignments": ("a=2024-01-01",)}, "write it in quotes"),
        ({"files": ("absent.yml",)}, "cannot be read"),
        ({"files": ("list.yml",)}, "it must be a mapping"),
        ({"files": ("empty.yml",)}, "is empty"),
        ({"files": ("keys.yml",)}, "must be a text"),
        ({"files": ("broken.yml",)}, "broken.yml:2 is not YAML"),
        ({"files": ("circle.yml",)}, "a circle"),
        ({"files": ("binary.yml",)}, "is not YAML"),
        ({"files": ("bomb.yml",)}, "more than 2000000 values"),
    ],
)
def test_init_data_that_is_refused(here: Path, options: dict[str, Any], reason: str) -> None:
    flow(here)
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    bomb += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    for name, content in {
        "list": "- 1", "empty": "", "keys": "1: x", "broken": "a: 1\nb: [", "circle": "a: &a [*a]",
        "binary": "\x00\x01", "bomb": "\n".join(bomb),
    }.items():  # fmt: skip
        (here / f"{name}.yml").write_text(content)
    error = refused(here, "workflow.yml", **options)
    assert isinstance(error, InvalidInput | NotFound)
    assert reason in error.message


def test_paths_of_this_machine_are_warned_about(here: Path) -> None:
    flow(here)
    (here / "events.root").touch()
    prepared = take(here, "workflow.yml", parameters={"deep": {"in": [str(here / "events.root")]}})
    assert any("deep.in names" in warning and "initdir" in warning for warning in prepared.warnings)
    prepared = take(here, "workflow.yml", assignments=("name=x",), data_options=("initdir=/author/inputs",))
    assert any("/author/inputs does not exist" in warning for warning in prepared.warnings)
    assert any("no init data" in warning for warning in take(here, "workflow.yml").warnings)


def test_toplevels(here: Path) -> None:
    flow(here / "specs")
    (here / "specs" / "sub").mkdir()
    (here / "specs" / "sub" / "flow.yml").write_text(FLOW)  # references relative to the toplevel
    for target, toplevel in (("workflow.yml", "specs"), ("specs/sub/flow.yml", "specs"), ("sub/flow.yml", "specs"),
                             (str(here / "specs/sub/flow.yml"), str(here / "specs"))):  # fmt: skip
        assert take(here, target, toplevel=toplevel).workflow["stages"][0]["name"] == "hello"
    assert isinstance(refused(here, "specs/sub/flow.yml"), InvalidWorkflow)
    prepared = take(here / "specs", "sub/flow.yml")
    assert any("relative to" in warning for warning in prepared.warnings)
    assert isinstance(refused(here, "none.yml", toplevel="specs"), InvalidWorkflow)
    assert isinstance(refused(here, "workflow.yml", toplevel="speks"), NotFound)


def test_odd_file_names(here: Path) -> None:
    folder = flow(here / "a #b %20 c")
    (folder / "my flow #1.yml").write_text(FLOW)
    assert take(here, "a #b %20 c/my flow #1.yml").workflow["stages"]


# -- recast.yml --------------------------------------------------------------------------------------------------------

ENTRY = """\
name: tutorial/vhbb
metadata: {author: me, short_description: a tutorial}
spec: {workflow: workflow.yml}
example_inputs:
  default: {initdata: {name: standard model}, dataopts: {initdir: inputs}}
  newsignal: {initdata: {name: new}}
results:
- {name: limit, relpath: hello/out, load_yaml: true}
"""


def entry(here: Path, text: str = ENTRY) -> None:
    flow(here / "specs")
    (here / "inputs").mkdir(exist_ok=True)
    (here / "inputs" / "file").touch()
    (here / "recast.yml").write_text(text)


def test_an_entry_takes_its_default_example(here: Path) -> None:
    entry(here)
    for target in ("recast.yml", ".", "tutorial/vhbb"):
        prepared = take(here, target, search=here)
        assert prepared.kind is TargetKind.RECAST
        assert prepared.name == "tutorial/vhbb"
        assert prepared.parameters == {"name": "standard model"}
        assert kept(prepared) == {INIT_ROOT: ["file"]}
    assert prepared.results[0].path == "hello/out"
    assert take(here, ".", example="newsignal").parameters == {"name": "new"}
    assert take(here, ".", example="newsignal", assignments=("name=x",)).parameters == {"name": "x"}
    assert "did you mean newsignal?" in refused(here, ".", example="newsgnal").message


def test_an_entry_with_an_input_file(here: Path) -> None:
    entry(here)
    (here / "in.yml").write_text("initdata: {name: mine}\ndataopts: {initdir: inputs}\n")
    prepared = take(here, "recast.yml", files=("in.yml",))
    assert prepared.parameters == {"name": "mine"}
    (here / "in.yml").write_text("name: mine\n")
    assert "`initdata` and `dataopts`" in refused(here, "recast.yml", files=("in.yml",)).message


def test_the_authors_own_folders_are_named_before_the_first_job(here: Path) -> None:
    entry(here, ENTRY.replace("initdir: inputs", "initdir: /home/author/inputs"))
    assert "'initdir': /home/author/inputs does not exist" in refused(here, "recast.yml").message


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("name: tutorial/vhbb\n", "", "recast.yml:1 /name: 'name' is missing"),
        ("spec: {workflow: workflow.yml}", "spec: {}", "recast.yml:3 /spec: 'workflow'"),
        ("relpath: hello/out", "relpath: ../out", "leaves the workspace"),
        ("relpath: hello/out, ", "", "a name and a relpath"),
        ("workflow: workflow.yml}", "workflow: workflow.yml, toplevel: nowhere}", "no such folder"),
        ("metadata: {", "metadata: {{", "not YAML"),
    ],
)
def test_entries_that_are_refused(here: Path, old: str, new: str, reason: str) -> None:
    entry(here, ENTRY.replace(old, new))
    assert reason in refused(here, "recast.yml").message


# -- reana.yaml --------------------------------------------------------------------------------------------------------

REANA = """\
inputs:
  files: [first.yml, second.yml]
  directories: [data]
  parameters: {n: 1}
  options: {toplevel: flow, initdir: data/in, initfiles: [first.yml, second.yml]}
workflow: {type: yadage, file: workflow.yml}
outputs: {files: [hello/out], directories: [hello]}
"""


def reana(here: Path, text: str = REANA) -> None:
    flow(here / "flow")
    (here / "data" / "in").mkdir(parents=True, exist_ok=True)
    (here / "data" / "in" / "x").touch()
    (here / "data" / "other").touch()
    (here / "first.yml").write_text("name: first\nkey: 1\n")
    (here / "second.yml").write_text("name: second\n")
    (here / "reana.yaml").write_text(text)


def test_reana_with_a_yadage_workflow(here: Path) -> None:
    reana(here)
    prepared = take(here, "reana.yaml", assignments=("extra=5",))
    assert prepared.kind is TargetKind.REANA
    assert prepared.engine == "yadage"
    assert prepared.parameters == {"name": "second", "key": 1, "n": 1, "extra": 5}
    assert kept(prepared) == {INIT_ROOT: ["x"]}
    assert [result.path for result in prepared.results] == ["hello/out", "hello"]
    reana(here, REANA.replace("file: workflow.yml", "file: flow/workflow.yml"))
    assert take(here, ".").workflow == prepared.workflow
    reana(here, REANA.replace(", initdir: data/in", ""))
    assert kept(take(here, ".")) == {INIT_ROOT: ["data/in/x", "data/other", "first.yml", "second.yml"]}


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("type: yadage", "type: cwl", "reana.yaml:6 /workflow/type: workflow type 'cwl' cannot be run here"),
        ("initdir: data/in", "initdir: data/no", "no folder 'data/no'"),
        ("directories: [data]", "directories: []", "no folder 'data/in' among inputs.files"),
        ("files: [first.yml,", "files: [absent.yml,", "'absent.yml' does not exist"),
        ("files: [first.yml,", "files: [../x,", "reana.yaml:2 /inputs/files/0: '../x' must be a path inside"),
        ("toplevel:", "toplvel:", "did you mean toplevel?"),
        ("inputs:", "input:", "did you mean inputs?"),
        ("initfiles: [first.yml,", "initfiles: [no.yml,", "no.yml cannot be read"),
        ("file: workflow.yml", "file: /etc/passwd", "/workflow/file: '/etc/passwd' must be a path inside"),
        ("initfiles: [first.yml,", "initfiles: [../x,", "/initfiles/0: '../x' must be a path inside"),
        ("initfiles: [first.yml, second.yml]", "initfiles: first.yml", "must be a list of paths"),
        ("toplevel: flow", "toplevel: ../flow", "/toplevel: '../flow' must be a path inside"),
        ("initdir: data/in", "initdir: /etc", "'/etc' must be a path inside"),
        (", file: workflow.yml", "", "either `file` or `specification`"),
        ("parameters: {n: 1}", "parameters: [n]", "must be a mapping"),
    ],
)
def test_reana_yaml_that_is_refused(here: Path, old: str, new: str, reason: str) -> None:
    assert old in REANA
    reana(here, REANA.replace(old, new, 1))
    assert reason in refused(here, "reana.yaml").message


SERIAL = """\
inputs:
  files: [run.sh]
  parameters: {region: SRA}
workflow:
  type: serial
  specification:
    steps:
    - name: one
      environment: python:3
      commands: ['sh run.sh ${region}', 'echo $$HOME > home']
    - name: two
      environment: python:3
      commands: ['cat home']
outputs: {files: [home]}
"""


def test_reana_with_a_serial_workflow(here: Path) -> None:
    (here / "run.sh").write_text("echo $1\n")
    (here / "run.sh").chmod(0o755)
    (here / "reana.yaml").write_text(SERIAL)
    (here / "lock").write_text("# nothing\n")
    prepared = take(here, "reana.yaml", assignments=("region=SRB",), stand_ins={"python:3": "lock"})
    assert prepared.engine == "serial"
    assert Serial.from_json(prepared.workflow).steps[0].commands == ("sh run.sh SRB", "echo $HOME > home")
    assert kept(prepared) == {INIT_ROOT: ["run.sh"]}
    assert (prepared.brought[0].path or here).joinpath("run.sh").stat().st_mode & 0o111
    assert prepared.results[0].path == "1-0/home"
    assert prepared.options == {"stand_ins": {"python:3": "# nothing\n"}}
    assert prepared.reuse
    part = take(here, "reana.yaml", workflow_options=("TARGET=one", "CACHE=off"))
    assert [step.name for step in Serial.from_json(part.workflow).steps] == ["one"]
    assert part.results[0].path == "0-1/home"
    assert not part.reuse
    assert "did you mean region?" in refused(here, "reana.yaml", assignments=("regin=x",)).message


def test_serial_placeholders_are_refused_with_their_line(here: Path) -> None:
    (here / "run.sh").touch()
    (here / "reana.yaml").write_text(SERIAL.replace("cat home", "cat $(ls)"))
    message = refused(here, "reana.yaml").message
    assert "reana.yaml:13 /workflow/specification/steps/1/commands/0" in message
    assert "step 'two', command 1, column 5" in message
    (here / "steps.json").write_text(json.dumps({"steps": [{"environment": "x", "commands": ["$no"]}]}))
    head = SERIAL.partition("  specification:")[0]
    (here / "reana.yaml").write_text(head + "  file: steps.json\n")
    assert "steps.json:1 /steps/0/commands/0" in refused(here, "reana.yaml").message


# -- what is what ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["absent", "./absent", "absent.yml", "empty/", "./empty", "odd.yml", "index.yml", ""]
)
def test_what_is_nothing(here: Path, target: str) -> None:
    (here / "empty").mkdir()
    (here / "odd.yml").write_text("just: this\n")
    (here / "index.yml").write_text("recast_catalogue_entries: []\n")
    error = refused(here, target)
    assert isinstance(error, NotFound | InvalidInput)
    assert error.message


def test_a_name_of_the_catalogue_wins_over_a_folder(here: Path, tmp_path: Path) -> None:
    search = tmp_path / "search"
    search.mkdir()
    create("mine", search / "there")
    create("other", here / "mine")
    assert take(here, "mine", example="default", search=search).name == "mine"
    assert take(here, "./mine", example="default", search=search).name == "other"
    assert "did you mean mine" in refused(here, "mien", search=search).message


@pytest.mark.parametrize("name", ["workflow.yml", "reana.yaml", "recast.yml", "analysis.yml"])
@pytest.mark.parametrize(
    "content", [b"", b"a: [", b"\x00\xff\xfe", b"- 1", b"a: &a [*a]", b"stages: 5", b"workflow: {}"]
)
def test_rubbish_is_refused_in_words(here: Path, name: str, content: bytes) -> None:
    (here / name).write_bytes(content)
    error = refused(here, name)
    assert isinstance(error, InvalidInput | InvalidAnalysis)
