"""Alembic's entry: migrates the connection that opening.upgrade hands over; there is no other way in.

A new migration: change tables.py, add versions/NNNN_what.py with the next number, set tables.VERSION to it.
"""

from alembic import context

from reana_lite.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
context.run_migrations()
