"""PostgreSQL: one file for each aggregate, and the embedded server."""
