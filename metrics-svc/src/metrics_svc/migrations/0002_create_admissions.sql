-- What has been taken in already, so that a retry counts nothing twice. Rows go once no retry can still come.
-- migrate:up
CREATE TABLE metrics.batches (
    batch_id     uuid PRIMARY KEY,
    received_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX batches_received_at ON metrics.batches (received_at);

-- Trace id and span id of OTLP spans; series, start and time of OTLP points that stand for themselves.
CREATE TABLE metrics.spans (
    span         bytea PRIMARY KEY,
    received_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX spans_received_at ON metrics.spans (received_at);

-- The last point of each OTLP series that adds up since a start: of the next one only what it adds is stored.
-- state is MessagePack, null until the transaction that meets the series first has seen its point.
CREATE TABLE metrics.otlp_series (
    series       bytea PRIMARY KEY,
    state        bytea,
    received_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX otlp_series_received_at ON metrics.otlp_series (received_at);

-- migrate:down
