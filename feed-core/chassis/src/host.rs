//! The host that a request names.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{Version, header};

/// Returns true if the request names one host, or is of a version that need not (RFC 9112, 3.2).
pub(super) fn names_one_host<T>(request: &Request<T>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        // It is empty where the target has no authority (RFC 9110, 7.2).
        (Some(host), None) if host.is_empty() => true,
        (Some(host), None) => Authority::try_from(host.as_bytes()).is_ok_and(|host| {
            // Not if a user precedes the host.
            let port = host.as_str().strip_prefix(host.host());
            port.is_some_and(|port| port.bytes().skip(1).all(|byte| byte.is_ascii_digit()))
        }),
        (None, _) => request.version() < Version::HTTP_11,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_one_host() {
        for (version, hosts, expected) in [
            (Version::HTTP_11, &["x"][..], true),
            (Version::HTTP_11, &["shop.example:8080"], true),
            (Version::HTTP_11, &["[::1]:8080"], true),
            (Version::HTTP_11, &["x:"], true),
            (Version::HTTP_11, &[""], true),
            (Version::HTTP_10, &[], true),
            (Version::HTTP_11, &[], false),
            (Version::HTTP_11, &["x", "x"], false),
            (Version::HTTP_10, &["x", "y"], false),
            (Version::HTTP_11, &["a b"], false),
            (Version::HTTP_11, &["x/feed"], false),
            (Version::HTTP_11, &["ada@x"], false),
            (Version::HTTP_11, &["x:eighty"], false),
            (Version::HTTP_11, &["x:80:80"], false),
            (Version::HTTP_11, &["\u{e4}"], false),
        ] {
            let mut request = Request::builder().version(version);
            for host in hosts {
                request = request.header(header::HOST, host.as_bytes());
            }
            let request = request.body(()).expect("a request");
            assert_eq!(names_one_host(&request), expected, "{request:?}");
        }
    }
}
