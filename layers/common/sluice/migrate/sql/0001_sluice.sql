-- What Sluice keeps beside the rows of its streams.

-- Why a message never became a row. Nothing in it is a value of the record.
CREATE TABLE rejection (
    message_id uuid         PRIMARY KEY,
    stream     varchar(63)  NOT NULL,
    reason     varchar(64)  NOT NULL,
    pointer    varchar(256) NOT NULL,  -- JSON pointer to a declared field, or empty: the record as a whole
    shape      jsonb        NOT NULL,  -- declared fields with their JSON types, size in bytes, number of other fields
    at         timestamptz  NOT NULL DEFAULT now()
);

-- Tells whether a key of the keyset is still the one that made the tokens here. It cannot be turned back into the key.
CREATE TABLE token_key (
    number      integer     PRIMARY KEY,
    check_value bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

GRANT INSERT ON rejection TO :"ingest";
GRANT SELECT (number, check_value) ON token_key TO :"ingest";
