-- What processes report: how far they are, how soon they were there, and what they evaluated.
-- migrate:up
CREATE TABLE flags.instances (
    instance     text PRIMARY KEY,
    kind         text NOT NULL,
    name         text NOT NULL,
    environment  text NOT NULL,
    epoch        text NOT NULL,
    revision     bigint NOT NULL,
    sequence     bigint NOT NULL,
    first_seen   double precision NOT NULL,
    last_seen    double precision NOT NULL
);
COMMENT ON COLUMN flags.instances.sequence IS 'of the last report whose evaluations were counted';
CREATE INDEX instances_last_seen ON flags.instances (last_seen);

-- Counters that only grow; each writer has its own, so that writing one twice changes nothing.
CREATE TABLE flags.applied (
    writer      text NOT NULL,
    le          double precision NOT NULL,
    count       bigint NOT NULL,
    updated_at  double precision NOT NULL,
    PRIMARY KEY (writer, le)
);
COMMENT ON COLUMN flags.applied.le IS 'changes in force within so many seconds, and in no smaller bucket';

CREATE TABLE flags.usage (
    environment  text NOT NULL,
    flag         text NOT NULL,
    day          date NOT NULL,
    variant      text NOT NULL,
    count        bigint NOT NULL,
    last_at      double precision NOT NULL,
    PRIMARY KEY (environment, flag, day, variant)
);
COMMENT ON COLUMN flags.usage.variant IS 'empty: the caller''s own default';
CREATE INDEX usage_day ON flags.usage (day);

-- migrate:down
