-- The table of the stream `shop_order`.

CREATE TABLE shop_orders (
    topic                         varchar(64)    NOT NULL,
    shop                          varchar(256)   NOT NULL,
    webhook_id                    uuid           NOT NULL,
    triggered_at                  timestamptz    NOT NULL,
    id                            bigint         NOT NULL,
    name                          varchar(32)    NOT NULL,
    created_at                    timestamptz    NOT NULL,
    updated_at                    timestamptz    NOT NULL,
    cancelled_at                  timestamptz,
    cancel_reason                 varchar(32),
    financial_status              text,
    fulfillment_status            varchar(32),
    currency                      varchar(3)     NOT NULL,
    total_price                   numeric(12, 2) NOT NULL,
    total_tax                     numeric(12, 2) NOT NULL,
    total_discounts               numeric(12, 2) NOT NULL,
    test                          boolean        NOT NULL,
    source_name                   varchar(32),
    tags                          varchar(4000),
    note                          text,
    note_email                    text[],
    note_phone                    text[],
    email                         varchar(256),
    buyer                         varchar(256),
    phone                         varchar(256),
    browser_ip                    varchar(256),
    landing_site                  text,
    landing_site_email            text[],
    landing_site_phone            text[],
    customer                      varchar(256),
    customer_email                varchar(256),
    customer_phone                varchar(256),
    customer_verified_email       boolean,
    shipping_address_city         varchar(128),
    shipping_address_country_code varchar(2),
    shipping_address_zip          varchar(2),
    shipping_address_phone        varchar(256),
    shipping_address_latitude     numeric(3, 1),
    shipping_address_longitude    numeric(4, 1),
    line_items                    jsonb          NOT NULL,
    discount_codes                jsonb          NOT NULL,
    note_attributes               jsonb          NOT NULL,
    sent_at                       timestamptz    NOT NULL,
    message_id                    uuid           PRIMARY KEY
);

CREATE INDEX ON shop_orders (customer);
CREATE INDEX ON shop_orders (buyer);
CREATE INDEX ON shop_orders (email);
CREATE INDEX ON shop_orders (phone);
CREATE INDEX ON shop_orders (browser_ip);
CREATE INDEX ON shop_orders (customer_email);
CREATE INDEX ON shop_orders (customer_phone);
CREATE INDEX ON shop_orders (shipping_address_phone);
CREATE INDEX ON shop_orders USING gin (note_email);
CREATE INDEX ON shop_orders USING gin (note_phone);
CREATE INDEX ON shop_orders USING gin (landing_site_email);
CREATE INDEX ON shop_orders USING gin (landing_site_phone);
