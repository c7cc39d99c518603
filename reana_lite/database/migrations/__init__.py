"""How the tables have grown, one numbered step each; run by opening.upgrade through Alembic."""
