"""Requests that schemathesis makes up from the OpenAPI document, one by one and in sequences that follow its links: no answer
is an error of ours, and every answer is one that the document declares. RECAST_TEST_EXAMPLES says how many are made up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from serving import World, make_world

from reana_lite.server.api import described

EXAMPLES = int(os.environ.get("RECAST_TEST_EXAMPLES", "8"))
STREAMS = r"^follow"
"""They end only with their run; test_api_endpoints.py follows them."""

bounded = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory):
    """An installation with a run that is over, and its administrator."""
    made: World = make_world(Path(tmp_path_factory.mktemp("served")))
    made.app.config["RECAST_CHECK_ANSWERS"] = True
    made.client("root").post("/api/v1/runs", json={"analysis": "tiny"})
    made.drive()
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def api(served: World):
    """The document of a served API."""
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", served.app).exclude(operation_id_regex=STREAMS)


NAMES = [
    operation["operationId"]
    for methods in described()["paths"].values()
    for operation in methods.values()
    if not operation["operationId"].startswith("follow")
]


@pytest.mark.parametrize("name", NAMES)
def test_no_answer_is_an_error_of_ours(api, served: World, name: str) -> None:
    operation = api.find_operation_by_id(name)

    @bounded
    @given(operation.as_strategy())
    def ask(case) -> None:
        answer = case.call(headers={"Authorization": f"Bearer {served.tokens['root']}"})
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert set(answer.json()) == {"error"}, answer.text

    ask()


def test_sequences_of_requests(api, served: World) -> None:
    class Machine(api.as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case):
            return {"headers": {"Authorization": f"Bearer {served.tokens['root']}"}}

        def validate_response(self, response, case, **kwargs) -> None:
            assert response.status_code < 500, response.text

    Machine.run(settings=settings(bounded, max_examples=EXAMPLES, stateful_step_count=6))
