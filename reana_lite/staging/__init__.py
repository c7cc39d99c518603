"""The small program in a pod that brings a step's inputs from storage and its outputs back: `python -m reana_lite.staging`.

    stager   one step: bring, wait, take; how it ended, as far as that can be known beside it
    shelf    where outputs go: a bucket by leave of the ticket, or the folder of a volume that they lie in already
    web      requests to the storage

Standard library and a few light modules of ours only, because every step waits for it to start. It runs beside the step,
holds no credentials but the links of its ticket, and may write below one place of the storage only. How it meets the
step is told in backends/kubernetes/pod.py. What it found goes to storage (stager.json) and, short, into the pod's status.
It never judges what only the cluster knows (out of memory, evicted): the worker does.
"""
