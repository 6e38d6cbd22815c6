//! The one name that is ours on the wire.

/// Our elements in a feed document (`sequence`, `subject`, `epoch` and `cursor`), the scheme of our
/// event types, and the beginning of our problem types. Permanent: a reader may rely on it for
/// ever. A URN, so that nobody has to keep a host alive for it.
pub const NAMESPACE: &str = "urn:uuid:2f6f2a3e-8f3c-4c0e-9d64-6c1d0f0e5a71";
