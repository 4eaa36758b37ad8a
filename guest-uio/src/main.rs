//! `guest-uio`: the guest side of ivshmem-doorbell, as a command and as PID 1 of the small VM.
//!
//! 1. `cli`: commands and flags. 2. `commands`: one function for each command.

mod cli;
mod commands;

use std::process::ExitCode;

use cli_common::arguments;
use doorbell::deadline::{scale_in, set_scale};
use doorbell::{PeerId, Vector};
use guest_uio::error::DeviceError;
use guest_uio::init;
use guest_uio::pci::Needs;

use cli::{Arguments, Verb};

fn main() -> ExitCode {
    if std::process::id() == 1 {
        init::run();
    }
    // xtask passes the time scale of a slow machine on the kernel command line.
    let command_line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    set_scale(scale_in(&command_line).unwrap_or(1));
    let arguments: Arguments = match arguments::parse() {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("guest-uio: {error:#}");
            ExitCode::from(exit_status(&error))
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let address = arguments.device.as_deref();
    let open = |needs| commands::open(address, needs);
    match arguments.verb {
        Verb::Probe { json } => return commands::probe(address, json),
        Verb::Bind { driver } => commands::bind(address, driver)?,
        Verb::Unbind => commands::unbind(address)?,
        Verb::Ring { peer, vector } => commands::ring(&open(Needs::Doorbells)?, PeerId(peer), Vector(vector))?,
        Verb::Wait { vector, count, timeout } => {
            return commands::wait(&open(Needs::Doorbells)?, Vector(vector), count, timeout);
        }
        Verb::Check { vectors, count } => return commands::check(address, vectors, count),
        Verb::Read { offset, len } => commands::read(&open(Needs::Memory)?, offset, len)?,
        Verb::Write { offset } => commands::write(&open(Needs::Memory)?, offset)?,
        Verb::Respond { once } => commands::respond(&open(Needs::Memory)?, once)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// 1 failed, 2 wrong usage, 3 a device, driver or vector is missing.
fn exit_status(error: &anyhow::Error) -> u8 {
    error.chain().find_map(|cause| cause.downcast_ref().map(DeviceError::exit_status)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_status_follows_the_kind_of_error() {
        let ambiguous = || DeviceError::Ambiguous(String::new());
        for (error, status) in [
            (anyhow::Error::msg("too late"), 1),
            (ambiguous().into(), 2),
            (anyhow::Error::from(ambiguous()).context("cannot use the device"), 2),
            (DeviceError::NoDevice.into(), 3),
            (DeviceError::Missing(String::new()).into(), 3),
            (DeviceError::gone("0000:00:03.0", std::io::ErrorKind::NotFound.into()).into(), 1),
        ] {
            assert_eq!(exit_status(&error), status, "{error:#}");
        }
    }
}
