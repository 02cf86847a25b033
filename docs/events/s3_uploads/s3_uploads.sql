-- The table of the stream `s3_uploads`.

CREATE TABLE s3_uploads (
    event_name        varchar(64)   NOT NULL,
    event_time        timestamptz   NOT NULL,
    aws_region        varchar(32)   NOT NULL,
    principal         varchar(256)  NOT NULL,
    network           cidr,
    bucket_name       varchar(63)   NOT NULL,
    object_key        text          NOT NULL,
    object_key_email  text[]        NOT NULL,
    object_key_phone  text[]        NOT NULL,
    object_size       bigint,
    object_e_tag      varchar(64),
    object_version_id varchar(1024),
    object_sequencer  varchar(64),
    sent_at           timestamptz   NOT NULL,
    message_id        uuid          PRIMARY KEY
);

CREATE INDEX ON s3_uploads (principal);
CREATE INDEX ON s3_uploads USING gin (object_key_email);
CREATE INDEX ON s3_uploads USING gin (object_key_phone);
