"""What the backend reports reaches the nodes that wait for it, and what other workers have computed does, too.

How an outcome is judged is in ends.py; what follows for a run, its engine decides. Only the loop calls this.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from reana_lite.backends.base import Report
from reana_lite.database import Database
from reana_lite.drive import NodeRow
from reana_lite.errors import Unavailable
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
        self,
        hands: Hands,
        *,
        database: Database,
        environments: Environments,
        inputs: Inputs,
        counters: Counters,
        memory_limit_bytes: int,
    ) -> None:
        self.hands = hands
        self.database = database
        self.environments = environments
        self.inputs = inputs
        self.counters = counters
        self.memory_limit_bytes = memory_limit_bytes

    def take_reports(self, turn: Turn) -> None:
        """Starts and ends; the start of what has ended as well by now is not worth an event.

        Nothing is written: this reads storage, and nobody else can write while a transaction is open.
        """
        over = {(report.key, report.attempt) for report in turn.reports if report.outcome is not None}
        ended: list[tuple[Report, JobOutcome]] = []
        for report in turn.reports:
            if report.outcome is not None:
                ended.append((report, report.outcome))
                continue
            place = (report.key, report.attempt)
            active = self.hands.active.get(report.key)
            if active is None or active.attempt != report.attempt or active.started or place in over:
                continue
            active.started = True
            turn.started.append(place)
            for drive, submit in active.nodes:
                drive.nodes[submit.node] = NodeRow(report.key, report.attempt, "running")
                drive.take(JobStarted(submit.node, report.key, report.attempt))
                turn.changed[drive.run] = drive
        places = [(report.key, report.attempt, outcome) for report, outcome in ended]
        outcomes = self._deliver_all(turn, places, ours=True)
        turn.ended += outcomes
        if rest := [report for report, _ in ended[len(outcomes) :]]:  # for the next turn
            left = set(map(id, rest))
            turn.reports = [report for report in turn.reports if id(report) not in left]
            self.hands.reports += rest

    def deliver_followed(self, turn: Turn, ended: Sequence[tuple[str, int, JobOutcome]]) -> None:
        """Attempts that other workers have begun, or that ended while their runs were aside, have ended so."""
        self._deliver_all(turn, ended, ours=False)

    def _deliver_all(
        self, turn: Turn, ended: Sequence[tuple[str, int, JobOutcome]], *, ours: bool
    ) -> list[tuple[str, int, JobOutcome]]:
        """Tell every node that waits for one of these attempts how it ended; gives the outcomes with their reasons, and for
        attempts of this worker's backend (`ours`) the software they ran in.

        They are fewer than were given if storage holds up the turn for too long.
        """
        told: list[tuple[str, int, JobOutcome]] = []
        if not ended:
            return told
        given: dict[Place, int] = {}
        for key, attempt, outcome in ended:
            active = self.hands.active.get(key)
            if outcome.cause is Cause.MEMORY and active is not None and active.attempt == attempt and active.nodes:
                had = active.memory_bytes or active.nodes[0][1].job.resources.memory_bytes
                if had:
                    given[key, attempt] = had
        for key, attempt, outcome, tries in with_reasons(self.database, ended, given=given):
            if turn.stands:
                break
            active = self.hands.active.get(key)
            if active is not None and active.attempt == attempt:
                outcome = judged(outcome, key, active=active, turn=turn)
                if ours:
                    outcome = with_environment(outcome, active, environments=self.environments)
                again = decide(outcome, tries, memory_limit_bytes=self.memory_limit_bytes)
                self._deliver(key, self.hands.active.pop(key), turn, outcome=outcome, again=again)
            told.append((key, attempt, outcome))
        return told

    def _deliver(self, key: str, active: Active, turn: Turn, *, outcome: JobOutcome, again: Retry | None) -> None:
        """Tell every node that waits for it how an attempt ended; what is tried again goes back to the queue.

        So does a node of another run than the one whose inputs the job has changed: its own are to be changed.
        """
        attempt = active.attempt
        if active.begun and active.first is not None:
            turn.freed[active.first[0].owner] += 1
            turn.spoiled += self.inputs.ended(*active.first, outcome)
        for drive, submit in active.nodes:
            if turn.stands and drive.trouble is None:
                drive.trouble = Unavailable("its storage did not answer in time")
            if drive.trouble is not None:  # it is read from its log again later, and what has become of this, too
                continue
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
                with turn.watching(drive):
                    drive.finished_job(submit, key, attempt, digest=outcome.digest, reused_from="")
            else:
                drive.failed_job(submit, key, attempt, outcome=outcome)
