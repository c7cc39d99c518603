"""Scatter of N trivial steps and a reduce, whole process: this project against its peers, in one run on one machine.

    python benchmarks/bench_scatter.py [--sizes 10,100,1000,10000] [--repeats 3] [--peers] [--yadage-limit 100]
                                       [--peer-limit 1000] [--only recast,xargs] [--json FILE]

Every step makes a file of its own in a folder of its own: `echo NUMBER > o.txt`. `recast` does it with everything
durable; `yadage` is the reference engine in the environment of yadage.lock; `snakemake` and `parsl` (thread executor)
live in virtual environments that `--peers` makes once; `xargs -P` is the limit: a shell per step and no bookkeeping.
All use as many processes side by side as there are cores. Times are wall seconds of the whole process, medians.
"""

# ruff: noqa: T201 - a program for the terminal
from __future__ import annotations

import argparse
import atexit
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
SCRATCH = Path(os.environ.get("BENCH_HOME", Path(tempfile.gettempdir()) / "reana-lite-bench"))
PEERS = {"snakemake": ["snakemake"], "parsl": ["parsl"]}

WORKFLOW = """
stages:
- name: map
  dependencies: [init]
  scheduler:
    scheduler_type: multistep-stage
    parameters: {i: {step: init, output: numbers}, out: '{workdir}/o.txt'}
    scatter: {method: zip, parameters: [i]}
    step: &step
      process: {process_type: string-interpolated-cmd, cmd: 'echo {i} > {out}'}
      environment: {environment_type: localproc-env}
      publisher: {publisher_type: frompar-pub, outputmap: {file: out}}
- name: reduce
  dependencies: [map]
  scheduler:
    scheduler_type: singlestep-stage
    parameters: {inputs: {stages: map, output: file}, out: '{workdir}/o.txt'}
    step:
      process: {process_type: string-interpolated-cmd, cmd: 'echo {inputs} | wc -w > {out}'}
      environment: {environment_type: localproc-env}
      publisher: {publisher_type: frompar-pub, outputmap: {file: out}}
"""

SNAKEFILE = """
N = int(config["steps"])
rule reduce:
    input: expand("step_{i}/o.txt", i=range(N))
    output: "reduce/o.txt"
    run:
        with open(output[0], "w") as stream:
            stream.write(f"{len(input)}\\n")
rule step:
    output: "step_{i}/o.txt"
    shell: "echo {wildcards.i} > {output}"
"""

PARSL = """
import os, sys
import parsl
from parsl import Config, bash_app, python_app
from parsl.executors.threads import ThreadPoolExecutor

@bash_app
def step(i):
    return f"mkdir step_{i}; echo {i} > step_{i}/o.txt"

@python_app
def reduce(inputs=()):
    with open("o.txt", "w") as stream:
        stream.write(f"{len(inputs)}\\n")

with parsl.load(Config(executors=[ThreadPoolExecutor(max_threads=int(sys.argv[2]))], run_dir="runinfo")):
    reduce(inputs=[step(i) for i in range(int(sys.argv[1]))]).result()
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One tool at one size: medians of wall seconds and of the CPU seconds of all its processes,
    and the largest resident set of the main process (bytes)."""

    tool: str
    steps: int
    seconds: float
    spread: float
    cpu_seconds: float
    memory_bytes: int


def recast(steps: int, folder: Path) -> tuple[list[str], dict[str, str]]:
    """A bare workflow file through the whole command line, in an installation of its own."""
    (folder / "flow.yml").write_text(WORKFLOW)
    (folder / "inputs.yml").write_text(json.dumps({"numbers": list(range(steps))}))
    program = Path(sys.executable).with_name("recast")
    numbers = json.dumps(list(range(steps)), separators=(",", ":"))
    if len(numbers) < 100_000:
        return [str(program), "run", "flow.yml", "-p", f"numbers={numbers}", "--json"], {
            "RECAST_HOME": str(folder / "h")
        }
    (folder / "flow.yml").write_text(WORKFLOW.replace("{step: init, output: numbers}", numbers).replace("[init]", "[]"))
    return [str(program), "run", "flow.yml", "--json"], {"RECAST_HOME": str(folder / "h")}


def yadage(steps: int, folder: Path) -> tuple[list[str], dict[str, str]]:
    """The reference engine as its own command line runs it."""
    from reana_lite.reference import reference_python

    python = reference_python(SCRATCH, print)
    (folder / "flow.yml").write_text(WORKFLOW)
    (folder / "inputs.yml").write_text(json.dumps({"numbers": list(range(steps))}))
    program = str(python.with_name("yadage-run"))
    return [program, "-b", f"multiproc:{CORES}", "-t", str(folder), "wd", "flow.yml", "inputs.yml"], {}


