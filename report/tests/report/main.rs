//! The crate as the front door uses it, over runs that never took place: [`synthetic`] makes a run in which everything
//! is right, and each test spoils one thing.

mod acceleration;
mod across;
mod agreement;
mod checks;
mod exports;
mod findings;
mod placement;
mod readers;
mod render;
mod schema;
mod synthetic;
mod terminal;
mod warnings;
