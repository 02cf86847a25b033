-- A database as the first release of Sluice (commit ea055c9) left it, for test_first_release.py. Never change it.
--
-- That release's own functions made it, on PostgreSQL 18, with the fakes of its tests:
--   migrate, with the login roles that LOGINS names (tests/integration/databases.py) and the keyset KEYSET
--     (tests/integration/messages.py);
--   ingest, with messages.json: the logins ann, bob, cy, not_json and bad_address; then bob and cy again, with dora; then
--     all orders. The vault's key is VAULT_KEY (tests/integration/environment.py), the stack's name "tests";
--   reveal, of a token that is in the vault and one that is not;
--   forget, of ann@example.com; then ingest, with ann's login once more.
-- Then `pg_dump --no-owner --no-comments --column-inserts`, without its headings and the settings that play no part here.
-- The roles are made here, without passwords: a migration sets them.

CREATE ROLE audit_of_tests LOGIN;
CREATE ROLE dead_letters_of_tests LOGIN;
CREATE ROLE forget_of_tests LOGIN;
CREATE ROLE ingest_of_tests LOGIN;
CREATE ROLE rekey_of_tests LOGIN;
CREATE ROLE reveal_of_tests LOGIN;

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET client_min_messages = warning;

CREATE FUNCTION public.audit_append(actor text, action text, reason text, ticket text, subject_token text, tokens text[], counts jsonb, daily_limit integer DEFAULT NULL::integer, OUT id bigint, OUT hash bytea) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
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

CREATE FUNCTION public.audit_hash(VARIADIC fields text[]) RETURNS bytea
    LANGUAGE sql IMMUTABLE
    AS $$
        SELECT sha256(convert_to(
            string_agg(coalesce(octet_length(field) || ':' || field, '-'), '' ORDER BY place), 'UTF8'
        )) FROM unnest(fields) WITH ORDINALITY AS f(field, place)
    $$;

CREATE FUNCTION public.audit_log_is_final() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'audit_log: rows are never changed' USING ERRCODE = 'insufficient_privilege'; END $$;

