//! The bytes of an answer in each content coding, made once and shared by all requests.

use std::io::Write;
use std::sync::OnceLock;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::http::conditional::Validators;
use crate::http::{members, split, weight};

/// This level takes a third of the default level's time and one byte more in twenty. A head is
/// compressed for each event, and a batch document for each reader.
const LEVEL: u32 = 3;

/// The size below which gzip saves less than its headers cost.
const WORTH_CODING: usize = 1_024;

/// A body that can be sent uncompressed or compressed.
#[derive(Debug, Default)]
pub(super) struct Body {
    identity: Bytes,
    gzip: OnceLock<Option<Bytes>>,
}

/// The supported content codings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
}

impl Body {
    pub(super) fn new(identity: Bytes) -> Self {
        Self {
            identity,
            gzip: OnceLock::new(),
        }
    }

    /// Returns the uncompressed length.
    pub(super) fn len(&self) -> usize {
        self.identity.len()
    }

    /// Returns a tag of the bytes as a document of that media type, in any coding.
    pub(super) fn validators(&self, media_type: &str) -> Validators {
        Validators::of(media_type, &self.identity)
    }

    /// Returns the bytes in that coding, or uncompressed where gzip saves nothing; and the coding
    /// used.
    pub(super) fn coded(&self, coding: Coding) -> (Bytes, Coding) {
        if coding == Coding::Gzip
            && self.identity.len() >= WORTH_CODING
            && let Some(gzip) = self.gzip.get_or_init(|| gzip(&self.identity))
        {
            return (gzip.clone(), Coding::Gzip);
        }
        (self.identity.clone(), Coding::Identity)
    }
}

/// Returns `None` on an error, which cannot happen when writing to memory; the bytes are then sent
/// uncompressed.
fn gzip(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 6), Compression::new(LEVEL));
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// Returns the coding of the answer (RFC 9110, 12.5.3); `None` if the reader rejects both.
pub(super) fn coding(headers: &HeaderMap) -> Option<Coding> {
    let mut weights = [None, None, None];
    for member in members(headers, &header::ACCEPT_ENCODING) {
        let mut parts = split(member, ';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let Some(weight) = weight(parts) else {
            continue;
        };
        let codings = [("gzip", 0), ("x-gzip", 0), ("identity", 1), ("*", 2)];
        let known = codings
            .iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known));
        if let Some((_, index)) = known {
            weights[*index] = Some(weight);
        }
    }
    let [gzip, identity, any] = weights;
    // If gzip is not listed, it is not wanted; identity is always acceptable, unless `*` says
    // otherwise.
    let gzip = gzip.or(any).unwrap_or(0.0);
    let identity = identity.or(any.filter(|any| *any == 0.0)).unwrap_or(0.001);
    if gzip > 0.0 && gzip >= identity {
        Some(Coding::Gzip)
    } else if identity > 0.0 {
        Some(Coding::Identity)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9110_12_5_3_accept_encoding() {
        let cases = [
            ("gzip", Some(Coding::Gzip)),
            ("gzip, deflate, br", Some(Coding::Gzip)),
            ("GZIP;q=0.5", Some(Coding::Gzip)),
            ("gzip;Q=0, *", Some(Coding::Identity)),
            ("gzip; q = 0, *", Some(Coding::Identity)),
            ("identity;q=none", Some(Coding::Identity)),
            ("gzip;q=nan", Some(Coding::Identity)),
            ("*", Some(Coding::Gzip)),
            ("", Some(Coding::Identity)),
            ("br", Some(Coding::Identity)),
            ("gzip;q=0", Some(Coding::Identity)),
            ("*;q=0, identity", Some(Coding::Identity)),
            ("gzip;q=0.5, identity;q=0.9", Some(Coding::Identity)),
            ("identity;q=0, gzip", Some(Coding::Gzip)),
            ("identity;q=0", None),
            ("*;q=0", None),
            ("gzip;q=0, *;q=0", None),
        ];
        for (value, expected) in cases {
            let value = value.parse().expect("a header value");
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]);
            assert_eq!(coding(&headers), expected, "{headers:?}");
        }
        assert_eq!(coding(&HeaderMap::new()), Some(Coding::Identity));
    }
}
