//! The body of an order form.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    order::fuzz::form(bytes);
});
