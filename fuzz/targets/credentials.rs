//! A file of credentials.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    feed_core::fuzz::credentials(text);
});
