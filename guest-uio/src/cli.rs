//! The command line: commands, flags, examples.

use std::time::Duration;

use bench_protocol::boot::GuestDriver;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use cli_common::{duration, number};
use guest_uio::driver::UIO_PCI_MSIX;

/// Uses an ivshmem device inside a Linux guest: memory, doorbells and interrupts.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  guest-uio probe                          show the device, its driver and what works
  guest-uio bind --driver uio_pci_msix     bind a driver that delivers interrupts
  guest-uio wait --count 1 --timeout 5s    block until a doorbell
  guest-uio ring 1 0                       ring peer 1 on vector 0
  guest-uio respond                        the guest's side of the benchmark

Each command's --help has more.

Exit status:
  0  ok
  1  failed, or not in time
  2  wrong usage, such as several devices and no --device
  3  the machine lacks something: a device, a driver, vectors"
)]
pub(crate) struct Arguments {
    /// The device's PCI address, such as 0000:00:03.0 [default: the only ivshmem-doorbell device]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub(crate) device: Option<String>,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Shows the device, its driver and what works, with a hint for what does not
    ///
    /// Rings the device's own vectors to find those that never fire, and changes nothing. Without an ivshmem-doorbell
    /// device it shows the only ivshmem-plain one.
    #[command(after_help = "Examples:
  guest-uio probe
  guest-uio probe --json | jq .verdict
  guest-uio --device 0000:00:03.0 probe

Exit status 3 if there is a hint.")]
    Probe {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Binds the device to a driver, and no other device
    #[command(after_help = "Examples:
  guest-uio bind
  guest-uio bind --driver vfio-pci
  guest-uio --device 0000:00:03.0 bind

The driver's module must be loaded. docs/drivers.md compares the drivers.")]
    Bind {
        /// Driver to bind
        #[arg(long, value_name = "DRIVER", default_value = UIO_PCI_MSIX, value_parser = driver())]
        driver: GuestDriver,
    },
    /// Unbinds the device from its driver
    #[command(after_help = "Examples:
  guest-uio unbind")]
    Unbind,
    /// Rings a peer
    #[command(after_help = "Examples:
  guest-uio ring 1 0        peer 1, vector 0
  guest-uio ring 0 3

Status 0 means that the doorbell register was written. The device silently ignores a peer or vector that does not exist.
On the host, `host-peer list` shows the peers and their vectors.")]
    Ring {
        /// The peer's id at the server
        #[arg(value_parser = number::in_range(0..=u16::MAX))]
        peer: u16,
        /// The peer's vector
        #[arg(value_parser = number::in_range::<u16>(0..=255))]
        vector: u16,
    },
    /// Blocks until doorbells arrive; prints how many
    #[command(after_help = "Examples:
  guest-uio wait
  guest-uio wait --vector 1 --count 10 --timeout 500ms

Counts the vector's interrupts from the moment it is opened; earlier doorbells are not counted. Doorbells coalesce:
N rings can cause fewer than N interrupts. One read returns all interrupts since the last read, so the printed number
can exceed --count. --timeout limits the whole command and is checked ten times a second. Status 1 on a timeout.")]
    Wait {
        /// This device's vector
        #[arg(long, value_name = "V", default_value = "0", value_parser = number::in_range::<u16>(0..=255))]
        vector: u16,
        /// Doorbells to wait for
        #[arg(long, value_name = "N", default_value = "1", value_parser = number::in_range(1..=u64::MAX))]
        count: u64,
        /// Time limit, such as 500ms or 5s [default: none]
        #[arg(long, value_name = "D", value_parser = duration::parse_above_zero)]
        timeout: Option<Duration>,
    },
    /// Tests the bound driver: registers, memory, and doorbells that the device rings itself
    #[command(after_help = "Examples:
  guest-uio check
  guest-uio check --vectors 4 --count 1000

Prints one line per test. Status 1 if a test failed.")]
    Check {
        /// Vectors to test, from 0
        #[arg(long, value_name = "N", default_value = "1", value_parser = number::in_range::<u16>(1..=256))]
        vectors: u16,
        /// Doorbells to ring one at a time
        #[arg(long, value_name = "N", default_value = "10000", value_parser = number::in_range(1..=u64::MAX))]
        count: u64,
    },
    /// Writes bytes of the shared memory to stdout
    #[command(after_help = "Examples:
  guest-uio read 0 64 | xxd
  guest-uio read 4096 1024 > slot.bin")]
    Read {
        /// Offset in the memory
        #[arg(value_parser = number::in_range(0..=usize::MAX))]
        offset: usize,
        /// Number of bytes
        #[arg(value_parser = number::in_range(0..=usize::MAX))]
        len: usize,
    },
    /// Writes stdin into the shared memory
    #[command(after_help = "Examples:
  echo -n hello | guest-uio write 4096
  guest-uio write 0 < slot.bin

Writes nothing if the input does not fit.")]
    Write {
        /// Offset in the memory
        #[arg(value_parser = number::in_range(0..=usize::MAX))]
        offset: usize,
    },
    /// Runs the guest's side of the benchmark
    #[command(after_help = "Examples:
  guest-uio respond
  guest-uio respond --once    return after one benchmark run")]
    Respond {
        /// Return after one benchmark run
        #[arg(long)]
        once: bool,
    },
}

fn driver() -> impl TypedValueParser<Value = GuestDriver> {
    PossibleValuesParser::new(GuestDriver::ALL.map(GuestDriver::name)).try_map(|name| name.parse())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn flags_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        for verb in Arguments::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let command = format!("guest-uio {}", verb.get_name());
            assert!(help.starts_with("Examples:\n  ") && help.contains(&command), "{command}");
        }
    }

    #[test]
    fn invalid_value_error_names_expected_form() {
        for (words, expected) in [
            ("ring x 0", "from 0 to 65535"),
            ("ring 65536 0", "from 0 to 65535"),
            // QEMU would ring vector 0.
            ("ring 0 256", "from 0 to 255"),
            ("wait --vector 256", "from 0 to 255"),
            ("wait --count 0", "of at least 1"),
            ("wait --timeout 5", "with a unit"),
            ("wait --timeout 0s", "above zero"),
            ("check --vectors 0", "from 1 to 256"),
            ("check --count 0", "of at least 1"),
            ("read x 1", "whole number"),
            ("bind --driver foo", "uio_pci_msix, uio_pci_generic, igb_uio, vfio-pci"),
        ] {
            let error = Arguments::try_parse_from(["guest-uio"].into_iter().chain(words.split(' '))).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{words}");
            assert!(error.to_string().contains(expected), "{words}: {error}");
        }
        let ring = Arguments::try_parse_from(["guest-uio", "ring", "65535", "255"]).unwrap();
        assert!(matches!(ring.verb, Verb::Ring { peer: 65535, vector: 255 }));
    }
}
