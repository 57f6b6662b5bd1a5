-- Processes say when they end, and are shown no more.
-- migrate:up
ALTER TABLE flags.instances ADD COLUMN ended boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN flags.instances.ended IS 'the row stays for a while, so that no late report counts twice';

-- migrate:down