CREATE FUNCTION public.current_token(token text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $_$ SELECT coalesce((SELECT r.token FROM rekeyed_token r WHERE r.old_token = $1), $1) $_$;

CREATE FUNCTION public.rekey_vault(old_tokens text[], new_tokens text[]) RETURNS void
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

CREATE TABLE public.audit_log (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    actor character varying(256) NOT NULL,
    action character varying(32) NOT NULL,
    reason character varying(64) NOT NULL,
    ticket character varying(64) NOT NULL,
    subject_token character varying(256),
    tokens text[] NOT NULL,
    counts jsonb NOT NULL,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL
);

CREATE TABLE public.erasure (
    subject_token character varying(256) NOT NULL,
    erased_at timestamp with time zone NOT NULL
);

CREATE TABLE public.migration (
    number integer NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.orders (
    order_id uuid NOT NULL,
    placed_at timestamp with time zone NOT NULL,
    status character varying(16) NOT NULL,
    total numeric(12,2) NOT NULL,
    gift boolean NOT NULL,
    tags text[] NOT NULL,
    recipient_emails character varying(256)[] NOT NULL,
    masked_ip character varying(256),
    network cidr,
    customer_email character varying(256) NOT NULL,
    customer character varying(256) NOT NULL,
    customer_domain character varying(254) NOT NULL,
    customer_phone character varying(256),
    customer_name text,
    lines jsonb NOT NULL,
    source character varying(16) NOT NULL,
    large boolean NOT NULL,
    sent_at timestamp with time zone NOT NULL,
    message_id uuid NOT NULL
);

CREATE TABLE public.pii_vault (
    token character varying(256) NOT NULL,
    domain character varying(64) NOT NULL,
    key_id uuid CONSTRAINT pii_vault_key_id_not_null1 NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.pii_vault_key (
    id uuid NOT NULL,
    wrapped bytea NOT NULL,
    kms_key_arn text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.rejection (
    message_id uuid NOT NULL,
    stream character varying(63) NOT NULL,
    reason character varying(64) NOT NULL,
    pointer character varying(256) NOT NULL,
    shape jsonb NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.rekeyed_token (
    old_token character varying(256) NOT NULL,
    token character varying(256) NOT NULL
);

CREATE TABLE public.rekeying (
    key_number integer NOT NULL,
    step character varying(8) NOT NULL,
    place character varying(63) NOT NULL,
    after character varying(256),
    began_at timestamp with time zone NOT NULL,
    changed bigint NOT NULL,
    changed_ever bigint NOT NULL
);

CREATE TABLE public.removal (
    number bigint NOT NULL
);

CREATE TABLE public.token_key (
    number integer NOT NULL,
    check_value bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.user_logins (
    user_id character varying(128) NOT NULL,
    device_type character varying(32) NOT NULL,
    masked_ip character varying(256) NOT NULL,
    masked_device_id character varying(256) NOT NULL,
    locale character varying(32),
    app_version integer NOT NULL,
    create_date date GENERATED ALWAYS AS (((sent_at AT TIME ZONE 'UTC'::text))::date) STORED,
    app_version_text character varying(32) NOT NULL,
    sent_at timestamp with time zone NOT NULL,
    message_id uuid NOT NULL
);

INSERT INTO public.audit_log (id, at, actor, action, reason, ticket, subject_token, tokens, counts, previous_hash, hash) VALUES (1, '2026-11-26 09:33:33.239771+00', 'arn:aws:sts::000000000000:assumed-role/fraud/eve', 'reveal', 'fraud_investigation', 'FRAUD-1', NULL, '{t1_nBbox1bNQsYS5o_QklNUQDvRkKy1g3Wb2o_-mZanj3s,t1_LLOiA9X0_0xdzj5d8POW9GihG8us7mfveYCYzUsMnjM}', '{"asked": 2, "found": 1}', '\x', '\xce961570a8fa8b57cefb8b96b7873b2b5fc9908506a1128b66403ba7157016a3');
INSERT INTO public.audit_log (id, at, actor, action, reason, ticket, subject_token, tokens, counts, previous_hash, hash) VALUES (2, '2026-11-26 09:33:33.279746+00', 'arn:aws:sts::000000000000:assumed-role/privacy/paul', 'forget', 'data_subject_request', 'PRIV-1', 't1_eP1DZhP07jFShquQ4Ra_LKHuO8GWGXF4ERm5BHWQdSc', '{t1_eP1DZhP07jFShquQ4Ra_LKHuO8GWGXF4ERm5BHWQdSc}', '{"rows": 1, "values": 2, "data_keys": 0}', '\xce961570a8fa8b57cefb8b96b7873b2b5fc9908506a1128b66403ba7157016a3', '\xc83266191e005ba9b50fc8d2aee0a3556aa5b61240223521b66327300376d598');
INSERT INTO public.erasure (subject_token, erased_at) VALUES ('t1_eP1DZhP07jFShquQ4Ra_LKHuO8GWGXF4ERm5BHWQdSc', '2026-11-26 09:33:33.263516+00');
INSERT INTO public.migration (number, name, applied_at) VALUES (1, '0001_sluice.sql', '2026-11-26 09:33:33.021543+00');
INSERT INTO public.migration (number, name, applied_at) VALUES (2, '0002_user_logins.sql', '2026-11-26 09:33:33.028393+00');
INSERT INTO public.migration (number, name, applied_at) VALUES (3, '0003_orders.sql', '2026-11-26 09:33:33.033149+00');
INSERT INTO public.migration (number, name, applied_at) VALUES (4, '0004_vault.sql', '2026-11-26 09:33:33.04102+00');
INSERT INTO public.migration (number, name, applied_at) VALUES (5, '0005_dead_letters.sql', '2026-11-26 09:33:33.062721+00');
INSERT INTO public.orders (order_id, placed_at, status, total, gift, tags, recipient_emails, masked_ip, network, customer_email, customer, customer_domain, customer_phone, customer_name, lines, source, large, sent_at, message_id) VALUES ('0badf00d-0000-4000-8000-000000000001', '2026-01-31 12:00:00+00', 'paid', 1204.50, false, '{}', '{t1_omPnRbY3bDpMgk5Oid00ayiEykhEhglq1zqetaqSLhE,t1_2Zs7tGr9Pa72yrJNlBt6QAIF2IKAdWL-LXMqNZ56pHw}', 't1_nBbox1bNQsYS5o_QklNUQDvRkKy1g3Wb2o_-mZanj3s', '192.0.2.0/24', 't1_fON33Vo9PRLPWe4_0LOxa2gL6Ek-lGln0kECgVQ3jLw', 't1_dfBgYPoiYZQZ_6DvtkqLRgCqMn-AyFNVBSwGOZOQum8', 'example.com', 't1_e4HwHxQPyJsmqDFUlQkdSXkzYwJKF-b_kCw0o-KL6uo', NULL, '[{"sku": "S-1", "price": 602.25, "quantity": 2, "engraving": "engraved"}]', 'shop', true, '2026-01-31 12:00:01+00', '00000000-0000-4000-8000-000000000011');
INSERT INTO public.orders (order_id, placed_at, status, total, gift, tags, recipient_emails, masked_ip, network, customer_email, customer, customer_domain, customer_phone, customer_name, lines, source, large, sent_at, message_id) VALUES ('0badf00d-0000-4000-8000-000000000002', '2026-01-31 12:00:00+00', 'paid', 9.99, false, '{}', '{}', NULL, NULL, 't1_2Zs7tGr9Pa72yrJNlBt6QAIF2IKAdWL-LXMqNZ56pHw', 't1_LN3M9OPPT06rC2CqIHwZUIRv2wSofzL48_SPYLyzxpw', 'example.com', 't1_e4HwHxQPyJsmqDFUlQkdSXkzYwJKF-b_kCw0o-KL6uo', NULL, '[]', 'shop', false, '2026-01-31 12:00:02+00', '00000000-0000-4000-8000-000000000012');
INSERT INTO public.pii_vault (token, domain, key_id, sealed, created_at) VALUES ('t1_BNO0q95E6ripMILkmcqFojAjZyJvWT2O_UIKou_pxI4', 'device_id', '9c9a5098-1545-4448-8de1-7be06c272e7b', '\xd47e57c0f5d5b8f851f7627e6830822aaefcdb97f8d2ab91f9d7ee98c3c136fc23a8', '2026-11-26 09:33:33.173301+00');
INSERT INTO public.pii_vault (token, domain, key_id, sealed, created_at) VALUES ('t1_TsP4ten6BeSKDK0N26iu9xGIW9sEbYAlTWG1QTCRl8k', 'device_id', '9c9a5098-1545-4448-8de1-7be06c272e7b', '\x7ec96d07200fa16a5ea7c740724a201ace3a35ca447580a718eb379d71a484ae2c', '2026-11-26 09:33:33.173301+00');
INSERT INTO public.pii_vault (token, domain, key_id, sealed, created_at) VALUES ('t1_nBbox1bNQsYS5o_QklNUQDvRkKy1g3Wb2o_-mZanj3s', 'ip', '9c9a5098-1545-4448-8de1-7be06c272e7b', '\xd6e1fc8c565098f094c1aa7c66b4f182dbfd87ed41e602b572d85bd5e33524e844aa0755b2', '2026-11-26 09:33:33.173301+00');
INSERT INTO public.pii_vault (token, domain, key_id, sealed, created_at) VALUES ('t1_Ig-454e_NOOAqm-kBBcoxuNNk60c_R2IBo9LY5ZPEsY', 'ip', '9c9a5098-1545-4448-8de1-7be06c272e7b', '\xa4bf82630c99305a01af002f4607dc6d4ea5f6d331a0bb36585ff6299efd19f8a303dd3d7064e1', '2026-11-26 09:33:33.181683+00');
INSERT INTO public.pii_vault (token, domain, key_id, sealed, created_at) VALUES ('t1_2Zs7tGr9Pa72yrJNlBt6QAIF2IKAdWL-LXMqNZ56pHw', 'email', '21499e96-4329-4c13-a7c7-9a66b22c3b16', '\xf92abb90bdf7ae6d2ab05cf9775e821855d427bbfe14bac27a968954b595c2f2705529b5e8003c369b49', '2026-11-26 09:33:33.194165+00');
INSERT INTO public.pii_vault (token, domain, key_id, sealed, created_at) VALUES ('t1_fON33Vo9PRLPWe4_0LOxa2gL6Ek-lGln0kECgVQ3jLw', 'email', '21499e96-4329-4c13-a7c7-9a66b22c3b16', '\x82283b4e1e7d80bd83ba766e0c6697801f549a8b9f035627ac009a7abe3bfa42b94d543e71f75f521fb705', '2026-11-26 09:33:33.194165+00');
INSERT INTO public.pii_vault_key (id, wrapped, kms_key_arn, created_at) VALUES ('9c9a5098-1545-4448-8de1-7be06c272e7b', '\xfa33f299118f673ae5edff8ec6f75b3aeb7562d918577aab5916d5fc94a41743835b5d33436488779d5f186472e307b10fa9051080aea1a8938fa4e2', 'arn:aws:kms:eu-central-1:000000000000:key/vault', '2026-11-26 09:33:33.173301+00');
INSERT INTO public.pii_vault_key (id, wrapped, kms_key_arn, created_at) VALUES ('21499e96-4329-4c13-a7c7-9a66b22c3b16', '\x8387a96df46fface34328361d76d363d78bcb9db6afe2770ab33930847226dd048bb49e62161790ff547bc2a1c8cf952ad980e321dbad412e4edd83f', 'arn:aws:kms:eu-central-1:000000000000:key/vault', '2026-11-26 09:33:33.194165+00');
INSERT INTO public.rejection (message_id, stream, reason, pointer, shape, at) VALUES ('00000000-0000-4000-8000-000000000005', 'user_logins', 'not_json', '', '{"bytes": 7}', '2026-11-26 09:33:33.173301+00');
INSERT INTO public.rejection (message_id, stream, reason, pointer, shape, at) VALUES ('00000000-0000-4000-8000-000000000006', 'user_logins', 'not_an_ip_address', '/ip', '{"bytes": 135, "fields": {"ip": "string", "locale": "string", "user_id": "string", "device_id": "string", "app_version": "string", "device_type": "string"}, "other_fields": 0}', '2026-11-26 09:33:33.173301+00');
INSERT INTO public.rejection (message_id, stream, reason, pointer, shape, at) VALUES ('00000000-0000-4000-8000-000000000013', 'orders', 'too_precise', '/total', '{"bytes": 330, "fields": {"ip": "string", "lines": "array", "total": "string", "status": "string", "customer": {"name": "string", "email": "string", "phone": "string"}, "order_id": "string", "placed_at": "string", "recipients": "array"}, "other_fields": 0}', '2026-11-26 09:33:33.194165+00');
INSERT INTO public.removal (number) VALUES (1);
INSERT INTO public.token_key (number, check_value, created_at) VALUES (1, '\x35dbae332995a0b747f32cd6bee5b83449c007452d02192a1673495d781386de', '2026-11-26 09:33:33.067758+00');
INSERT INTO public.user_logins (user_id, device_type, masked_ip, masked_device_id, locale, app_version, app_version_text, sent_at, message_id) VALUES ('bob@example.com', 'android', 't1_nBbox1bNQsYS5o_QklNUQDvRkKy1g3Wb2o_-mZanj3s', 't1_TsP4ten6BeSKDK0N26iu9xGIW9sEbYAlTWG1QTCRl8k', 'RU', 2003000, '2.3.0', '2026-01-31 09:00:00.002+00', '00000000-0000-4000-8000-000000000002');
INSERT INTO public.user_logins (user_id, device_type, masked_ip, masked_device_id, locale, app_version, app_version_text, sent_at, message_id) VALUES ('cy@example.com', 'android', 't1_nBbox1bNQsYS5o_QklNUQDvRkKy1g3Wb2o_-mZanj3s', 't1_BNO0q95E6ripMILkmcqFojAjZyJvWT2O_UIKou_pxI4', NULL, 2003000, '2.3.0', '2026-01-31 10:00:00.003+00', '00000000-0000-4000-8000-000000000003');
INSERT INTO public.user_logins (user_id, device_type, masked_ip, masked_device_id, locale, app_version, app_version_text, sent_at, message_id) VALUES ('dora@example.com', 'android', 't1_Ig-454e_NOOAqm-kBBcoxuNNk60c_R2IBo9LY5ZPEsY', 't1_BNO0q95E6ripMILkmcqFojAjZyJvWT2O_UIKou_pxI4', 'RU', 2003000, '2.3.0', '2026-01-31 23:59:59.999+00', '00000000-0000-4000-8000-000000000004');

ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.erasure
    ADD CONSTRAINT erasure_pkey PRIMARY KEY (subject_token);

ALTER TABLE ONLY public.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (number);

ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (message_id);

ALTER TABLE ONLY public.pii_vault_key
    ADD CONSTRAINT pii_vault_key_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.pii_vault
    ADD CONSTRAINT pii_vault_pkey PRIMARY KEY (token);

ALTER TABLE ONLY public.rejection
    ADD CONSTRAINT rejection_pkey PRIMARY KEY (message_id);

ALTER TABLE ONLY public.rekeyed_token
    ADD CONSTRAINT rekeyed_token_pkey PRIMARY KEY (old_token);

ALTER TABLE ONLY public.token_key
    ADD CONSTRAINT token_key_pkey PRIMARY KEY (number);

ALTER TABLE ONLY public.user_logins
    ADD CONSTRAINT user_logins_pkey PRIMARY KEY (message_id);

CREATE INDEX audit_log_at_idx ON public.audit_log USING btree (at);

CREATE INDEX erasure_erased_at_idx ON public.erasure USING btree (erased_at);

CREATE INDEX orders_customer_email_idx ON public.orders USING btree (customer_email);

CREATE INDEX orders_customer_idx ON public.orders USING btree (customer);

CREATE INDEX orders_masked_ip_idx ON public.orders USING btree (masked_ip);

CREATE INDEX rekeyed_token_token_idx ON public.rekeyed_token USING btree (token);

CREATE UNIQUE INDEX rekeying_expr_idx ON public.rekeying USING btree ((true));

CREATE INDEX user_logins_masked_device_id_idx ON public.user_logins USING btree (masked_device_id);

CREATE INDEX user_logins_masked_ip_idx ON public.user_logins USING btree (masked_ip);

CREATE INDEX user_logins_user_id_idx ON public.user_logins USING btree (user_id);

CREATE TRIGGER is_final BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_log FOR EACH STATEMENT EXECUTE FUNCTION public.audit_log_is_final();

REVOKE ALL ON FUNCTION public.audit_append(actor text, action text, reason text, ticket text, subject_token text, tokens text[], counts jsonb, daily_limit integer, OUT id bigint, OUT hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION public.audit_append(actor text, action text, reason text, ticket text, subject_token text, tokens text[], counts jsonb, daily_limit integer, OUT id bigint, OUT hash bytea) TO reveal_of_tests;
GRANT ALL ON FUNCTION public.audit_append(actor text, action text, reason text, ticket text, subject_token text, tokens text[], counts jsonb, daily_limit integer, OUT id bigint, OUT hash bytea) TO forget_of_tests;
GRANT ALL ON FUNCTION public.audit_append(actor text, action text, reason text, ticket text, subject_token text, tokens text[], counts jsonb, daily_limit integer, OUT id bigint, OUT hash bytea) TO rekey_of_tests;
GRANT ALL ON FUNCTION public.audit_append(actor text, action text, reason text, ticket text, subject_token text, tokens text[], counts jsonb, daily_limit integer, OUT id bigint, OUT hash bytea) TO dead_letters_of_tests;
GRANT SELECT ON TABLE public.audit_log TO audit_of_tests;
GRANT SELECT ON TABLE public.erasure TO ingest_of_tests;
GRANT SELECT,INSERT ON TABLE public.erasure TO forget_of_tests;
GRANT SELECT,INSERT,DELETE ON TABLE public.erasure TO rekey_of_tests;
GRANT SELECT ON TABLE public.erasure TO dead_letters_of_tests;
GRANT UPDATE(erased_at) ON TABLE public.erasure TO forget_of_tests;
GRANT UPDATE(erased_at) ON TABLE public.erasure TO rekey_of_tests;
GRANT INSERT ON TABLE public.orders TO ingest_of_tests;
GRANT DELETE ON TABLE public.orders TO forget_of_tests;
GRANT SELECT(recipient_emails) ON TABLE public.orders TO forget_of_tests;
GRANT SELECT(recipient_emails),UPDATE(recipient_emails) ON TABLE public.orders TO rekey_of_tests;
GRANT SELECT(masked_ip) ON TABLE public.orders TO forget_of_tests;
GRANT SELECT(masked_ip),UPDATE(masked_ip) ON TABLE public.orders TO rekey_of_tests;
GRANT SELECT(customer_email) ON TABLE public.orders TO forget_of_tests;
GRANT SELECT(customer_email),UPDATE(customer_email) ON TABLE public.orders TO rekey_of_tests;
GRANT SELECT(customer) ON TABLE public.orders TO forget_of_tests;
GRANT SELECT(customer),UPDATE(customer) ON TABLE public.orders TO rekey_of_tests;
GRANT SELECT(customer_phone) ON TABLE public.orders TO forget_of_tests;
GRANT SELECT(customer_phone),UPDATE(customer_phone) ON TABLE public.orders TO rekey_of_tests;
GRANT SELECT(sent_at) ON TABLE public.orders TO forget_of_tests;
GRANT SELECT(message_id) ON TABLE public.orders TO ingest_of_tests;
GRANT SELECT(message_id) ON TABLE public.orders TO forget_of_tests;
GRANT SELECT(message_id) ON TABLE public.orders TO rekey_of_tests;
GRANT DELETE ON TABLE public.pii_vault TO forget_of_tests;
GRANT DELETE ON TABLE public.pii_vault TO rekey_of_tests;
GRANT INSERT(token) ON TABLE public.pii_vault TO ingest_of_tests;
GRANT SELECT(token) ON TABLE public.pii_vault TO reveal_of_tests;
GRANT SELECT(token) ON TABLE public.pii_vault TO forget_of_tests;
GRANT SELECT(token),UPDATE(token) ON TABLE public.pii_vault TO rekey_of_tests;
GRANT INSERT(domain) ON TABLE public.pii_vault TO ingest_of_tests;
GRANT SELECT(domain) ON TABLE public.pii_vault TO reveal_of_tests;
GRANT SELECT(domain) ON TABLE public.pii_vault TO forget_of_tests;
GRANT SELECT(domain) ON TABLE public.pii_vault TO rekey_of_tests;
GRANT INSERT(key_id) ON TABLE public.pii_vault TO ingest_of_tests;
GRANT SELECT(key_id) ON TABLE public.pii_vault TO reveal_of_tests;
GRANT SELECT(key_id) ON TABLE public.pii_vault TO forget_of_tests;
GRANT INSERT(sealed) ON TABLE public.pii_vault TO ingest_of_tests;
GRANT SELECT(sealed) ON TABLE public.pii_vault TO reveal_of_tests;
GRANT DELETE ON TABLE public.pii_vault_key TO forget_of_tests;
GRANT INSERT(id) ON TABLE public.pii_vault_key TO ingest_of_tests;
GRANT SELECT(id) ON TABLE public.pii_vault_key TO reveal_of_tests;
GRANT SELECT(id) ON TABLE public.pii_vault_key TO forget_of_tests;
GRANT SELECT(id) ON TABLE public.pii_vault_key TO rekey_of_tests;
GRANT INSERT(wrapped) ON TABLE public.pii_vault_key TO ingest_of_tests;
GRANT SELECT(wrapped) ON TABLE public.pii_vault_key TO reveal_of_tests;
GRANT SELECT(wrapped),UPDATE(wrapped) ON TABLE public.pii_vault_key TO rekey_of_tests;
GRANT INSERT(kms_key_arn) ON TABLE public.pii_vault_key TO ingest_of_tests;
GRANT SELECT(kms_key_arn) ON TABLE public.pii_vault_key TO reveal_of_tests;
GRANT SELECT(kms_key_arn),UPDATE(kms_key_arn) ON TABLE public.pii_vault_key TO rekey_of_tests;
GRANT SELECT(created_at) ON TABLE public.pii_vault_key TO forget_of_tests;
GRANT INSERT ON TABLE public.rejection TO ingest_of_tests;
GRANT SELECT(message_id) ON TABLE public.rejection TO dead_letters_of_tests;
GRANT SELECT(stream) ON TABLE public.rejection TO dead_letters_of_tests;
GRANT SELECT(reason) ON TABLE public.rejection TO dead_letters_of_tests;
GRANT SELECT(pointer) ON TABLE public.rejection TO dead_letters_of_tests;
GRANT SELECT(at) ON TABLE public.rejection TO dead_letters_of_tests;
GRANT SELECT ON TABLE public.rekeyed_token TO reveal_of_tests;
GRANT SELECT,DELETE ON TABLE public.rekeyed_token TO forget_of_tests;
GRANT SELECT,INSERT,DELETE ON TABLE public.rekeyed_token TO rekey_of_tests;
GRANT UPDATE(token) ON TABLE public.rekeyed_token TO rekey_of_tests;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.rekeying TO rekey_of_tests;
GRANT SELECT ON TABLE public.removal TO ingest_of_tests;
GRANT SELECT ON TABLE public.removal TO forget_of_tests;
GRANT SELECT ON TABLE public.removal TO rekey_of_tests;
GRANT UPDATE(number) ON TABLE public.removal TO forget_of_tests;
GRANT SELECT(number) ON TABLE public.token_key TO ingest_of_tests;
GRANT SELECT(number) ON TABLE public.token_key TO reveal_of_tests;
GRANT SELECT(number) ON TABLE public.token_key TO forget_of_tests;
GRANT SELECT(number),INSERT(number) ON TABLE public.token_key TO rekey_of_tests;
GRANT SELECT(number) ON TABLE public.token_key TO dead_letters_of_tests;
GRANT SELECT(check_value) ON TABLE public.token_key TO ingest_of_tests;
GRANT SELECT(check_value) ON TABLE public.token_key TO reveal_of_tests;
GRANT SELECT(check_value) ON TABLE public.token_key TO forget_of_tests;
GRANT SELECT(check_value),INSERT(check_value) ON TABLE public.token_key TO rekey_of_tests;
GRANT SELECT(check_value) ON TABLE public.token_key TO dead_letters_of_tests;
GRANT INSERT ON TABLE public.user_logins TO ingest_of_tests;
GRANT DELETE ON TABLE public.user_logins TO forget_of_tests;
GRANT SELECT(user_id) ON TABLE public.user_logins TO forget_of_tests;
GRANT SELECT(masked_ip) ON TABLE public.user_logins TO forget_of_tests;
GRANT SELECT(masked_ip),UPDATE(masked_ip) ON TABLE public.user_logins TO rekey_of_tests;
GRANT SELECT(masked_device_id) ON TABLE public.user_logins TO forget_of_tests;
GRANT SELECT(masked_device_id),UPDATE(masked_device_id) ON TABLE public.user_logins TO rekey_of_tests;
GRANT SELECT(sent_at) ON TABLE public.user_logins TO forget_of_tests;
GRANT SELECT(message_id) ON TABLE public.user_logins TO ingest_of_tests;
GRANT SELECT(message_id) ON TABLE public.user_logins TO forget_of_tests;
GRANT SELECT(message_id) ON TABLE public.user_logins TO rekey_of_tests;
