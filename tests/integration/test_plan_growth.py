"""`recast plan` where more events mean more blocks, which only a step that is to be run will tell."""

from __future__ import annotations

WORKFLOW = """
stages:
- name: blocks
  dependencies: [init]
  scheduler:
    scheduler_type: singlestep-stage
    parameters: {n: {step: init, output: n_events}, out: '{workdir}/blocks.yml'}
    step:
      process:
        process_type: string-interpolated-cmd
        cmd: 'echo "k: [$(seq -s, 1 {n})]" > {out}'
      environment: {environment_type: localproc-env}
      publisher: {publisher_type: fromyaml-pub, yamlfile: blocks.yml}
- name: generate
  dependencies: [blocks]
  scheduler:
    scheduler_type: multistep-stage
    parameters: {k: {stages: blocks, output: k, unwrap: true}, out: '{workdir}/out'}
    scatter: {method: zip, parameters: [k]}
    step:
      process: {process_type: string-interpolated-cmd, cmd: 'echo {k} > {out}'}
      environment: {environment_type: localproc-env}
      publisher: {publisher_type: frompar-pub, outputmap: {out: out}}
- name: merge
  dependencies: [generate]
  scheduler:
    scheduler_type: singlestep-stage
    parameters: {ins: {stages: generate, output: out}, out: '{workdir}/out'}
    step:
      process: {process_type: string-interpolated-cmd, cmd: 'cat {ins} > {out}'}
      environment: {environment_type: localproc-env}
      publisher: {publisher_type: frompar-pub, outputmap: {out: out}}
"""


def test_more_events_are_planned_as_more_blocks(recast, write) -> None:
    write("workflow.yml", WORKFLOW)
    recast("run", "workflow.yml", "-p", "n_events=3")

    def following(n_events: int) -> dict[str, int]:
        plan = recast.json("plan", "workflow.yml", "-p", f"n_events={n_events}")
        return {stage["stage"]: stage["following"] for stage in plan["stages"]}

    assert following(7) == {"blocks": 0, "generate": 7, "merge": 1}
    assert following(2) == {"blocks": 0, "generate": 3, "merge": 1}, "fewer are not foretold: some may be new"
    assert set(following(3).values()) == {0}, "all is there"
