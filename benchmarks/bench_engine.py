"""The engine alone: a scatter of N steps and a reduce as events and commands, no backend, storage or database.

    python benchmarks/bench_engine.py [--sizes 100,1000,10000,100000] [--repeats 3]

Prints microseconds per event (each step is two events: started, finished), which must not grow with N, the time to
replay the log, and bytes of memory per finished step.
"""

# ruff: noqa: T201 - a program for the terminal
from __future__ import annotations

import argparse
import gc
import statistics
import time
import tracemalloc
from collections import deque

from bench_scatter import WORKFLOW

from reana_lite.engine import ENGINE_VERSION, Engine
from reana_lite.event import (
    Event,
    FinishRun,
    InitData,
    JobFinished,
    JobStarted,
    Look,
    Looked,
    RunStarted,
    RunState,
    SubmitJob,
)
from reana_lite.workflow.loading import load_workflow


def play(steps: int) -> tuple[Engine, list[Event], float]:
    """A whole run in which every job succeeds at once: the engine, the event log, wall seconds in the engine."""
    init = InitData(parameters={"numbers": list(range(steps))}, discover=False, relative=False)
    log: list[Event] = []
    workflow = load_workflow("file:///", "flow.yml", lambda _: WORKFLOW.encode())
    pending: deque[Event] = deque([RunStarted(workflow.to_json(), init, ENGINE_VERSION)])
    engine, seconds, finished = Engine(), 0.0, False
    while pending:
        event = pending.popleft()
        log.append(event)
        begun = time.perf_counter()
        commands = engine.handle(event)
        seconds += time.perf_counter() - begun
        for command in commands:
            match command:
                case SubmitJob():
                    key = f"key{command.node}"
                    answers = {str(question): [] for question in command.questions}
                    pending.append(JobStarted(command.node, key, 1))
                    pending.append(JobFinished(command.node, key, 1, f"sha256:{command.node}", answers))
                case Look():
                    pending.append(Looked(command.node, {str(question): False for question in command.questions}))
                case FinishRun():
                    finished = command.state is RunState.FINISHED
    assert finished, f"the run of {steps} steps has not finished"
    return engine, log, seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="100,1000,10000,100000")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print("| steps | events | us per event | us per step | replay us per event | bytes per finished step |")
    print("| --- | --- | --- | --- | --- | --- |")
    play(10)
    for steps in (int(size) for size in options.sizes.split(",")):
        times, replays, events = [], [], 0
        for _ in range(options.repeats):
            _, log, seconds = play(steps)
            events = len(log)
            times.append(seconds)
            engine, begun = Engine(), time.perf_counter()
            for event in log:
                engine.handle(event)
            replays.append(time.perf_counter() - begun)
            del engine
        gc.collect()
        tracemalloc.start()
        kept, log, _ = play(steps)
        log.clear()
        gc.collect()
        memory = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        del kept
        seconds, replay = statistics.median(times), statistics.median(replays)
        print(
            f"| {steps} | {events} | {1e6 * seconds / events:.1f} | {1e6 * seconds / steps:.1f} | "
            f"{1e6 * replay / events:.1f} | {memory / steps:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
