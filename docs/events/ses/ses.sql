-- The table of the stream `ses`.

CREATE TABLE mail_events (
    event_type                        text           NOT NULL,
    mail_message_id                   varchar(128)   NOT NULL,
    mail_timestamp                    timestamptz    NOT NULL,
    mail_source                       text           NOT NULL,
    recipients                        varchar(256)[] NOT NULL,
    mail_tags                         jsonb          NOT NULL,
    mail_headers                      jsonb          NOT NULL,
    bounce_bounce_type                varchar(32),
    bounce_bounce_sub_type            varchar(32),
    bounce_timestamp                  timestamptz,
    bounce_bounced_recipients         jsonb,
    complaint_complaint_feedback_type varchar(32),
    complaint_timestamp               timestamptz,
    complaint_complained_recipients   jsonb,
    delivery_smtp_response            text,
    delivery_smtp_response_email      text[],
    delivery_processing_time_millis   bigint,
    delivery_timestamp                timestamptz,
    delivery_delay_delay_type         varchar(64),
    delivery_delay_timestamp          timestamptz,
    delivery_delay_delayed_recipients jsonb,
    open_ip_address                   cidr,
    open_timestamp                    timestamptz,
    click_ip_address                  cidr,
    click_link                        text,
    click_link_email                  text[],
    click_timestamp                   timestamptz,
    sent_at                           timestamptz    NOT NULL,
    message_id                        uuid           PRIMARY KEY
);

CREATE INDEX ON mail_events USING gin (recipients);
CREATE INDEX ON mail_events USING gin (delivery_smtp_response_email);
CREATE INDEX ON mail_events USING gin (click_link_email);
