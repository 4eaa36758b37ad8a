//! Damaged, hostile and old input.

mod damaged_input;
mod rerender;
pub(crate) mod schema;
mod untrusted_strings;
