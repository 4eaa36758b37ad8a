//! The crate as the front door uses it, over runs that never took place: [`synthetic`] makes a run in which everything
//! is right, and each test spoils one thing.

mod acceleration;
mod checks;
mod findings;
mod placement;
mod render;
mod synthetic;
mod terminal;
mod warnings;
