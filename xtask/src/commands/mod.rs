//! The commands of the CLI, except `bench`.

pub(crate) mod compare;
pub(crate) mod doctor;
pub(crate) mod reach;
pub(crate) mod report;
pub(crate) mod test;
pub(crate) mod vm;
