//! The headers of a request, or of an answer with its body.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    feed_core::fuzz::headers(bytes);
});
