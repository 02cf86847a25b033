-- The table of the stream `segment`.

CREATE TABLE segment_calls (
    call_id                    varchar(100)  NOT NULL,
    type                       text          NOT NULL,
    timestamp                  timestamptz   NOT NULL,
    user_token                 varchar(256),
    anonymous_token            varchar(256),
    event                      varchar(256),
    name                       varchar(256),
    group_id                   varchar(256),
    properties                 jsonb,
    properties_email           text[],
    traits                     jsonb,
    traits_email               text[],
    traits_phone               text[],
    ip                         varchar(256),
    network                    cidr,
    context_locale             varchar(32),
    context_timezone           varchar(64),
    context_page_path          text,
    context_page_url           text,
    context_page_referrer      text,
    context_app_name           varchar(64),
    context_app_version        varchar(32),
    context_device_id          varchar(256),
    context_device_type        varchar(32),
    context_device_model       varchar(64),
    context_location_latitude  numeric(4, 2),
    context_location_longitude numeric(5, 2),
    context_library_name       varchar(64),
    context_library_version    varchar(64),
    sent_at                    timestamptz   NOT NULL,
    message_id                 uuid          PRIMARY KEY
);

CREATE INDEX ON segment_calls (user_token);
CREATE INDEX ON segment_calls (anonymous_token);
CREATE INDEX ON segment_calls (ip);
CREATE INDEX ON segment_calls (context_device_id);
CREATE INDEX ON segment_calls USING gin (properties_email);
CREATE INDEX ON segment_calls USING gin (traits_email);
CREATE INDEX ON segment_calls USING gin (traits_phone);
