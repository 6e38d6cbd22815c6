//! The pages as people use them: a real browser, the real processes. Chromium and its driver are
//! Debian's; `tests/run` installs them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod all_consumers;
mod apart;
mod axe;
mod back;
mod clerk;
mod driver;
mod every_page;
mod keyboard;
mod lists;
mod live;
mod living;
mod meanwhile;
mod mistakes;
mod names;
mod operator;
mod page;
mod picture;
mod shop;
mod story;
mod tasks;
mod twice;
mod webdriver;
mod without_scripts;
