-- What people set up: rules, silences, channels, routes; and what they post, until it is acted on.
-- migrate:up
CREATE TABLE alerts.rules (
    name        text PRIMARY KEY,
    version     integer NOT NULL,
    origin      text NOT NULL,
    definition  jsonb NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now()
);

-- Defaults that were offered once: one that somebody deleted does not come back.
CREATE TABLE alerts.seeded (
    name       text PRIMARY KEY,
    seeded_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE alerts.silences (
    id         text PRIMARY KEY,
    starts_at  double precision NOT NULL,
    ends_at    double precision NOT NULL,
    content    jsonb NOT NULL
);
CREATE INDEX silences_ends_at ON alerts.silences (ends_at);

CREATE TABLE alerts.channels (
    name             text PRIMARY KEY,
    version          integer NOT NULL,
    kind             text NOT NULL,
    settings         jsonb NOT NULL,
    enabled          boolean NOT NULL,
    disabled_reason  text
);
COMMENT ON COLUMN alerts.channels.settings IS 'holds secrets';
INSERT INTO alerts.channels (name, version, kind, settings, enabled)
VALUES ('console', 1, 'console', '{}', true);

CREATE TABLE alerts.configuration (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    version  integer NOT NULL,
    content  jsonb NOT NULL
);

CREATE TABLE alerts.inbox (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       double precision NOT NULL DEFAULT extract(epoch FROM clock_timestamp()),
    kind     text NOT NULL,
    content  jsonb NOT NULL,
    weight   integer NOT NULL
);
COMMENT ON COLUMN alerts.inbox.weight IS 'how many alerts it is about: so many take so long to act on';

CREATE TABLE alerts.change_events (
    id           text PRIMARY KEY,
    kind         text NOT NULL,
    name         text NOT NULL,
    description  text NOT NULL,
    author       text NOT NULL,
    at           double precision NOT NULL
);
CREATE INDEX change_events_at ON alerts.change_events (at DESC, id DESC);

CREATE TABLE alerts.keys (
    name     text PRIMARY KEY,
    secret   bytea NOT NULL,
    made_at  timestamptz NOT NULL DEFAULT now()
);

-- migrate:down
