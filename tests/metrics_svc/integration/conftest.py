"""Fixtures for tests on a real store."""

from tests.fixtures.timescale import (
    apache_server,
    new_apache_database,
    new_community_database,
    new_store,
)

__all__ = ["apache_server", "new_apache_database", "new_community_database", "new_store"]
