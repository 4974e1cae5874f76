#!/bin/bash
# First start of an empty server: a database and a login role for each service, which no other role may connect to.
set -euo pipefail

for service in intake sla notify feedback; do
    variable="OPORA_${service^^}_DATABASE_PASSWORD"
    psql --set ON_ERROR_STOP=1 --set name="opora_$service" --set password="${!variable:?is not set: run make env}" \
        --username "$POSTGRES_USER" --dbname postgres --quiet <<'SQL'
create role :"name" login password :'password';
create database :"name" owner :"name" template template0 encoding 'UTF8' locale_provider builtin builtin_locale 'C.UTF-8';
revoke connect, temporary on database :"name" from public;
SQL
done
