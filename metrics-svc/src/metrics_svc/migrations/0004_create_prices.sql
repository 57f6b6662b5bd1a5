-- Own prices: each change is a new version of the whole list, and no version is ever changed.
-- migrate:up
CREATE TABLE metrics.price_lists (
    version  integer PRIMARY KEY,
    size     integer NOT NULL,
    prices   jsonb NOT NULL,
    set_at   timestamptz NOT NULL DEFAULT now(),
    set_by   text
);
COMMENT ON COLUMN metrics.price_lists.prices IS 'USD per million tokens, as strings so that they stay exact';

-- migrate:down
