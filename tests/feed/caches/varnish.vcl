# Varnish in front of the feed.
vcl 4.1;

backend origin {
    .host = "@HOST@";
    .port = "@PORT@";
    .connect_timeout = 5s;
    .first_byte_timeout = 60s;
}

sub vcl_recv {
    # A stale head only after the origin has failed.
    if (req.restarts == 0) {
        set req.grace = 0s;
    } else {
        set req.grace = 24h;
    }
    # Readers that wait bypass the cache.
    if (req.http.Prefer) {
        return (pass);
    }
}

sub vcl_backend_response {
    # The head is revalidated each time, and kept for when its origin is down. By itself, Varnish
    # does not keep a `max-age=0`.
    if (beresp.status == 200 && beresp.http.Cache-Control ~ "stale-if-error") {
        set beresp.ttl = 1ms;
        set beresp.grace = 24h;
        return (deliver);
    }
}

sub vcl_deliver {
    if (resp.status == 503 && req.restarts == 0 && req.method == "GET") {
        return (restart);
    }
}
