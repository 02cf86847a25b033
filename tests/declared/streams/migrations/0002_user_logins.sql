-- The table of the stream `user_logins`.

CREATE TABLE user_logins (
    user_id          varchar(128) NOT NULL,
    device_type      varchar(32)  NOT NULL,
    masked_ip        varchar(256) NOT NULL,
    masked_device_id varchar(256) NOT NULL,
    locale           varchar(32),
    app_version      integer      NOT NULL,
    create_date      date         GENERATED ALWAYS AS (CAST(sent_at AT TIME ZONE 'UTC' AS date)) STORED,
    app_version_text varchar(32)  NOT NULL,
    sent_at          timestamptz  NOT NULL,
    message_id       uuid         PRIMARY KEY
);

-- To find duplicates, and to erase a person.
CREATE INDEX ON user_logins (user_id);
CREATE INDEX ON user_logins (masked_ip);
CREATE INDEX ON user_logins (masked_device_id);
