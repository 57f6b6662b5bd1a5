-- Messages to be sent, and every attempt at it. Times are the service's own, in seconds.
-- migrate:up
CREATE TABLE alerts.deliveries (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id   text NOT NULL UNIQUE,
    channel      text NOT NULL,
    group_hash   bytea NOT NULL,
    status       text NOT NULL DEFAULT 'waiting'
        CHECK (status IN ('waiting', 'sent', 'failed')),
    attempts     integer NOT NULL DEFAULT 0,
    since        double precision NOT NULL,
    next_at      double precision NOT NULL DEFAULT '-infinity',
    created_at   double precision NOT NULL,
    finished_at  double precision,
    reason       text NOT NULL DEFAULT '',
    about        text[],
    content      jsonb NOT NULL
);
COMMENT ON COLUMN alerts.deliveries.about IS
    'incidents of a message that is not the telling of any transition, such as one for a channel that failed';
COMMENT ON COLUMN alerts.deliveries.created_at IS 'wall clock';
COMMENT ON COLUMN alerts.deliveries.reason IS 'why it is not sent, if it is not';
CREATE INDEX deliveries_waiting ON alerts.deliveries (channel, (content ->> 'severity' = 'critical') DESC, id)
    WHERE status = 'waiting';
CREATE INDEX deliveries_group ON alerts.deliveries (channel, group_hash, id) WHERE status = 'waiting';
CREATE INDEX deliveries_next_at ON alerts.deliveries (channel, next_at) WHERE status = 'waiting';
CREATE INDEX deliveries_channel ON alerts.deliveries (channel, id);
CREATE INDEX deliveries_about ON alerts.deliveries USING gin (about) WHERE about IS NOT NULL;
CREATE INDEX deliveries_created_at ON alerts.deliveries (created_at);

-- Each transition is told once per channel.
CREATE TABLE alerts.delivery_items (
    incident  text NOT NULL,
    channel   text NOT NULL,
    sequence  integer NOT NULL,
    delivery  bigint NOT NULL,
    PRIMARY KEY (incident, channel, sequence)
);
CREATE INDEX delivery_items_delivery ON alerts.delivery_items (delivery);

-- What a message comes after: until that is no longer waiting, it is not sent.
CREATE TABLE alerts.delivery_waits (
    delivery  bigint NOT NULL REFERENCES alerts.deliveries ON DELETE CASCADE,
    after     bigint NOT NULL,
    PRIMARY KEY (delivery, after)
);

CREATE TABLE alerts.attempts (
    delivery  bigint NOT NULL REFERENCES alerts.deliveries ON DELETE CASCADE,
    number    integer NOT NULL,
    began_at  double precision NOT NULL,
    ended_at  double precision,
    outcome   text,
    status    integer,
    reason    text NOT NULL DEFAULT '',
    next_at   double precision,
    PRIMARY KEY (delivery, number)
);
COMMENT ON COLUMN alerts.attempts.outcome IS 'null: nobody knows; the process died, or is still at it';

-- migrate:down
