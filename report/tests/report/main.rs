//! The crate as the front door uses it, over runs that never took place: [`synthetic`] makes a run in which everything
//! is right, and each test spoils one thing.

mod acceleration;
mod across;
mod again;
mod agreement;
mod checks;
mod exports;
mod findings;
mod hostile;
mod lettering;
mod markup;
mod page;
mod placement;
mod plots;
mod readers;
mod render;
mod same_figures;
mod schema;
mod stalls;
mod synthetic;
mod terminal;
mod text_report;
mod warnings;
