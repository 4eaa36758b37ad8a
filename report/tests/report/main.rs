//! The crate as the front door uses it, over runs that never took place: [`synthetic`] makes a run in which everything
//! is right, and each test spoils one thing.

mod checks;
mod render;
mod synthetic;
mod terminal;
