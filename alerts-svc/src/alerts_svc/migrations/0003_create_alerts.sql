-- Alerts, their incidents, and why somebody was or was not told. Times are the service's own, in seconds.
-- migrate:up
CREATE TABLE alerts.alerts (
    fingerprint  text PRIMARY KEY,
    rule         text,
    state        text NOT NULL,
    severity     text,
    incident     text,
    started_at   double precision,
    content      jsonb NOT NULL
);
CREATE INDEX alerts_incident ON alerts.alerts (incident) WHERE incident IS NOT NULL;
CREATE INDEX alerts_started_at ON alerts.alerts (started_at DESC NULLS LAST, fingerprint);

CREATE TABLE alerts.incidents (
    id           text PRIMARY KEY,
    fingerprint  text NOT NULL,
    rule         text,
    labels       jsonb NOT NULL,
    annotations  jsonb NOT NULL,
    severity     text,
    started_at   double precision NOT NULL,
    ended_at     double precision,
    end_reason   text
);
COMMENT ON COLUMN alerts.incidents.severity IS 'the greatest that it had';
CREATE INDEX incidents_started_at ON alerts.incidents (started_at DESC, id DESC);
CREATE INDEX incidents_fingerprint ON alerts.incidents (fingerprint, started_at DESC);
CREATE INDEX incidents_ended_at ON alerts.incidents (ended_at);

CREATE TABLE alerts.transitions (
    incident     text NOT NULL,
    sequence     integer NOT NULL,
    fingerprint  text NOT NULL,
    change       text NOT NULL,
    at           double precision NOT NULL,
    severity     text,
    value        double precision,
    threshold    double precision,
    reason       text NOT NULL,
    PRIMARY KEY (incident, sequence)
);

CREATE TABLE alerts.decisions (
    incident     text NOT NULL,
    at           double precision NOT NULL,
    change       text NOT NULL,
    outcome      text NOT NULL,
    fingerprint  text NOT NULL,
    reason       text NOT NULL,
    PRIMARY KEY (incident, at, change, outcome)
);

-- A group's key is made of labels and may be longer than an index entry can be, hence its hash.
CREATE TABLE alerts.groups (
    hash     bytea PRIMARY KEY,
    key      text NOT NULL,
    thread   text NOT NULL,
    sent_at  double precision NOT NULL
);

-- migrate:down
