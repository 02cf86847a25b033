-- The table of the stream `cloudtrail`.

CREATE TABLE cloudtrail_calls (
    event_id                                         uuid          NOT NULL,
    event_time                                       timestamptz   NOT NULL,
    event_source                                     varchar(128)  NOT NULL,
    event_name                                       varchar(128)  NOT NULL,
    event_type                                       varchar(64)   NOT NULL,
    aws_region                                       varchar(32)   NOT NULL,
    recipient_account_id                             varchar(12)   NOT NULL,
    read_only                                        boolean,
    source_ip_token                                  varchar(256),
    source_network                                   cidr,
    user_agent                                       varchar(2048),
    error_code                                       varchar(128),
    error_message                                    text,
    request_parameters                               jsonb,
    request_parameters_user_name                     text[],
    response_elements                                jsonb,
    additional_event_data                            jsonb,
    user_identity_type                               varchar(64),
    user_identity_account_id                         varchar(12),
    user_identity_arn                                varchar(256),
    user_identity_principal_id                       varchar(256),
    user_identity_user_name                          varchar(256),
    user_identity_invoked_by                         varchar(256),
    user_identity_session_context_session_issuer_arn varchar(2048),
    resources                                        jsonb         NOT NULL,
    detail_type                                      varchar(128)  NOT NULL,
    bus_account                                      varchar(12)   NOT NULL,
    sent_at                                          timestamptz   NOT NULL,
    message_id                                       uuid          PRIMARY KEY
);

CREATE INDEX ON cloudtrail_calls (user_identity_arn);
CREATE INDEX ON cloudtrail_calls (user_identity_principal_id);
CREATE INDEX ON cloudtrail_calls (source_ip_token);
CREATE INDEX ON cloudtrail_calls (user_identity_user_name);
CREATE INDEX ON cloudtrail_calls USING gin (request_parameters_user_name);
