-- The table of the stream `orders`.

CREATE TABLE orders (
    order_id         uuid           NOT NULL,
    placed_at        timestamptz    NOT NULL,
    status           varchar(16)    NOT NULL,
    total            numeric(12, 2) NOT NULL,
    gift             boolean        NOT NULL,
    tags             text[]         NOT NULL,
    recipient_emails varchar(256)[] NOT NULL,
    masked_ip        varchar(256),
    network          cidr,
    customer_email   varchar(256)   NOT NULL,
    customer         varchar(256)   NOT NULL,
    customer_domain  varchar(254)   NOT NULL,
    customer_phone   varchar(256),
    customer_name    text,  -- redacted: always NULL
    lines            jsonb          NOT NULL,
    source           varchar(16)    NOT NULL,
    large            boolean        NOT NULL,
    sent_at          timestamptz    NOT NULL,
    message_id       uuid           PRIMARY KEY
);

CREATE INDEX ON orders (customer_email);
CREATE INDEX ON orders (customer);
CREATE INDEX ON orders (masked_ip);
