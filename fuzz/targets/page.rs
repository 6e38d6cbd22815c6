//! Any text of a publisher, written to a page and read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    feed_core::fuzz::page(text);
});
