-- The third step of 0010: what was the vault is its first partition, and the code of before writes to it as ever.
-- A token is unique in each partition alone: the vault has one entry for each stream and period that have the token.

ALTER TABLE pii_vault RENAME TO pii_vault_shared;

CREATE TABLE pii_vault (LIKE pii_vault_shared INCLUDING DEFAULTS INCLUDING STORAGE) PARTITION BY RANGE (stream, day);

ALTER TABLE pii_vault ATTACH PARTITION pii_vault_shared FOR VALUES FROM ('', MINVALUE) TO ('', MAXVALUE);

REVOKE ALL ON pii_vault_shared FROM :"ingest", :"reveal", :"forget", :"rekey";
GRANT INSERT (token, domain, key_id, sealed, stream, day) ON pii_vault TO :"ingest";
GRANT SELECT (token, domain, key_id, sealed) ON pii_vault TO :"reveal";
GRANT SELECT (token, domain, key_id), DELETE ON pii_vault TO :"forget";
GRANT SELECT (token, domain, tableoid), UPDATE (token), DELETE ON pii_vault TO :"rekey";

-- Brings entries of the vault to other tokens, in the order given: ingest inserts in the order of the tokens, and two who
-- go in opposite ways deadlock. If the new token is sealed in the same place already, the old entry goes: both hold the
-- same value.
CREATE OR REPLACE FUNCTION rekey_vault(old_tokens text[], new_tokens text[]) RETURNS void
    LANGUAGE plpgsql
    AS $$ BEGIN
        LOOP
            BEGIN
                FOR i IN 1 .. cardinality(old_tokens) LOOP
                    DELETE FROM pii_vault old WHERE token = old_tokens[i] AND EXISTS (
                        SELECT FROM pii_vault new
                        WHERE new.token = new_tokens[i] AND new.tableoid = old.tableoid
                    );
                    UPDATE pii_vault SET token = new_tokens[i] WHERE token = old_tokens[i];
                END LOOP;
                RETURN;
            EXCEPTION WHEN unique_violation THEN
                NULL;  -- sealed by ingest between the two statements: again, now that it is to be seen
            END;
        END LOOP;
    END $$;
