"""Where things lie in a pod: the few paths that the Job (pod.py), the ticket and the stager (reana_lite/staging) agree on.

Places are the same for everybody: ROOT/jobs/<key>/<attempt>/files is the folder of that attempt, whoever reads it, so that
paths inside files stay true. Nothing is imported here: the stager must start quickly.
"""

ROOT = "/reana-lite/store"
"""The storage as a pod sees it: a volume of the pod's own, or a shared file system."""

STEP = "/reana-lite/step"
"""What stager and step tell each other; not part of anybody's outputs."""

GO = f"{STEP}/go"
"""Pipe by which the stager says `go` (or anything else: don't)."""

ALIVE = f"{STEP}/alive"
"""Pipe that the step holds open for as long as it lives."""

CODE = f"{STEP}/code"
"""File with the exit code; missing if the step was killed."""

LOG = f"{STEP}/log"
"""What the step prints, stdout and stderr together."""

LINE = f"{STEP}/line"
"""The step's line, if it is too long for a command line."""

SCRIPT = f"{STEP}/script"
"""What the step's interpreter reads."""

HOME = f"{STEP}/home"
"""The step's HOME."""

LINE_LIMIT_BYTES = 32_000
"""Lines above this come by file: the kernel refuses arguments of 128 KiB, and every Job is kept in the cluster's memory."""

NOT_BEGUN = 125
"""Exit code of a step that was told not to begin, or whose stager was gone."""

TICKET_VARIABLE = "RECAST_TICKET"
"""Variable of the stager: its ticket (JSON), or a link to it."""

TICKET_LIMIT_BYTES = 96_000
"""Tickets above this lie in storage: the kernel refuses variables of 128 KiB, and etcd keeps what is below."""

SECRETS = "/reana-lite/secrets"
"""Files of the run's secrets, for the step alone; $RECAST_SECRETS names it."""

BEGUN = "begun.json"
"""Document beside the outputs: when the stager let a step begin that has a time limit; its inputs are there by then."""

TERMINATION = "/dev/termination-log"
"""What a container writes here, the cluster keeps with the pod's status (at most 4096 bytes)."""


def place_of(key: str, attempt: int) -> str:
    """Where a place lies in every pod."""
    return f"{ROOT}/jobs/{key}/{attempt}" if attempt else f"{ROOT}/trees/{key}"