def snakemake(steps: int, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Local executor, no benchmark or log files."""
    (folder / "Snakefile").write_text(SNAKEFILE)
    program = SCRATCH / "snakemake" / "bin" / "snakemake"
    return [str(program), "-j", str(CORES), "--quiet", "all", "--config", f"steps={steps}"], {"HOME": str(folder)}


def parsl(steps: int, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Bash apps on the thread executor."""
    (folder / "flow.py").write_text(PARSL)
    return [str(SCRATCH / "parsl" / "bin" / "python"), "flow.py", str(steps), str(CORES)], {}


def xargs(steps: int, folder: Path) -> tuple[list[str], dict[str, str]]:
    """A shell per step that makes a folder and a file; nothing is recorded."""
    line = (
        f"seq {steps} | xargs -P {CORES} -I@ sh -c 'mkdir step_@; echo @ > step_@/o.txt'; ls -d step_* | wc -l > o.txt"
    )
    return ["sh", "-c", line], {}


TOOLS: dict[str, Callable[[int, Path], tuple[list[str], dict[str, str]]]] = {
    "recast": recast, "yadage": yadage, "snakemake": snakemake, "parsl": parsl, "xargs": xargs,
}  # fmt: skip


def measure(tool: str, steps: int) -> tuple[float, float, int]:
    """(wall seconds, CPU seconds, peak memory in bytes) of one whole process in an empty folder, on a disk."""
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{tool}-", dir=SCRATCH))
    # Removed at the very end: ext4 makes files several times more slowly while it steps around inodes just deleted, which
    # would charge every tool with the files of the one before it.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command, variables = TOOLS[tool](steps, folder)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with (folder / "log.txt").open("wb") as log:
        begun = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env={**environment, **variables}, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        last = "\n".join((folder / "log.txt").read_text(errors="replace").splitlines()[-15:])
        raise SystemExit(f"{tool} with {steps} steps ended with {process.returncode}:\n{last}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def make_peers() -> None:
    """Virtual environments for the peers, once."""
    for name, requirements in PEERS.items():
        if not (SCRATCH / name / "ready").exists():
            print(f"installing {name}", flush=True)
            venv.create(SCRATCH / name, with_pip=True, clear=True)
            subprocess.run([SCRATCH / name / "bin" / "pip", "install", "-q", *requirements], check=True)
            (SCRATCH / name / "ready").touch()


def table(samples: list[Sample]) -> str:
    """All sizes and tools in Markdown; ratios are times of the tool over the time of recast at that size."""
    ours = {sample.steps: sample.seconds for sample in samples if sample.tool == "recast"}
    small = {sample.tool: sample for sample in sorted(samples, key=lambda s: -s.steps)}
    lines = [
        "| steps | tool | seconds | spread | CPU seconds | ms per step | time relative to recast | MB | kB per step |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for sample in samples:
        base = small[sample.tool]
        ratio = f"{sample.seconds / ours[sample.steps]:.2f}" if sample.steps in ours else ""
        each = ""
        if sample.steps >= 10 * base.steps:
            each = f"{(sample.memory_bytes - base.memory_bytes) / (sample.steps - base.steps) / 1e3:.1f}"
        lines.append(
            f"| {sample.steps} | {sample.tool} | {sample.seconds:.2f} | {sample.spread:.2f} | {sample.cpu_seconds:.2f} | "
            f"{1e3 * sample.seconds / sample.steps:.2f} | {ratio} | {sample.memory_bytes / 1e6:.0f} | {each} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run what was asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10,100,1000,10000")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", action="store_true", help="also snakemake and parsl, installed once")
    parser.add_argument("--yadage-limit", type=int, default=100, help="largest size for yadage (about 0.15 s a step)")
    parser.add_argument("--peer-limit", type=int, default=1000, help="largest size for snakemake and parsl")
    parser.add_argument("--only", default="", help="these tools alone, separated by commas")
    parser.add_argument("--json", type=Path, help="also write the samples to this file")
    options = parser.parse_args()
    SCRATCH.mkdir(parents=True, exist_ok=True)
    tools = (
        options.only.split(",") if options.only else ["recast", "xargs", "yadage", *(PEERS if options.peers else ())]
    )
    if set(tools) & PEERS.keys():
        make_peers()
    limits = {"yadage": options.yadage_limit, **dict.fromkeys(PEERS, options.peer_limit)}
    samples = []
    for tool in tools:
        measure(tool, 2)  # not counted: compiled modules and files in the cache, as in every use but the first
    for steps in (int(size) for size in options.sizes.split(",")):
        wanted = [tool for tool in tools if steps <= limits.get(tool, steps)]
        runs: dict[str, list[tuple[float, float, int]]] = {tool: [] for tool in wanted}
        for _ in range(options.repeats if steps < 10_000 else 1):
            for tool in wanted:  # in turns, so that a busy moment of the machine meets all of them
                runs[tool].append(measure(tool, steps))
        for tool in wanted:
            times = [seconds for seconds, _, _ in runs[tool]]
            cpu = statistics.median(cpu for _, cpu, _ in runs[tool])
            memory = max(memory for _, _, memory in runs[tool])
            samples.append(Sample(tool, steps, statistics.median(times), max(times) - min(times), cpu, memory))
            print(f"{steps:>6} {tool:<10} {samples[-1].seconds:8.2f} s", flush=True)
    print(f"\n{CORES} cores\n\n{table(samples)}")
    if options.json:
        options.json.write_text(json.dumps([asdict(sample) for sample in samples], indent=1))


if __name__ == "__main__":
    main()
