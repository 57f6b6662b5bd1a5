-- Totals by time bucket, written in the transaction of their raw rows. Layout of the bytes: docs/rollups.md.
-- migrate:up
CREATE TABLE metrics.series (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL,
    dimensions  text[] NOT NULL,
    -- In the key's place, because dimensions may be longer than an index row: md5(dimensions::text).
    digest      uuid NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (kind, digest)
);

-- A writer is one life of one process. Before folded_N (Unix seconds) its totals are in rows of N seconds;
-- from there on they are in finer rows.
CREATE TABLE metrics.writers (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    folded_60    bigint NOT NULL,
    folded_600   bigint NOT NULL,
    folded_3600  bigint NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    seen_at      timestamptz NOT NULL DEFAULT now(),
    retired_at   timestamptz
);
CREATE INDEX writers_live ON metrics.writers (id) WHERE retired_at IS NULL;

-- Each time a row is written it gets a revision of its own, so that a reader can tell which rows it has already.
CREATE SEQUENCE metrics.rollup_revisions CACHE 100;

CREATE TABLE metrics.rollups (
    kind        text NOT NULL,
    resolution  integer NOT NULL,
    bucket      bigint NOT NULL,
    part        integer NOT NULL,
    writer      bigint NOT NULL,
    revision    bigint NOT NULL DEFAULT nextval('metrics.rollup_revisions'),
    totals      bytea NOT NULL,
    entries     bytea NOT NULL,
    PRIMARY KEY (kind, resolution, bucket, part, writer)
);
-- Histograms do not compress further, and reading totals alone must not fetch them.
ALTER TABLE metrics.rollups ALTER COLUMN totals SET STORAGE EXTERNAL;
ALTER TABLE metrics.rollups ALTER COLUMN entries SET STORAGE EXTERNAL;
-- The finest rows are rewritten with every flush: leave room for it on the page, and clean up soon.
ALTER TABLE metrics.rollups SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- migrate:down
