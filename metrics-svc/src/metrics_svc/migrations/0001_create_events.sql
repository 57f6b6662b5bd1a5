-- Raw events, one typed table per kind: what the rollups are made of and what prices are re-applied to.
-- migrate:up
CREATE SCHEMA IF NOT EXISTS metrics;

CREATE TABLE metrics.performance (
    ts             timestamptz NOT NULL,
    operation      text NOT NULL,
    environment    text NOT NULL,
    gap_priority   text,
    user_id        text,
    session_id     text,
    duration_ms    double precision NOT NULL,
    status         text NOT NULL,
    error_type     text,
    error_message  text,
    error_context  jsonb,
    flags          jsonb,
    attributes     jsonb
);
CREATE INDEX performance_ts ON metrics.performance (ts);

CREATE TABLE metrics.llm_calls (
    ts                   timestamptz NOT NULL,
    operation            text NOT NULL,
    environment          text NOT NULL,
    gap_priority         text,
    user_id              text,
    session_id           text,
    provider             text,
    model                text,
    input_tokens         bigint NOT NULL,
    output_tokens        bigint NOT NULL,
    cached_input_tokens  bigint NOT NULL,
    cache_write_tokens   bigint NOT NULL,
    reasoning_tokens     bigint NOT NULL,
    duration_ms          double precision,
    cache_hit            boolean NOT NULL,
    status               text NOT NULL,
    error_type           text,
    error_message        text,
    cost_nanos           bigint,
    cache_savings_nanos  bigint NOT NULL,
    price_version        text,
    flags                jsonb,
    attributes           jsonb
);
CREATE INDEX llm_calls_ts ON metrics.llm_calls (ts);
COMMENT ON COLUMN metrics.llm_calls.cost_nanos IS 'nano-dollars; null is unpriced';

CREATE TABLE metrics.quality (
    ts                   timestamptz NOT NULL,
    operation            text NOT NULL,
    environment          text NOT NULL,
    gap_priority         text,
    user_id              text,
    session_id           text,
    score                double precision,
    refined              boolean,
    accepted_first_pass  boolean,
    evaluator            text,
    flags                jsonb,
    attributes           jsonb
);
CREATE INDEX quality_ts ON metrics.quality (ts);

CREATE TABLE metrics.cache_events (
    ts            timestamptz NOT NULL,
    operation     text NOT NULL,
    environment   text NOT NULL,
    gap_priority  text,
    user_id       text,
    session_id    text,
    layer         text NOT NULL,
    hit           boolean NOT NULL,
    miss_reason   text,
    saved_ms      double precision,
    saved_nanos   bigint,
    flags         jsonb,
    attributes    jsonb
);
CREATE INDEX cache_events_ts ON metrics.cache_events (ts);

CREATE TABLE metrics.exposures (
    ts             timestamptz NOT NULL,
    operation      text,
    environment    text NOT NULL,
    gap_priority   text,
    user_id        text,
    session_id     text,
    flag_key       text NOT NULL,
    variant        text NOT NULL,
    targeting_key  text,
    flags          jsonb,
    attributes     jsonb
);
CREATE INDEX exposures_ts ON metrics.exposures (ts);

CREATE TABLE metrics.probes (
    ts            timestamptz NOT NULL,
    operation     text,
    environment   text NOT NULL,
    gap_priority  text,
    user_id       text,
    session_id    text,
    target        text NOT NULL,
    kind          text NOT NULL,
    up            boolean NOT NULL,
    latency_ms    double precision,
    detail        text,
    flags         jsonb,
    attributes    jsonb
);
CREATE INDEX probes_ts ON metrics.probes (ts);

CREATE TABLE metrics.measurements (
    ts            timestamptz NOT NULL,
    operation     text,
    environment   text NOT NULL,
    gap_priority  text,
    user_id       text,
    session_id    text,
    name          text NOT NULL,
    unit          text NOT NULL,
    observations  bigint NOT NULL,
    total         double precision NOT NULL,
    low           double precision,
    high          double precision,
    flags         jsonb,
    attributes    jsonb
);
CREATE INDEX measurements_ts ON metrics.measurements (ts);

-- migrate:down
