-- Who acts, and as of which state of what people have set up.
-- migrate:up
CREATE SCHEMA IF NOT EXISTS alerts;

CREATE TABLE alerts.leases (
    name        text PRIMARY KEY,
    owner       text NOT NULL,
    fence       bigint NOT NULL,
    own         double precision NOT NULL,
    wall        double precision NOT NULL,
    expires_at  timestamptz NOT NULL,
    -- A fence that is part of a key can be held with FOR KEY SHARE: a commit then makes a new owner wait, and does
    -- not hinder the old one in renewing.
    UNIQUE (name, fence)
);
COMMENT ON COLUMN alerts.leases.own IS 'the service''s own time when the lease was taken or renewed';
INSERT INTO alerts.leases (name, owner, fence, own, wall, expires_at)
SELECT 'acting', '', 0, extract(epoch FROM now()), extract(epoch FROM now()), '-infinity';

CREATE TABLE alerts.revision (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    value  bigint NOT NULL
);
INSERT INTO alerts.revision (value) VALUES (1);

CREATE TABLE alerts.heartbeat (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    at   double precision
);
INSERT INTO alerts.heartbeat (at) VALUES (NULL);

-- migrate:down
