-- The vault by stream and time, so that sealed values go with the rows that they belong to. In three steps, each in a
-- transaction of its own: no batch waits while all sealed values are looked at.

ALTER TABLE pii_vault
    ADD COLUMN stream text COLLATE "C" NOT NULL DEFAULT '',      -- of its rows; empty: shared by streams without partitions
    ADD COLUMN day    date             NOT NULL DEFAULT '-infinity';  -- on which its rows were sent, in UTC

ALTER TABLE pii_vault ADD CONSTRAINT is_shared CHECK (stream = '') NOT VALID;
