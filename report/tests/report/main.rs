//! The crate as the front door uses it, over runs that never took place: [`synthetic`] makes a run in which everything
//! is right, and each test spoils one thing.

mod consistency;
mod cross_check;
mod evaluate;
mod io;
mod render;
mod run;
mod synthetic;
