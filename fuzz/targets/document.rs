//! A feed document, as a consumer reads it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    feed_core::fuzz::document(bytes);
});
