"""create_app: one Flask application over an installation; each door is a blueprint of its own."""

from __future__ import annotations

import importlib
import importlib.util
import threading
import time
from typing import Any

from flask import Blueprint, Flask, jsonify, make_response, redirect, request
from flask.typing import ResponseReturnValue

from reana_lite.config import Settings
from reana_lite.database import Database
from reana_lite.server import answers, auth, guard, metering, turns
from reana_lite.server.api import following
from reana_lite.server.installation import EXTENSION, Installation, here
from reana_lite.storage.base import Storage

API = "reana_lite.server.api"
REANA = "reana_lite.server.reana"
READY_S = 3.0
"""How old it may be that database and storage have answered (seconds): nobody makes them work by asking whether they do."""

PAGES = "reana_lite.server.pages"
"""What answers at /api/v1, at /api (REANA's paths), and at / ."""


def create_app(settings: Settings, *, database: Database | None = None, storage: Storage | None = None) -> Flask:
    """The application; database and storage are opened as the settings say unless they are given."""
    storage = storage or open_storage(settings)
    app = Flask("reana_lite.server", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 3600
    app.extensions[EXTENSION] = Installation(settings, database or Database(settings.database), storage)
    metering.install(app, following.followers)
    turns.install(app)
    guard.install(app, settings)
    answers.install(app)
    app.register_blueprint(_entrance())
    for door in (API, REANA):
        if importlib.util.find_spec(door) is not None:
            module: Any = importlib.import_module(door)
            app.register_blueprint(module.blueprint)
    pages: Any = importlib.import_module(PAGES)
    pages.register(app)
    return app


def open_storage(settings: Settings) -> Storage:
    """The storage that the settings name; raises Unavailable."""
    from reana_lite import storage as places

    storage = places.open_storage(settings)
    storage.check()
    return storage


def _entrance() -> Blueprint:
    blueprint = Blueprint("entrance", __name__)
    looking, looked_at = threading.Lock(), [-READY_S]

    @blueprint.get("/launch")
    def launch() -> ResponseReturnValue:
        """Come in by the link that `recast serve` prints."""
        secret = auth.launch(request.args.get("token", ""))
        response = make_response(redirect("/", 303))
        auth.set_cookie(response, secret)
        return response

    @blueprint.get("/healthz")
    def healthz() -> ResponseReturnValue:
        """This process answers."""
        return jsonify({"status": "ok"})

    @blueprint.get("/readyz")
    def readyz() -> ResponseReturnValue:
        """Database and storage answer, too (503 else)."""
        with looking:
            if time.monotonic() - looked_at[0] > READY_S:
                installation = here()
                installation.database.installation()
                installation.storage.check()
                looked_at[0] = time.monotonic()
        return jsonify({"status": "ok"})

    return blueprint
