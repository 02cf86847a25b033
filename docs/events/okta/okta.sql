-- The table of the stream `okta`.

CREATE TABLE okta_events (
    uuid                                        uuid          NOT NULL,
    published                                   timestamptz   NOT NULL,
    event_type                                  varchar(128)  NOT NULL,
    severity                                    text          NOT NULL,
    outcome_result                              varchar(32)   NOT NULL,
    outcome_reason                              text,
    outcome_reason_email                        text[],
    actor                                       varchar(256)  NOT NULL,
    actor_type                                  varchar(64)   NOT NULL,
    actor_email                                 varchar(256),
    ip                                          varchar(256),
    network                                     cidr,
    client_device                               varchar(32),
    client_user_agent_browser                   varchar(64),
    client_user_agent_os                        varchar(64),
    client_geographical_context_city            varchar(128),
    client_geographical_context_country         varchar(128),
    client_geographical_context_geolocation_lat numeric(3, 1),
    client_geographical_context_geolocation_lon numeric(4, 1),
    target                                      jsonb,
    security_context_as_number                  bigint,
    security_context_as_org                     varchar(256),
    security_context_is_proxy                   boolean,
    debug_context_debug_data                    jsonb,
    debug_context_debug_data_email              text[],
    sent_at                                     timestamptz   NOT NULL,
    message_id                                  uuid          PRIMARY KEY
);

CREATE INDEX ON okta_events (actor);
CREATE INDEX ON okta_events (actor_email);
CREATE INDEX ON okta_events (ip);
CREATE INDEX ON okta_events USING gin (outcome_reason_email);
CREATE INDEX ON okta_events USING gin (debug_context_debug_data_email);
CREATE INDEX ON okta_events USING gin (target jsonb_path_ops);
