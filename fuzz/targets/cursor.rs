//! A cursor, as a reader sends it back.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    feed_core::fuzz::cursor(text);
});
