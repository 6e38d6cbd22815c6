#!/bin/sh
# Creates the missing secrets of the deployment, below deploy/secrets. Only we can read the
# directory; a file in it is readable for all, since the user in a container has another number.
set -eu
umask 022
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets
cd secrets

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

[ -s postgres-password ] || random >postgres-password
for service in order invoice shipping; do
    if ! [ -s "$service-password" ]; then
        random >"$service-password"
        rm -f "$service-database-url"
    fi
    [ -s "$service-database-url" ] ||
        echo "postgres://$service:$(cat "$service-password")@postgres/$service" >"$service-database-url"
done
