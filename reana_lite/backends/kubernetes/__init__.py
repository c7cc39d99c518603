"""Jobs as Kubernetes Jobs, one per attempt, with inputs and outputs in object storage or on a shared volume.

    options    what an installation says about its cluster (resources, placement, images, rates)
    images     references of images, and which are allowed
    pod        a task as the Job and the Secret that are sent to the API server
    mounts     what of the storage the containers of a pod see
    ticket     what the stager in the pod is told (reana_lite/staging reads it)
    volume     a storage folder that pods mount
    api        the few requests to the API server, raw JSON
    record     what is kept of a pod; phases and their times
    watch      list, then watch, for ever
    ends       how an attempt ended, from all that is known of it
    backend    the door: threads that create, follow and finish

Nothing here knows of runs or of the language; only `backend` and `watch` have threads, only `api` has a network.
"""
