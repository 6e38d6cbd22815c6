//! JSON that is posted as an order, a customer or an item.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    order::fuzz::json(bytes);
});
