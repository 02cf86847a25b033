-- Partitions by time. To make and drop them takes the rights of the tables' owner. The role maintain gets no more of
-- these than the functions below. They look names up in this schema alone, and take the time from the server.

-- The streams whose tables have partitions, as their declarations say.
CREATE TABLE partitioning (
    stream      varchar(63) PRIMARY KEY,
    relation    text        NOT NULL,  -- the table, quoted as SQL wants it
    unit        varchar(5)  NOT NULL,  -- what a partition spans: day, month or year
    keep_for    interval,              -- since a row was sent; NULL: forever
    declared_at timestamptz NOT NULL DEFAULT now()
);

-- What a batch has not stored, because it was older than what is kept.
ALTER TABLE batch ADD COLUMN expired integer NOT NULL DEFAULT 0;

-- The time by which rows expire.
CREATE FUNCTION maintenance_time() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now()';

-- The partitions of a table by time, or of the vault those of a stream. A bound that a partition lacks is NULL.
CREATE FUNCTION partitions_of(parent regclass, of_stream text DEFAULT '')
    RETURNS TABLE (relation regclass, lower timestamptz, upper timestamptz)
    LANGUAGE sql STABLE
    AS $$
        SELECT c.oid::regclass, nullif(bound[2], 'MINVALUE')::timestamptz, nullif(bound[4], 'MAXVALUE')::timestamptz
        FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
        CROSS JOIN regexp_match(
            pg_get_expr(c.relpartbound, c.oid),
            $r$^FOR VALUES FROM \((?:'([^']*)', )?'?([^')]*)'?\) TO \((?:'([^']*)', )?'?([^')]*)'?\)$r$
        ) AS bound
        WHERE inhparent = parent AND bound IS NOT NULL AND coalesce(bound[1], '') = of_stream
    $$;

-- Makes a table like another one, and attaches it. That blocks nobody; CREATE TABLE with PARTITION OF would.
CREATE FUNCTION attach_like(parent regclass, model regclass, what_is_like text, base text, lower date, bounds text)
    RETURNS void
    LANGUAGE plpgsql
    AS $$
        DECLARE
            place record;
            made text;
            named text := coalesce(to_char(lower, '"_p"YYYY_MM_DD'), '_p_before');
            suffix text := named;
            number integer := 1;
        BEGIN
            SELECT nspname, relowner INTO STRICT place FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                WHERE c.oid = parent;
            LOOP  -- a table that somebody has detached keeps its name
                made := format('%I.%I', place.nspname, left(base, 63 - length(suffix)) || suffix);
                EXIT WHEN to_regclass(made) IS NULL;
                number := number + 1;
                suffix := named || '_' || number;
            END LOOP;
            EXECUTE format('CREATE TABLE %s (LIKE %s %s)', made, model, what_is_like);
            IF pg_get_userbyid(place.relowner) <> current_user THEN
                EXECUTE format('ALTER TABLE %s OWNER TO %I', made, pg_get_userbyid(place.relowner));
            END IF;
            EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES %s', parent, made, bounds);
        END
    $$;

-- The table of a stream that has partitions, or gets them. Any other stream is an error.
CREATE FUNCTION table_of(stream_name text) RETURNS regclass
    LANGUAGE plpgsql STABLE
    AS $$
        DECLARE
            found regclass;
        BEGIN
            SELECT relation::regclass INTO STRICT found FROM partitioning WHERE stream = stream_name;
            RETURN found;
        END
    $$;

-- Makes a partition of a stream's table. Without `lower` the partition takes all older rows.
CREATE FUNCTION make_partition(stream_name text, lower timestamptz, upper timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
        DECLARE
            parent regclass := table_of(stream_name);
        BEGIN
            PERFORM attach_like(
                parent, parent, 'INCLUDING ALL EXCLUDING IDENTITY', (SELECT relname FROM pg_class WHERE oid = parent),
                (lower AT TIME ZONE 'UTC')::date, format('FROM (%s) TO (%L)', coalesce(quote_literal(lower), 'MINVALUE'), upper)
            );
        END
    $$;

-- Makes a partition of the vault for a stream.
CREATE FUNCTION make_vault_partition(stream_name text, lower date, upper date) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
        BEGIN
            PERFORM FROM partitioning WHERE stream = stream_name;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'no such stream' USING ERRCODE = 'insufficient_privilege';
            END IF;
            PERFORM attach_like(
                'pii_vault', 'pii_vault_shared', 'INCLUDING DEFAULTS INCLUDING INDEXES INCLUDING STORAGE',
                'pii_vault_' || stream_name, lower,
                format('FROM (%L, %s) TO (%L, %L)', stream_name, coalesce(quote_literal(lower), 'MINVALUE'), stream_name, upper)
            );
        END
    $$;

-- Takes an exclusive lock on a table within 0.3 seconds, or fails: all who come after the request wait, too.
-- Before that it takes a lock that blocks no reads and no writes: an autovacuum gives way to that one after a second.
CREATE FUNCTION lock_shortly(relation regclass) RETURNS void
    LANGUAGE plpgsql
    AS $$ BEGIN
        EXECUTE format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE', relation);
        PERFORM set_config('lock_timeout', '300ms', true);
        EXECUTE format('LOCK TABLE %s', relation);
    END $$;

-- The moment before which a stream keeps no row; nothing where it keeps them forever.
CREATE FUNCTION expiry_of(stream_name text) RETURNS timestamptz
    LANGUAGE sql STABLE
    AS $$ SELECT maintenance_time() - keep_for FROM partitioning WHERE stream = stream_name $$;

-- Drops the partitions of the vault that expired with their rows, and returns how many values were in them.
-- The table's partition without a lower bound, as a converted table is, keeps none of them: its expired rows are deleted
-- one by one.
CREATE FUNCTION drop_vault_partitions(stream_name text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
        DECLARE
            part regclass;
            of_part bigint;
            sealed bigint := 0;
        BEGIN
            FOR part IN SELECT v.relation FROM partitioning s, partitions_of('pii_vault', stream_name) v
                WHERE s.stream = stream_name AND v.upper <= expiry_of(stream_name) AND NOT EXISTS (
                    SELECT FROM partitions_of(s.relation::regclass) r WHERE r.lower < v.upper AND r.upper > v.lower)
            LOOP
                EXECUTE format('SELECT count(*) FROM %s', part) INTO of_part;
                sealed := sealed + of_part;
                PERFORM lock_shortly(part);
                EXECUTE format('DROP TABLE %s', part);
            END LOOP;
            RETURN sealed;
        END
    $$;

-- Drops a partition of a stream's table all of whose rows have expired, with the sealed values that belong to them.
CREATE FUNCTION drop_partition(stream_name text, partition regclass, OUT removed bigint, OUT sealed bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
        BEGIN
            PERFORM FROM partitioning s, partitions_of(s.relation::regclass) p
                WHERE stream = stream_name AND p.relation = partition AND p.upper <= expiry_of(stream_name);
            IF NOT FOUND THEN
                RAISE EXCEPTION 'not expired' USING ERRCODE = 'insufficient_privilege';
            END IF;
            EXECUTE format('SELECT count(*) FROM %s', partition) INTO removed;  -- nobody writes to it any more
            PERFORM lock_shortly(partition);
            EXECUTE format('DROP TABLE %s', partition);
            sealed := drop_vault_partitions(stream_name);
        END
    $$;

-- Deletes expired rows from the partition without a lower bound, as a converted table is, in some blocks of its file.
CREATE FUNCTION delete_expired(stream_name text, first_block bigint, end_block bigint, OUT removed bigint, OUT blocks bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
        DECLARE
            part regclass;
        BEGIN
            SELECT p.relation INTO part FROM partitioning s, partitions_of(s.relation::regclass) p
                WHERE stream = stream_name AND p.lower IS NULL;
            removed := 0;
            blocks := 0;
            IF part IS NOT NULL AND expiry_of(stream_name) IS NOT NULL THEN
                blocks := pg_relation_size(part) / current_setting('block_size')::bigint;
                EXECUTE format('DELETE FROM %s WHERE ctid >= $1 AND ctid < $2 AND sent_at < $3', part)
                    USING format('(%s,0)', first_block)::tid, format('(%s,0)', end_block)::tid, expiry_of(stream_name);
                GET DIAGNOSTICS removed = ROW_COUNT;
            END IF;
        END
    $$;

-- Deletes some rows of our own tables that tell nothing any more, and returns how many.
-- A batch of the ledger is kept for longer than its rows. Where a stream keeps its rows forever, its batches stay too.
CREATE FUNCTION delete_outdated(what text, most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
        DECLARE
            deleted bigint;
        BEGIN
            CASE what
                WHEN 'operation' THEN
                    DELETE FROM operation WHERE id IN (
                        SELECT id FROM operation WHERE at < maintenance_time() - interval '1 day' LIMIT most
                    );
                WHEN 'rejection' THEN
                    DELETE FROM rejection WHERE ctid = ANY (ARRAY(
                        SELECT ctid FROM rejection WHERE at < maintenance_time() - interval '400 days' LIMIT most
                    ));
                WHEN 'batch' THEN
                    DELETE FROM batch WHERE ctid = ANY (ARRAY(
                        SELECT b.ctid FROM batch b JOIN partitioning p USING (stream)
                        WHERE b.at < maintenance_time() - greatest(keep_for, interval '400 days')
                            - ('1 ' || unit)::interval - interval '2 days'
                        LIMIT most
                    ));
                WHEN 'pii_vault_key' THEN  -- a data key seals for an hour
                    DELETE FROM pii_vault_key WHERE id IN (
                        SELECT id FROM pii_vault_key k WHERE created_at < maintenance_time() - interval '2 days'
                        AND NOT EXISTS (SELECT FROM pii_vault v WHERE v.key_id = k.id) LIMIT most
                    );
            END CASE;
            GET DIAGNOSTICS deleted = ROW_COUNT;
            RETURN deleted;
        END
    $$;

-- What keeps a table from getting partitions: it would stay behind with the old table.
CREATE FUNCTION conversion_obstacles(relation regclass) RETURNS SETOF text
    LANGUAGE sql STABLE
    AS $$
        SELECT DISTINCT CASE classid
            WHEN 'pg_rewrite'::regclass THEN (SELECT format('the view %s', ev_class::regclass) FROM pg_rewrite WHERE oid = objid)
            ELSE 'the ' || pg_describe_object(classid, objid, objsubid) END
        FROM pg_depend JOIN pg_class c ON c.oid = relation
        WHERE deptype = 'n' AND (
            refclassid = 'pg_class'::regclass AND refobjid = relation OR refclassid = 'pg_type'::regclass AND refobjid IN
            (SELECT unnest(ARRAY[t.oid, t.typarray]) FROM pg_type t WHERE t.oid = c.reltype)
        ) AND NOT EXISTS (SELECT FROM pg_constraint WHERE classid = 'pg_constraint'::regclass AND oid = objid AND conrelid = relation)
        AND NOT EXISTS (SELECT FROM pg_trigger WHERE classid = 'pg_trigger'::regclass AND oid = objid AND tgrelid = relation)
        AND NOT EXISTS (SELECT FROM pg_index WHERE classid = 'pg_class'::regclass AND indexrelid = objid AND indrelid = relation)
        AND classid NOT IN ('pg_attrdef'::regclass, 'pg_policy'::regclass, 'pg_statistic_ext'::regclass)
        UNION ALL SELECT format('the policy %I', polname) FROM pg_policy WHERE polrelid = relation
        UNION ALL SELECT 'its row-level security' FROM pg_class WHERE oid = relation AND (relrowsecurity OR relforcerowsecurity)
        UNION ALL SELECT format('the publication %I', pubname) FROM pg_publication_rel r JOIN pg_publication p ON p.oid = prpubid
            WHERE prrelid = relation
        UNION ALL SELECT 'its replica identity' FROM pg_class WHERE oid = relation AND relreplident <> 'd'
        UNION ALL SELECT format('the unique index %s, which lacks sent_at', indexrelid::regclass) FROM pg_index
            WHERE indrelid = relation AND indisunique AND NOT indisprimary AND NOT EXISTS (
                SELECT FROM pg_attribute WHERE attrelid = indrelid AND attnum = ANY (indkey) AND attname = 'sent_at')
        UNION ALL SELECT format('the constraint %I, which excludes', conname) FROM pg_constraint
            WHERE conrelid = relation AND contype = 'x'
        UNION ALL SELECT format('the constraint %I, which is not validated', conname) FROM pg_constraint
            WHERE conrelid = relation AND NOT convalidated AND conname <> 'sluice_conversion'
        UNION ALL SELECT format('the column %I, which is an identity', attname) FROM pg_attribute
            WHERE attrelid = relation AND attidentity <> '' AND NOT attisdropped
        UNION ALL SELECT format('the trigger %I, which is switched off or always on', tgname) FROM pg_trigger
            WHERE tgrelid = relation AND NOT tgisinternal AND tgenabled <> 'O'
        UNION ALL SELECT format('the trigger %I, which sees all rows of a statement', tgname) FROM pg_trigger
            WHERE tgrelid = relation AND NOT tgisinternal AND (tgoldtable IS NOT NULL OR tgnewtable IS NOT NULL)
        UNION ALL SELECT 'the column sent_at, which can be null' FROM pg_attribute
            WHERE attrelid = relation AND attname = 'sent_at' AND NOT attnotnull
        UNION ALL SELECT 'its type' FROM pg_class WHERE oid = relation AND reloftype <> 0
        UNION ALL SELECT format('the rule %I', rulename) FROM pg_rewrite WHERE ev_class = relation
    $$;

-- The unique indexes of a table that can become its primary key once it has partitions.
CREATE FUNCTION partition_keys(relation regclass) RETURNS TABLE (index regclass, is_valid boolean)
    LANGUAGE sql STABLE
    AS $$
        SELECT indexrelid::regclass, indisvalid FROM pg_index
        WHERE indrelid = relation AND indisunique AND indimmediate AND NOT indisprimary
        AND indpred IS NULL AND indexprs IS NULL AND indnatts = 2
        AND pg_get_indexdef(indexrelid, 1, false) = 'message_id' AND pg_get_indexdef(indexrelid, 2, false) = 'sent_at'
    $$;

-- The first step of a conversion: from now on only rows are written that belong into the first partition.
CREATE FUNCTION begin_conversion(stream_name text, boundary timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
        DECLARE
            old regclass := table_of(stream_name);
        BEGIN
            IF boundary < maintenance_time() + interval '2 days' THEN
                RAISE EXCEPTION 'too early' USING ERRCODE = 'insufficient_privilege';
            END IF;
            PERFORM lock_shortly(old);
            EXECUTE format(
                'ALTER TABLE %s DROP CONSTRAINT IF EXISTS sluice_conversion,'
                ' ADD CONSTRAINT sluice_conversion CHECK (sent_at < %L) NOT VALID', old, boundary
            );
        END
    $$;

-- The second step: PostgreSQL looks whether all rows that are there belong into the first partition, too. Nobody waits.
CREATE FUNCTION check_conversion(stream_name text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
        BEGIN
            EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT sluice_conversion', table_of(stream_name));
        END
    $$;

-- Undoes these two steps, when the last one cannot be done.
CREATE FUNCTION undo_conversion(stream_name text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
        DECLARE
            old regclass := table_of(stream_name);
        BEGIN
            PERFORM lock_shortly(old);
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS sluice_conversion', old);
        END
    $$;

-- The last step: a new table takes the name. The old one becomes its first partition, or is dropped if it is empty.
CREATE FUNCTION finish_conversion(stream_name text, boundary timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
        DECLARE
            old regclass := table_of(stream_name);
            name text;
            about record;
            key_name text;
            key_index text;
            before text;
            statement text;
            grantee_name text;
            after text[];
            trigger_names text[];
            obstacles text;
            has_rows boolean;
        BEGIN
            PERFORM lock_shortly(old);
            SELECT c.oid, relname, nspname, relkind, pg_get_userbyid(relowner) AS owner, obj_description(c.oid, 'pg_class') AS comment
                INTO STRICT about FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = old;
            IF about.relkind = 'p' THEN
                RETURN;
            END IF;
            name := format('%I.%I', about.nspname, about.relname);
            SELECT string_agg(o, ', ') INTO obstacles FROM conversion_obstacles(old) o;
            IF obstacles IS NOT NULL THEN
                RAISE EXCEPTION 'obstacles' USING ERRCODE = 'SL002', DETAIL = obstacles;
            END IF;
            SELECT conname INTO STRICT key_name FROM pg_constraint WHERE conrelid = old AND contype = 'p';
            SELECT relname INTO STRICT key_index FROM partition_keys(old) JOIN pg_class ON oid = index
                WHERE is_valid ORDER BY 1 LIMIT 1;
            EXECUTE format('SELECT EXISTS (SELECT FROM %s)', old) INTO has_rows;

            -- What goes over to the new table, as statements on the name, which the new table has by then.
            after := ARRAY(SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = old AND NOT tgisinternal)
                || ARRAY(SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', name, conname, pg_get_constraintdef(oid))
                    FROM pg_constraint WHERE conrelid = old AND contype = 'f')
                || ARRAY(SELECT format('GRANT %s ON %s TO %s%s', privilege_type, name,
                    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
                    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
                    FROM pg_class c, aclexplode(c.relacl) WHERE c.oid = old AND grantee <> c.relowner)
                || ARRAY(SELECT format('GRANT %s (%I) ON %s TO %s%s', privilege_type, attname, name,
                    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
                    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
                    FROM pg_attribute, aclexplode(attacl) WHERE attrelid = old AND NOT attisdropped)
                || ARRAY(SELECT format('ALTER SEQUENCE %s OWNED BY %s.%I', d.objid::regclass, name, attname)
                    FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
                    JOIN pg_attribute ON attrelid = old AND attnum = refobjsubid
                    WHERE d.classid = 'pg_class'::regclass AND refobjid = old AND deptype = 'a')
                || CASE WHEN about.comment IS NULL THEN '{}'::text[]
                    ELSE ARRAY[format('COMMENT ON TABLE %s IS %L', name, about.comment)] END;
            trigger_names := ARRAY(SELECT tgname::text FROM pg_trigger WHERE tgrelid = old AND NOT tgisinternal);

            FOREACH statement IN ARRAY trigger_names LOOP
                EXECUTE format('DROP TRIGGER %I ON %s', statement, old);
            END LOOP;
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', old, key_name);
            before := left(about.relname, 55) || '_before';
            EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I PRIMARY KEY USING INDEX %I', old, left(before, 58) || '_pkey', key_index);
            EXECUTE format('ALTER TABLE %s RENAME TO %I', old, before);
            EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING ALL) PARTITION BY RANGE (sent_at)', name, old);
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS sluice_conversion', name);
            IF about.owner <> current_user THEN
                EXECUTE format('ALTER TABLE %s OWNER TO %I', name, about.owner);
            END IF;
            FOREACH statement IN ARRAY after LOOP
                EXECUTE statement;
            END LOOP;
            IF has_rows THEN
                FOR grantee_name IN SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END
                    FROM pg_class c, aclexplode(relacl || ARRAY(
                        SELECT one FROM pg_attribute, unnest(attacl) one WHERE attrelid = old)) WHERE c.oid = old AND grantee <> relowner
                LOOP
                    EXECUTE format('REVOKE ALL ON %s FROM %s CASCADE', old, grantee_name);  -- the new table has granted it
                END LOOP;
                EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (MINVALUE) TO (%L)', name, old, boundary);
                EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS sluice_conversion', old);
            ELSE
                EXECUTE format('DROP TABLE %s', old);
            END IF;
        END
    $$;

-- Brings entries of the vault to other tokens, as in 0012, but looks only into the partitions that have the old tokens: a
-- statement on the whole vault costs time for each partition that there is, however empty.
CREATE OR REPLACE FUNCTION rekey_vault(old_tokens text[], new_tokens text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
        DECLARE
            part regclass;
            entry record;
        BEGIN
            LOOP
                BEGIN
                    FOR part IN SELECT DISTINCT tableoid::regclass FROM pii_vault WHERE token = ANY (old_tokens) ORDER BY 1 LOOP
                        FOR entry IN EXECUTE format(
                            'SELECT old_token, new_token FROM unnest($1, $2) WITH ORDINALITY AS r(old_token, new_token, number)'
                            ' JOIN %s ON token = old_token ORDER BY number', part) USING old_tokens, new_tokens
                        LOOP
                            EXECUTE format('DELETE FROM %1$s WHERE token = $1 AND EXISTS (SELECT FROM %1$s WHERE token = $2)', part)
                                USING entry.old_token, entry.new_token;
                            EXECUTE format('UPDATE %s SET token = $2 WHERE token = $1', part)
                                USING entry.old_token, entry.new_token;
                        END LOOP;
                    END LOOP;
                    RETURN;
                EXCEPTION WHEN unique_violation THEN
                    NULL;  -- sealed by ingest meanwhile: again, now that it is to be seen
                END;
            END LOOP;
        END
    $$;

DO $$
    DECLARE
        name text;
    BEGIN
        FOR name IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND proname IN (
            'partitions_of', 'attach_like', 'make_partition', 'make_vault_partition', 'lock_shortly', 'expiry_of', 'drop_partition',
            'drop_vault_partitions', 'delete_expired', 'delete_outdated', 'conversion_obstacles', 'begin_conversion', 'check_conversion',
            'undo_conversion', 'finish_conversion', 'maintenance_time', 'table_of', 'partition_keys', 'rekey_vault'
        ) LOOP
            EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp', name, current_schema());
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', name);
        END LOOP;
    END
$$;

GRANT SELECT ON partitioning TO :"maintain";
GRANT INSERT ON batch TO :"maintain";
GRANT SELECT (id) ON batch TO :"maintain";
GRANT INSERT (id) ON operation TO :"maintain";
GRANT EXECUTE ON FUNCTION audit_append, maintenance_time, partitions_of, partition_keys, make_partition, make_vault_partition, expiry_of, drop_partition, drop_vault_partitions, delete_expired, delete_outdated, begin_conversion, check_conversion, undo_conversion, finish_conversion TO :"maintain";
GRANT EXECUTE ON FUNCTION partitions_of, rekey_vault TO :"rekey";
REVOKE SELECT (tableoid), UPDATE (token), DELETE ON pii_vault FROM :"rekey";
