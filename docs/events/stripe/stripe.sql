-- The table of the stream `stripe`.

CREATE TABLE stripe_events (
    id                     varchar(255) NOT NULL,
    type                   varchar(255) NOT NULL,
    created                timestamptz  NOT NULL,
    livemode               boolean      NOT NULL,
    api_version            varchar(64),
    account                varchar(255),
    request_id             varchar(255),
    request                varchar(255),
    object_id              varchar(255) NOT NULL,
    object                 varchar(64)  NOT NULL,
    customer               varchar(255),
    currency               varchar(3),
    email                  varchar(256),
    phone                  varchar(256),
    metadata               jsonb,
    metadata_user_id       text[],
    address_country        varchar(2),
    amount                 bigint,
    status                 varchar(32),
    failure_code           varchar(64),
    description            text,
    description_email      text[],
    receipt_email          varchar(256),
    payer_email            varchar(256),
    payer_phone            varchar(256),
    payer_address_country  varchar(2),
    method                 varchar(32),
    card_brand             varchar(32),
    card_country           varchar(2),
    card_funding           varchar(16),
    card_fingerprint       varchar(256),
    sepa_debit_country     varchar(2),
    sepa_debit_bank_code   varchar(16),
    sepa_debit_fingerprint varchar(256),
    number                 varchar(64),
    amount_due             bigint,
    amount_paid            bigint,
    customer_email         varchar(256),
    amount_total           bigint,
    sent_at                timestamptz  NOT NULL,
    message_id             uuid         PRIMARY KEY
);

CREATE INDEX ON stripe_events (customer);
CREATE INDEX ON stripe_events (object_id);
CREATE INDEX ON stripe_events (email);
CREATE INDEX ON stripe_events (phone);
CREATE INDEX ON stripe_events (receipt_email);
CREATE INDEX ON stripe_events (payer_email);
CREATE INDEX ON stripe_events (payer_phone);
CREATE INDEX ON stripe_events (card_fingerprint);
CREATE INDEX ON stripe_events (sepa_debit_fingerprint);
CREATE INDEX ON stripe_events (customer_email);
CREATE INDEX ON stripe_events USING gin (metadata_user_id);
CREATE INDEX ON stripe_events USING gin (description_email);
