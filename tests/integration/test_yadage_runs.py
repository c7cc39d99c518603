"""Workflows that went wrong for people elsewhere, from public reports; each with the right outcome, end to end."""

from __future__ import annotations

import json
from pathlib import Path

from steps import scatter, step, workflow


def content(run: dict, path: str) -> str:
    return (Path(run["workspace"]) / path).read_text()


def test_a_placeholder_in_a_comment(call, recast, write) -> None:
    """yadage#123: comments are interpolated too."""
    write("w.yml", workflow(a=step("echo hi > {out} # goes to {workdir}")))
    said = call("check", "w.yml")
    assert "workdir" in said.out + said.err
    assert "w.yml" in said.out + said.err
    text = recast("run", "w.yml", "-q", code=1)
    assert "workdir" in text
    assert "/a/0" in text
    write("w.yml", workflow(a=step("echo hi > {out} # goes to {{workdir}}")))
    recast("run", "w.yml", "-q")


def test_scatter_over_files_numbers_and_lists_of_lists(recast, write) -> None:
    """The shape of a public Higgs lesson: one or two histograms per sample, all merged, in member order."""
    glob = {"publisher_type": "fromglob-pub", "globexpression": "*.hist", "outputkey": "hists"}
    hist = step("for x in {names}; do echo {f} {n} $x > {workdir}/$x.hist; done", parameters={"workdir": "{workdir}"})
    hist["scheduler"]["step"]["publisher"] = glob
    scheduler = hist["scheduler"]
    scheduler["scheduler_type"] = "multistep-stage"
    scheduler["parameters"] |= {
        "f": {"stages": "skim", "output": "out"},
        "n": {"step": "init", "output": "xsecs"},
        "names": {"step": "init", "output": "names"},
    }
    scheduler["scatter"] = {"method": "zip", "parameters": ["f", "n", "names"]}
    hist["dependencies"] = ["skim"]
    merge = step("cat {ins} > {out}")
    merge["scheduler"]["parameters"]["ins"] = {"stages": "hist", "output": "hists", "flatten": True}
    merge["dependencies"] = ["hist"]
    write("w.yml", workflow(skim=scatter("echo {n} > {out}", over="files"), hist=hist, merge=merge))
    run = recast.json("run", "w.yml", "-q", "-p", "files=[a, b, c]", "-p", "xsecs=[19.6, 3503.7, 1.0]",
                      "-p", "names=[[ggH],[ZLL,ZTT],[TT]]")  # fmt: skip
    assert run["nodes"]["total"] == 7
    lines = [line.split()[1:] for line in content(run, "merge/out").splitlines()]
    assert lines == [["19.6", "ggH"], ["3503.7", "ZLL"], ["3503.7", "ZTT"], ["1", "TT"]]


def test_what_this_backend_cannot_offer_is_said_once_before_the_first_job(recast, write) -> None:
    """Public entries ask for Kerberos and grid proxies, 8Gi, fourteen days."""
    one = scatter("test ! -e /recast_auth/getkrb.sh; touch {out}")
    resources = ["KRB5Auth", {"kerberos": True}, "GRIDProxy", {"voms_proxy": True}, {"rucio": True},
                 {"kubernetes_memory_limit": "1Gi"}, {"kubernetes_job_timeout": 1209600}]  # fmt: skip
    one["scheduler"]["step"]["environment"] = {
        "environment_type": "docker-encapsulated", "image": "an/image", "imagetag": "1", "resources": resources,
    }  # fmt: skip
    write("w.yml", workflow(a=one))
    write("empty.lock", "")
    process = recast.start(
        "run", "w.yml", "-p", "ns=[1, 2, 3]", "--stand-in", "an/image:1=empty.lock", "--backend", "local"
    )
    _out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    for name in ("KRB5Auth", "kerberos", "GRIDProxy", "voms_proxy", "rucio"):
        assert len([line for line in err.splitlines() if name in line]) == 1, (name, err)
        assert err.index(name) < err.index("of 3 steps finished, ") if "of 3 steps finished, " in err else True
    assert "kubernetes" not in err


