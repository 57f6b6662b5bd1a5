-- What each tick measured, for timelines: one row for all alerts, so that a tick costs one insert.
-- migrate:up
CREATE TABLE alerts.evaluation_directories (
    digest        bytea PRIMARY KEY,
    fingerprints  text NOT NULL,
    made_at       timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN alerts.evaluation_directories.fingerprints IS 'one a line, in the order of the values';

CREATE TABLE alerts.evaluations (
    at         double precision PRIMARY KEY,
    directory  bytea NOT NULL REFERENCES alerts.evaluation_directories,
    content    bytea NOT NULL
);
-- Not compressed, so that one alert's few bytes can be read without the rest.
ALTER TABLE alerts.evaluations ALTER COLUMN content SET STORAGE EXTERNAL;
CREATE INDEX evaluations_directory ON alerts.evaluations (directory, at);

-- migrate:down
