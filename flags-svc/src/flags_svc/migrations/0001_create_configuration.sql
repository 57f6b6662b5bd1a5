-- What is configured now, and every change that led there.
-- migrate:up
CREATE SCHEMA IF NOT EXISTS flags;

-- Whoever writes moves the revision on from the one that he decided on: so there is one order without gaps.
CREATE TABLE flags.head (
    one       boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch     text NOT NULL,
    revision  bigint NOT NULL
);
COMMENT ON COLUMN flags.head.epoch IS 'names the life of this database: revisions of another one say nothing';
INSERT INTO flags.head (epoch, revision) SELECT replace(gen_random_uuid()::text, '-', ''), 0;

-- The content is json and not jsonb, which forgets the order of members: a split goes by the written one.
CREATE TABLE flags.items (
    kind        text NOT NULL CHECK (kind IN ('flag', 'segment', 'environment')),
    key         text NOT NULL,
    content     json,
    version     bigint NOT NULL,
    revision    bigint NOT NULL,
    created_at  double precision NOT NULL,
    updated_at  double precision NOT NULL,
    updated_by  text NOT NULL,
    PRIMARY KEY (kind, key)
);
COMMENT ON COLUMN flags.items.content IS 'null: deleted; the row stays, for its version to go on should the item come back';

CREATE TABLE flags.changes (
    revision  bigint PRIMARY KEY,
    kind      text NOT NULL,
    key       text NOT NULL,
    version   bigint NOT NULL,
    at        double precision NOT NULL,
    author    text NOT NULL,
    comment   text NOT NULL,
    request   text NOT NULL,
    action    text NOT NULL,
    content   json,
    UNIQUE (kind, key, version)
);
COMMENT ON COLUMN flags.changes.request IS 'the change request that it came by, if any';
COMMENT ON COLUMN flags.changes.content IS 'what the item became; null: deleted';

CREATE TABLE flags.keys (
    name     text PRIMARY KEY,
    secret   bytea NOT NULL,
    made_at  timestamptz NOT NULL DEFAULT now()
);

-- migrate:down
