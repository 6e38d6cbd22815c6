//! The namespace on the wire.

/// The namespace of feed-core's elements in a feed document (`sequence`, `subject`, `epoch` and
/// `cursor`), of the scheme of event types, and of problem types. Permanent: readers may rely on it
/// for ever. A URN, so that no host must be kept alive for it.
pub const NAMESPACE: &str = "urn:uuid:2f6f2a3e-8f3c-4c0e-9d64-6c1d0f0e5a71";
