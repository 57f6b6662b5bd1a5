"""Feature flags: which variant a user gets, decided in this process."""
