# A private PostgreSQL in a temporary directory: sourced by `tests/run`, `benches/run` and other
# scripts. Installs the server where it is missing.
# shellcheck shell=bash

say() { printf '\033[1m== %s\033[0m\n' "$*" >&2; }

# The newest PostgreSQL server on this machine: Debian keeps it out of PATH.
find_postgres() {
    command -v initdb >/dev/null && dirname "$(readlink -f "$(command -v initdb)")" && return
    ls -d /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql*/bin 2>/dev/null | sort -V | tail -n 1
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# Installs packages of Debian without starting a service: neither now nor when the machine starts.
install_quietly() {
    local policy=/usr/sbin/policy-rc.d mine=
    if [ ! -e "$policy" ]; then
        mine=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod +x "$policy"
    fi
    as_root apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" ||
        { [ -z "$mine" ] || as_root rm -f "$policy"; return 1; }
    [ -z "$mine" ] || as_root rm -f "$policy"
    command -v systemctl >/dev/null || return 0
    for package in "$@"; do
        case $package in
        etcd-server) as_root systemctl --quiet disable etcd ;;
        haproxy) as_root systemctl --quiet disable haproxy ;;
        patroni) as_root systemctl --quiet disable patroni ;;
        nginx) as_root systemctl --quiet disable nginx ;;
        pgbouncer) as_root systemctl --quiet disable pgbouncer ;;
        prometheus) as_root systemctl --quiet disable prometheus ;;
        squid) as_root systemctl --quiet disable squid ;;
        trafficserver) as_root systemctl --quiet disable trafficserver ;;
        varnish) as_root systemctl --quiet disable varnish varnishncsa ;;
        nats-server) as_root systemctl --quiet disable nats-server ;;
        pgqd) as_root systemctl --quiet disable pgqd ;;
        rabbitmq-server) as_root systemctl --quiet disable rabbitmq-server epmd.service epmd.socket ;;
        esac
    done
}

install_postgres() {
    say "installing PostgreSQL"
    if command -v apt-get >/dev/null; then
        # Without a cluster of the package's own.
        as_root mkdir -p /etc/postgresql-common
        [ -e /etc/postgresql-common/createcluster.conf ] ||
            echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
        install_quietly postgresql
    elif command -v dnf >/dev/null; then as_root dnf install -y -q postgresql-server
    elif command -v apk >/dev/null; then as_root apk add -q postgresql
    elif command -v brew >/dev/null; then brew install -q postgresql
    else echo "no package manager found: install PostgreSQL 15 or newer, then run this again" >&2; exit 1
    fi
}

# Starts a PostgreSQL in a directory of its own, and sets `cluster` to that and `postgres_url`. It
# ends with the calling script. Takes a template of the directory's name, then options of the
# server.
private_postgres() {
    local template=$1 option options=()
    shift
    bin=$(find_postgres)
    if [ -z "$bin" ]; then
        install_postgres
        bin=$(find_postgres)
    fi
    # PostgreSQL refuses to run as root; then it runs as the user that its package made.
    if [ "$(id -u)" = 0 ]; then
        as_postgres() { (cd / && setpriv --reuid=postgres --regid=postgres --clear-groups "$@"); }
    else
        as_postgres() { "$@"; }
    fi
    # A short path: a socket's address has 107 characters at most.
    cluster=$(mktemp -d "$template")
    trap stop_private_postgres EXIT
    trap 'exit 130' INT TERM
    [ "$(id -u)" != 0 ] || chown postgres "$cluster"

    say "starting a private PostgreSQL ($("$bin/postgres" --version | cut -d' ' -f3))"
    as_postgres "$bin/initdb" --pgdata "$cluster/data" --auth trust --username postgres \
        --encoding UTF8 --locale C --no-sync >"$cluster/log"
    # Reached by its socket alone.
    for option in "listen_addresses=''" "unix_socket_directories=$cluster" "$@"; do
        options+=(-c "$option")
    done
    as_postgres "$bin/pg_ctl" --pgdata "$cluster/data" --wait --silent --log "$cluster/data/log" \
        --options "${options[*]}" start
    # shellcheck disable=SC2034 # for the calling script
    postgres_url="postgres://postgres@localhost/postgres?host=$cluster"
}

stop_private_postgres() {
    as_postgres "$bin/pg_ctl" --pgdata "$cluster/data" --mode immediate --silent stop >/dev/null 2>&1 || true
    rm -rf "$cluster"
}
