-- Changes to protected environments that wait for others to agree.
-- migrate:up
CREATE TABLE flags.change_requests (
    id          text GENERATED ALWAYS AS (number::text) STORED PRIMARY KEY,
    number      bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    status      text NOT NULL DEFAULT 'open'
        CHECK (status IN ('open', 'applied', 'rejected', 'withdrawn')),
    author      text NOT NULL,
    comment     text NOT NULL,
    needed      integer NOT NULL,
    created_at  double precision NOT NULL,
    decided_at  double precision,
    revision    bigint,
    content     json NOT NULL
);
COMMENT ON COLUMN flags.change_requests.content IS
    'the edits, and of each item the version that they were made for; json for the order of members';
COMMENT ON COLUMN flags.change_requests.revision IS 'the last one that applying it has made';
CREATE INDEX change_requests_open ON flags.change_requests (number) WHERE status = 'open';

-- One row per person: whoever votes again changes his mind.
CREATE TABLE flags.votes (
    request  text NOT NULL REFERENCES flags.change_requests ON DELETE CASCADE,
    name     text NOT NULL,
    agrees   boolean NOT NULL,
    comment  text NOT NULL,
    at       double precision NOT NULL,
    PRIMARY KEY (request, name)
);

-- migrate:down
