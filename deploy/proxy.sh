#!/bin/sh
# Starts nginx with what differs from network to network, taken from where it runs: the resolver, the
# domain of the services, and whether there is IPv6.
set -eu

awk '
    $1 == "nameserver" { servers = servers " " ($2 ~ /:.*:/ ? "[" $2 "]" : $2) }
    # In Kubernetes that of the namespace: shop.svc and the domain of the cluster, since nginx does not
    # use the search list. Names of Compose have no domain.
    $1 == "search" && $2 ~ /^[^.]+\.svc\./ { domain = "." $2 }
    END {
        if (!servers) {
            print "/etc/resolv.conf names no resolver" > "/dev/stderr"
            exit 1
        }
        print "resolver" servers " valid=2s;"
        print "map $host $domain { default \"" domain "\"; }"
    }
' /etc/resolv.conf >/tmp/names.conf

{
    echo "listen 8080;"
    [ ! -e /proc/net/if_inet6 ] || echo "listen [::]:8080;"
} >/tmp/listen.conf

# Here, and not by the image's own script, which would write to its configuration.
exec nginx -e /dev/stderr -g "daemon off;"
