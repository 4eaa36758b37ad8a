//! The crate through its public interface, with synthetic runs: [`synthetic`] creates a correct run, and each test
//! changes one property of it.

mod consistency;
mod cross_check;
mod evaluate;
mod io;
mod render;
mod run;
mod synthetic;
