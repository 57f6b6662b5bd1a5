-- How far alerts-svc has been told of changes.
-- migrate:up
CREATE TABLE flags.told (
    one       boolean PRIMARY KEY DEFAULT true CHECK (one),
    revision  bigint NOT NULL
);
INSERT INTO flags.told (revision) VALUES (0);

-- migrate:down