def test_rights_links_and_odd_names_reach_the_next_step(recast, write) -> None:
    """x bits, relative links, empty folders, empty files, names with blanks, +, % and umlauts."""
    names = ["with blank", "plus+", "per%cent", "ümläut", "tab\tname", "quote'\"", "-dash", "[glob]*"]
    make = (
        "mkdir empty; : > zero; echo 'echo ran' > run.sh; chmod 755 run.sh; ln -s run.sh link; ln -s missing broken; "
    )
    script = "import pathlib, sys\nfor name in " + repr(names) + ": pathlib.Path(name).write_text(name)\n"
    write("make.py", script)
    lines = workflow(
        make=step(make + f"python3 {recast.folder}/make.py; touch {{out}}", parameters={"folder": "{workdir}"},
                  publisher={"publisher_type": "frompar-pub", "outputmap": {"out": "out", "folder": "folder"}}),
        use=step("cd {folder} && ./run.sh > {out} && ./link >> {out} && ls -AF >> {out}",
                 parameters={"folder": {"stages": "make", "output": "folder", "unwrap": True}}),
    )  # fmt: skip
    document = json.loads(lines)
    document["stages"][1]["dependencies"] = ["make"]
    write("w.yml", json.dumps(document))
    for turn in range(2):  # computed, and reused
        run = recast.json("run", "w.yml", "-q")
        assert run["nodes"]["reused"] == 2 * turn
        listed = content(run, "use/out").splitlines()
        assert listed[:2] == ["ran", "ran"]
        assert {"empty/", "zero", "run.sh*", "link@", "broken@"} <= set(listed)
    recast("artifacts", "get", run["run"], "-o", "got")
    for name in names:
        assert (recast.folder / "got/make" / name).read_text() == name


def test_outputs_of_equal_names_all_reach_the_merge_and_new_names_are_new_jobs(recast, write) -> None:
    merge = step("cat {ins} > {out}")
    merge["scheduler"]["parameters"]["ins"] = {"stages": "map", "output": "out"}
    merge["dependencies"] = ["map"]
    write("w.yml", workflow(map=scatter("echo {n} > {out}"), merge=merge))
    run = recast.json("run", "w.yml", "-q", "-p", "ns=[1, 2, 3]")
    assert content(run, "merge/out").split() == ["1", "2", "3"]
    write("a/data.txt", "same\n")
    write("b/other.txt", "same\n")
    write("v.yml", workflow(a=step("basename {f} > {out}", parameters={"f": {"step": "init", "output": "f"}})))
    for folder, name in (("a", "data.txt"), ("b", "other.txt")):
        run = recast.json("run", "v.yml", "-q", "-d", f"initdir={folder}", "-p", f"f={name}")
        assert content(run, "a/out") == name + "\n"
        assert run["nodes"]["reused"] == 0


def test_merging_four_thousand_files(recast, write) -> None:
    """pairtools#274, delly#158: 'Argument list too long'. One line of 400 kB runs; what a child cannot take is explained."""
    merge = step("cat {ins} > {out}")
    merge["scheduler"]["parameters"]["ins"] = {"stages": "many", "output": "names", "flatten": True}
    merge["dependencies"] = ["many"]
    many = step(
        "i=0; while [ $i -lt 4000 ]; do i=$((i+1)); echo $i > a_rather_long_name_of_an_output_file_$i.hist; done"
    )
    many["scheduler"]["step"]["publisher"] = {
        "publisher_type": "fromglob-pub", "globexpression": "*.hist", "outputkey": "names",
    }  # fmt: skip
    write("w.yml", workflow(many=many, merge=merge))
    run = recast.json("run", "w.yml", "-q")
    assert sorted(map(int, content(run, "merge/out").split())) == list(range(1, 4001))
    line = "x=$(head -c 3000000 /dev/zero | tr '\\0' y); /bin/echo $x > {out}"
    write("v.yml", workflow(a=step(line)))
    assert "more arguments than the kernel takes" in recast("run", "v.yml", "-q", code=1)
