"""The API of a server from Python: submit theories, wait, read numbers.

    from reana_lite.client import Client

    client = Client("https://recast.example.org", token)      # or RECAST_SERVER and RECAST_TOKEN
    run = client.submit("atlas-susy-2018-22", theory="gluino.slha").wait()
    print(run.result().verdict, run.result().cls_observed)

client.py: Client. things.py: Run, Campaign, Result and the others, frozen. wire.py: HTTP. Needs `requests` alone (extra
`client`); nothing of the server, of clusters or of databases is imported, and pandas only where a frame is asked for.
"""

from reana_lite.client.client import Client
from reana_lite.client.things import (
    Artifact,
    Campaign,
    Limit,
    Point,
    Progress,
    Result,
    Results,
    Run,
    Table,
)

__all__ = ["Artifact", "Campaign", "Client", "Limit", "Point", "Progress", "Result", "Results", "Run", "Table"]
