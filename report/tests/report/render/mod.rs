//! What renderers write.

mod exports;
pub(crate) mod html_parser;
mod page;
mod plot_text;
mod plots;
pub(crate) mod terminal;
mod text_report;
