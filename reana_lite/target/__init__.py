"""What a user can name, turned into one frozen thing that a worker can run.

TARGET is a name of the catalogue, the folder of an analysis, a bare Yadage workflow file, a reana.yaml, or the
recast.yml of recast-atlas. `resolve` reads it, checks everything that can be known before a job starts, and gives a
Prepared; keeping its files and recording the run is the caller's (the command line, the server). Called by them only.

    prepared     the values: TargetOptions in, Prepared out
    resolve      which of them TARGET is
    preserved    an analysis of our own format
    bare         a Yadage workflow file with its init files and data options
    reana        a reana.yaml (workflow types yadage and serial)
    entry        a recast.yml of recast-atlas
    initdata     what is given to a workflow: init files, -p, -d, -w
    files        local files on their way to becoming trees
    state        the digest of what a test of an analysis computes from

What the init stage of an analysis receives (Prepared.parameters), besides the declared parameters:

* every key of `files` and `data`: the path of that file or folder, a tree of its own at INIT_ROOT/<key>;
* `theory`: path of the (normalised) theory file, "" without one; `theory_format`: slha, lhe, ..., "" without one;
  `theory_files`: {format: [paths]} of all of them, when several were given.

Its strings are taken as they are (no lookup of values among the init files). A bare workflow is run as yadage runs it.
"""

from reana_lite.target.prepared import Brought, Prepared, TargetKind, TargetOptions
from reana_lite.target.resolve import resolve

__all__ = ["Brought", "Prepared", "TargetKind", "TargetOptions", "resolve"]
