//! What the tests of several crates share. Not published.

mod browser;
mod shared_data;

pub use browser::{attribute, browser_or_skip, dump_dom};
pub use shared_data::shared_file;
