-- The ledger: from each batch to what became of its records, and from a row to the rules and masks that made it.

-- A declaration as it was when rows were made by it: what `sluice describe --json` prints.
CREATE TABLE declaration (
    fingerprint varchar(64) PRIMARY KEY,  -- SHA-256 of the description, in hexadecimal
    stream      varchar(63) NOT NULL,
    description jsonb       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- What became of the records of a batch, for each stream. Nothing in it is a value of a record, or tells whose it is.
-- An erasure has a row too: it says how many rows it has removed.
CREATE TABLE batch (
    id             bigint       NOT NULL,  -- made by the client: milliseconds since 2026, and a random number behind it
    stream         varchar(63)  NOT NULL,
    request_id     varchar(64)  NOT NULL,  -- of the invocation
    at             timestamptz  NOT NULL DEFAULT now(),
    code_version   varchar(256) NOT NULL DEFAULT '',
    declaration    varchar(64),            -- its fingerprint; NULL where the records were of no stream
    key_number     integer,                -- of the keyset: the one that made the tokens
    received       integer      NOT NULL DEFAULT 0,
    written        integer      NOT NULL DEFAULT 0,
    duplicates     integer      NOT NULL DEFAULT 0,
    rejected       integer      NOT NULL DEFAULT 0,
    rejected_again integer      NOT NULL DEFAULT 0,  -- for the same reason as before
    erased         integer      NOT NULL DEFAULT 0,  -- sent before their person was erased: not stored
    ignored        integer      NOT NULL DEFAULT 0,
    removed        bigint       NOT NULL DEFAULT 0,  -- rows that were there
    oldest         timestamptz,            -- when records were sent
    newest         timestamptz,
    milliseconds   integer,
    PRIMARY KEY (id, stream, request_id)   -- two clients may make one id
);

GRANT INSERT ON batch TO :"ingest", :"forget";
GRANT SELECT ON batch TO :"audit";
