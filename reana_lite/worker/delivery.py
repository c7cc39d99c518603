"""What the backend reports reaches the nodes that wait for it, and what other workers have computed does, too.

How an outcome is judged is in ends.py; what follows for a run, its engine decides. Only the loop calls this.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from reana_lite.database import Transaction
from reana_lite.drive import NodeRow
from reana_lite.event import JobStarted
from reana_lite.inputs import Inputs
from reana_lite.job import Cause, JobOutcome, JobState
from reana_lite.retry import IMAGE_CHANGED, Retry
from reana_lite.worker.ends import decide, judged, sentence, with_environment, with_reasons
from reana_lite.worker.environments import Environments
from reana_lite.worker.telemetry import Counters
from reana_lite.worker.turn import Active, Hands, Place, Turn


class Delivery:
    """See the module. `memory_limit_bytes`: up to which memory a job that ran out of it is tried again."""

    def __init__(
        self, hands: Hands, *, environments: Environments, inputs: Inputs, counters: Counters, memory_limit_bytes: int
    ) -> None:
        self.hands = hands
        self.environments = environments
        self.inputs = inputs
        self.counters = counters
        self.memory_limit_bytes = memory_limit_bytes

    def take_reports(self, transaction: Transaction, turn: Turn) -> None:
        """Starts and ends; the start of what has ended as well by now is not worth an event."""
        over = {(report.key, report.attempt) for report in turn.reports if report.outcome is not None}
        ended: list[tuple[str, int, JobOutcome]] = []
        for report in turn.reports:
            place = (report.key, report.attempt)
            active = self.hands.active.get(report.key)
            mine = active is not None and active.attempt == report.attempt
            if report.outcome is None:
                if active is not None and mine and not active.started and place not in over:
                    active.started = True
                    turn.started.append(place)
                    for drive, submit in active.nodes:
                        drive.nodes[submit.node] = NodeRow(report.key, report.attempt, "running")
                        drive.take(JobStarted(submit.node, report.key, report.attempt))
                        turn.changed[drive.run] = drive
                continue
            outcome = report.outcome
            if active is not None and mine:
                outcome = judged(outcome, report.key, active=active)
                outcome = with_environment(outcome, active, environments=self.environments)
            ended.append((report.key, report.attempt, outcome))
        turn.ended += self.deliver_all(transaction, turn, ended)

    def deliver_followed(
        self, transaction: Transaction, turn: Turn, ended: Sequence[tuple[str, int, JobOutcome]]
    ) -> None:
        """Attempts that other workers have begun, or that ended while their runs were aside, have ended so."""
        judgements = []
        for key, attempt, outcome in ended:
            active = self.hands.active.get(key)
            judgements.append((key, attempt, outcome if active is None else judged(outcome, key, active=active)))
        self.deliver_all(transaction, turn, judgements)

    def deliver_all(
        self, transaction: Transaction, turn: Turn, ended: Sequence[tuple[str, int, JobOutcome]]
    ) -> list[tuple[str, int, JobOutcome]]:
        """Tell every node that waits for one of these attempts how it ended; gives the outcomes with their reasons."""
        if not ended:
            return []
        given: dict[Place, int] = {}
        for key, attempt, outcome in ended:
            active = self.hands.active.get(key)
            if outcome.cause is Cause.MEMORY and active is not None and active.attempt == attempt and active.nodes:
                had = active.memory_bytes or active.nodes[0][1].job.resources.memory_bytes
                if had:
                    given[key, attempt] = had
        told = with_reasons(transaction, ended, given=given)
        for key, attempt, outcome, tries in told:
            active = self.hands.active.get(key)
            if active is not None and active.attempt == attempt:
                again = decide(outcome, tries, memory_limit_bytes=self.memory_limit_bytes)
                self._deliver(key, self.hands.active.pop(key), turn, outcome=outcome, again=again)
        return [(key, attempt, outcome) for key, attempt, outcome, _ in told]

    def _deliver(self, key: str, active: Active, turn: Turn, *, outcome: JobOutcome, again: Retry | None) -> None:
        """Tell every node that waits for it how an attempt ended; what is tried again goes back to the queue.

        So does a node of another run than the one whose inputs the job has changed: its own are to be changed.
        """
        attempt = active.attempt
        if active.begun and active.first is not None:
            turn.spoiled += self.inputs.ended(*active.first, outcome)
        for drive, submit in active.nodes:
            turn.changed[drive.run] = drive
            mine = active.begun and active.first is not None and drive is active.first[0]
            if again is not None and again.words:
                turn.said.append(sentence(drive, submit, attempt, again=again, outcome=outcome))
                self.counters.retried += 1
            if outcome.details.get("reason") == IMAGE_CHANGED:
                # what is tried again gets the key of the new one
                self.environments.forget(drive, submit.job.environment)
            if again is not None or (not mine and outcome.details.get("changed_inputs")):
                drive.waiting.pop(submit.node, None)
                if again is not None and again.after_s:
                    drive.later.append((time.monotonic() + again.after_s, submit))
                    drive.nodes[submit.node] = NodeRow("", 0, "queued")
                else:
                    drive.queue.appendleft(submit)
            elif outcome.state is JobState.FINISHED or (outcome.details.get("missing_outputs") and not drive.strict):
                drive.finished_job(submit, key, attempt, digest=outcome.digest, reused_from="")
            else:
                drive.failed_job(submit, key, attempt, outcome=outcome)
