"""Everything that is kept in PostgreSQL; all SQL of the service."""
