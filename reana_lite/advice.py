"""What a user can do about a failed job, by its cause: one sentence each. Pure."""

from __future__ import annotations

from reana_lite.job import Cause

_ADVICE = {
    Cause.EXIT: "The step's own program ended with an error: its log says why. `recast logs {run} {node}` shows all of it;"
    " mend the input or the analysis and run again, finished steps are reused.",
    Cause.MEMORY: "It used more memory than it may: ask for more in the step's environment (resources: [{{memory: 8Gi}}])"
    " or raise RECAST_MEMORY, then run again.",
    Cause.TIME: "It ran longer than its limit: raise it in the step's environment (resources: [{{timeout_s: 7200}}]) or"
    " give it less to do, then run again.",
    Cause.DISK: "There was no room left for its files: free some (`recast cache prune`), then"
    " `recast run --resume {run}`.",
    Cause.IMAGE: "Its software could not be had: `recast backends ls` says what can run here; a stand-in for an image is"
    " given by `--stand-in IMAGE=requirements.lock`.",
    Cause.LOST: "The platform lost it several times, which is not the step's fault: `recast run --resume {run}` tries"
    " again.",
}


def advice(cause: str, node: str, run: str) -> str:
    """One sentence for the user of run `run` whose node `node` failed for `cause`."""
    return _ADVICE[Cause(cause)].format(run=run, node=node) if cause in set(Cause) else ""
