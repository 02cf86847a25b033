-- Personal data that can be recovered: sealed originals, who was erased, and a log of who recovered or erased what.

-- The data keys of the vault, each wrapped by KMS: without it none of them opens anything.
CREATE TABLE pii_vault_key (
    id          uuid        PRIMARY KEY,
    wrapped     bytea       NOT NULL,
    kms_key_arn text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- The original of a token: a nonce of 12 bytes, then AES-256-GCM under the data key, with the domain as associated data.
-- No foreign key: it would cost a look-up for every value; a data key's row is written until one batch has committed it.
CREATE TABLE pii_vault (
    token      varchar(256) PRIMARY KEY,
    domain     varchar(64)  NOT NULL,
    key_id     uuid         NOT NULL,
    sealed     bytea        NOT NULL,
    created_at timestamptz  NOT NULL DEFAULT now()
);

-- Who was erased, as a token of the domain `subject`: what was sent before that is not stored.
CREATE TABLE erasure (
    subject_token varchar(256) PRIMARY KEY,
    erased_at     timestamptz  NOT NULL
);

CREATE INDEX ON erasure (erased_at);

-- One row: it counts the removals from the vault, so that an environment learns when to forget what it knows to be in it.
CREATE TABLE removal (
    number bigint NOT NULL
);

INSERT INTO removal VALUES (0);

-- While a new token key is being taken into use: which token of an older key is which of the current one. Empty otherwise.
CREATE TABLE rekeyed_token (
    old_token varchar(256) PRIMARY KEY,
    token     varchar(256) NOT NULL
);

CREATE INDEX ON rekeyed_token (token);

-- How far that work has come: one row, or none.
CREATE TABLE rekeying (
    key_number    integer      NOT NULL,
    step          varchar(8)   NOT NULL,  -- map, apply, wait or empty
    place         varchar(63)  NOT NULL,  -- a table: the vault, the erasures, then each stream's
    after         varchar(256),           -- the primary key of the last row that is done in this place
    began_at      timestamptz  NOT NULL,  -- of this pass over all places
    changed       bigint       NOT NULL,  -- rows, in this pass
    changed_ever  bigint       NOT NULL   -- in all passes
);

CREATE UNIQUE INDEX ON rekeying ((true));

-- Returns the token under the current key, for a token of any key: joins and duplicates stay whole while keys change.
CREATE FUNCTION current_token(token text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    AS $$ SELECT coalesce((SELECT r.token FROM rekeyed_token r WHERE r.old_token = $1), $1) $$;

-- Brings entries of the vault to other tokens, in the order given: ingest inserts in the order of the tokens, and two who
-- go in opposite ways deadlock. Where the new token is sealed already the old entry goes: both hold the same value.
CREATE FUNCTION rekey_vault(old_tokens text[], new_tokens text[]) RETURNS void
    LANGUAGE plpgsql
    AS $$ BEGIN
        LOOP
            BEGIN
                FOR i IN 1 .. cardinality(old_tokens) LOOP
                    IF EXISTS (SELECT FROM pii_vault WHERE token = new_tokens[i]) THEN
                        DELETE FROM pii_vault WHERE token = old_tokens[i];
                    ELSE
                        UPDATE pii_vault SET token = new_tokens[i] WHERE token = old_tokens[i];
                    END IF;
                END LOOP;
                RETURN;
            EXCEPTION WHEN unique_violation THEN
                NULL;  -- sealed by ingest between the two statements: again, now that it is to be seen
            END;
        END LOOP;
    END $$;

-- Who recovered or erased what, and why. Each row holds the hash of the one before: none can be changed unnoticed.
CREATE TABLE audit_log (
    id            bigint       PRIMARY KEY,
    at            timestamptz  NOT NULL,
    actor         varchar(256) NOT NULL,
    action        varchar(32)  NOT NULL,
    reason        varchar(64)  NOT NULL,
    ticket        varchar(64)  NOT NULL,
    subject_token varchar(256),
    tokens        text[]       NOT NULL,
    counts        jsonb        NOT NULL,
    previous_hash bytea        NOT NULL,
    hash          bytea        NOT NULL
);

CREATE INDEX ON audit_log (at);

CREATE FUNCTION audit_log_is_final() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'audit_log: rows are never changed' USING ERRCODE = 'insufficient_privilege'; END $$;

CREATE TRIGGER is_final BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_final();

-- What a row's hash is made of: each field's text with its length in bytes before it, so that no two rows read the same.
CREATE FUNCTION audit_hash(VARIADIC fields text[]) RETURNS bytea
    LANGUAGE sql IMMUTABLE
    AS $$
        SELECT sha256(convert_to(
            string_agg(coalesce(octet_length(field) || ':' || field, '-'), '' ORDER BY place), 'UTF8'
        )) FROM unnest(fields) WITH ORDINALITY AS f(field, place)
    $$;

-- Appends a row, as the last statement of its transaction: one writer at a time. With `daily_limit` it refuses (SQLSTATE
-- SL001) when the actor's tokens of the UTC day in this action, these ones with them, are more than that. All sessions of
-- a role are one actor: whoever assumes it chooses the session's name.
CREATE FUNCTION audit_append(
    actor text, action text, reason text, ticket text, subject_token text, tokens text[], counts jsonb,
    daily_limit integer DEFAULT NULL, OUT id bigint, OUT hash bytea
)
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
        #variable_conflict use_variable
        DECLARE
            head record;
            moment timestamptz;
            asked bigint;
            session_name constant text := '(:assumed-role/[^/]+)/.*';
        BEGIN
            PERFORM pg_advisory_xact_lock(20943);  -- 0x51CF
            moment := clock_timestamp();
            IF daily_limit IS NOT NULL THEN
                SELECT coalesce(sum(cardinality(l.tokens)), 0) INTO asked FROM audit_log l
                    WHERE l.at >= date_trunc('day', moment, 'UTC') AND l.action = audit_append.action
                    AND regexp_replace(l.actor, session_name, '\1') = regexp_replace(actor, session_name, '\1');
                IF asked + cardinality(tokens) > daily_limit THEN
                    RAISE EXCEPTION 'daily limit' USING ERRCODE = 'SL001';
                END IF;
            END IF;
            SELECT l.id, l.hash INTO head FROM audit_log l ORDER BY l.id DESC LIMIT 1;
            id := coalesce(head.id, 0) + 1;
            head.hash := coalesce(head.hash, '\x');
            hash := audit_hash(
                encode(head.hash, 'hex'), id::text, to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                actor, action, reason, ticket, subject_token, tokens::text, counts::text
            );
            INSERT INTO audit_log VALUES (
                id, moment, actor, action, reason, ticket, subject_token, tokens, counts, head.hash, hash
            );
        END
    $$;

REVOKE EXECUTE ON FUNCTION audit_append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_append TO :"reveal", :"forget", :"rekey";
GRANT SELECT ON audit_log TO :"audit";

-- What runs with the owner's rights looks names up in this schema alone.
DO $$
    BEGIN
        EXECUTE format('ALTER FUNCTION current_token SET search_path = pg_catalog, %I, pg_temp', current_schema());
        EXECUTE format('ALTER FUNCTION audit_append SET search_path = pg_catalog, %I, pg_temp', current_schema());
    END
$$;

-- The pipeline can seal, not read.
GRANT INSERT (id, wrapped, kms_key_arn) ON pii_vault_key TO :"ingest";
GRANT INSERT (token, domain, key_id, sealed) ON pii_vault TO :"ingest";
GRANT SELECT ON erasure, removal TO :"ingest";

GRANT SELECT (token, domain, key_id, sealed) ON pii_vault TO :"reveal";
GRANT SELECT (id, wrapped, kms_key_arn) ON pii_vault_key TO :"reveal";
GRANT SELECT ON rekeyed_token TO :"reveal";
GRANT SELECT (number, check_value) ON token_key TO :"reveal"; -- under another keyset every entry would seem altered

-- What it erases it cannot open: it never sees a sealed value.
GRANT SELECT (token, domain, key_id), DELETE ON pii_vault TO :"forget";
GRANT SELECT (id, created_at), DELETE ON pii_vault_key TO :"forget";
GRANT SELECT, INSERT, UPDATE (erased_at) ON erasure TO :"forget";
GRANT SELECT, UPDATE (number) ON removal TO :"forget";
GRANT SELECT, DELETE ON rekeyed_token TO :"forget";
GRANT SELECT (number, check_value) ON token_key TO :"forget"; -- under another keyset it would find nobody

-- It turns tokens into tokens: it reads no sealed value and no column of a stream that has none.
GRANT SELECT (token, domain), UPDATE (token), DELETE ON pii_vault TO :"rekey";
GRANT SELECT (id, wrapped, kms_key_arn), UPDATE (wrapped, kms_key_arn) ON pii_vault_key TO :"rekey";
GRANT SELECT, INSERT, UPDATE (erased_at), DELETE ON erasure TO :"rekey";
GRANT SELECT ON removal TO :"rekey";
GRANT SELECT, INSERT, UPDATE (token), DELETE ON rekeyed_token TO :"rekey";
GRANT SELECT, INSERT, UPDATE, DELETE ON rekeying TO :"rekey";
GRANT SELECT (number, check_value), INSERT (number, check_value) ON token_key TO :"rekey";
