"""reana-lite keeps preserved LHC analyses runnable and re-runs them for new theories.

The map, in the order of the data:

    theory     one hypothesis of new physics and the files that stand for it
    analysis   a preserved search: its workflow, parameters, declared results, references
    workflow   the Yadage language: spec, graph, expression, scheduling, step
    job        one computation, its key, its outcome
    artifact   files, manifests, path rules
    event      what happened to a run, what is to be done
    engine     one run as a machine: events in, commands out
    result     numbers with a meaning read from declared artifacts

and the places and doers: config, catalogue, backends, storage, database, staging, worker, plots, cli.
"""

__version__ = "0.1.0"
