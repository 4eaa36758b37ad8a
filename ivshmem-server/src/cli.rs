//! The flags. Those of QEMU's example server mean the same here.

use std::path::PathBuf;

use clap::{ArgAction, Parser, ValueEnum, value_parser};
use ivshmem_server::Config;
use ivshmem_server::config::{DEFAULT_SOCKET, MAX_VECTORS};
use ivshmem_server::memory::{Backing, ShmName};
use ivshmem_server::size;

const AFTER_HELP: &str = "\
Examples:
  ivshmem-server
  ivshmem-server -S /run/user/1000/ivshmem -l 128M -n 4 -v
  qemu-system-x86_64 … -chardev socket,path=/tmp/ivshmem_socket,id=ivshmem \\
      -device ivshmem-doorbell,vectors=1,chardev=ivshmem

Signals:
  SIGINT, SIGTERM  tell each peer that the others left, remove the socket, end with status 0

Exit status:
  0  stopped by a signal
  1  failed: a server already answers at the socket, no memory, …
  2  wrong usage
  3  the machine lacks something";

/// Hands one shared memory object and everybody's eventfds to QEMU and to other peers.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Where to listen
    #[arg(short = 'S', long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,

    /// The permissions of the socket's file
    #[arg(long, value_name = "OCTAL", default_value = "0600", value_parser = parse_mode)]
    socket_mode: u32,

    /// The size of the shared memory, with K, M or G; rounded up to a power of two
    #[arg(short = 'l', long, value_name = "SIZE", default_value = "64M", value_parser = size::parse)]
    size: u64,

    /// How many interrupt vectors each peer has, from 1 to 256
    #[arg(
        short = 'n', long, value_name = "N", default_value_t = 1,
        value_parser = value_parser!(u16).range(1..=i64::from(MAX_VECTORS))
    )]
    vectors: u16,

    /// Use the POSIX shared memory object /dev/shm/NAME instead of a sealed memfd; removed at the end
    #[arg(short = 'M', long, value_name = "NAME", overrides_with = "shm_dir")]
    shm_name: Option<ShmName>,

    /// Use an unlinked file in DIR, such as a mount of hugetlbfs, instead of a sealed memfd
    #[arg(short = 'm', long, value_name = "DIR", overrides_with = "shm_name")]
    shm_dir: Option<PathBuf>,

    /// The most peers at a time [default: as many as there are descriptors for]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=65536))]
    max_peers: Option<u32>,

    /// Write the process id to FILE; removed at the end
    #[arg(short = 'p', long, value_name = "FILE")]
    pid_file: Option<PathBuf>,

    /// Accepted for scripts: this server is always in the foreground
    #[arg(short = 'F', long, action = ArgAction::Count)]
    foreground: u8,

    /// Log who joins and who leaves
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// How to write the log on stderr
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// How to write the log.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

impl Args {
    pub(crate) fn into_config(self) -> Config {
        let backing = match (self.shm_name, self.shm_dir) {
            (Some(name), _) => Backing::Shm(name),
            (None, Some(folder)) => Backing::Directory(folder),
            (None, None) => Backing::Memfd,
        };
        Config {
            socket: self.socket,
            socket_mode: self.socket_mode,
            backing,
            size: self.size,
            vectors: self.vectors,
            max_peers: self.max_peers.map(|most| most as usize),
            pid_file: self.pid_file,
        }
    }
}

fn parse_mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| "expected octal permissions from 0 to 777, such as 0660".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(flags: &[&str]) -> Config {
        let name = ["ivshmem-server"];
        Args::parse_from(name.iter().chain(flags)).into_config()
    }

    #[test]
    fn the_flags_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn without_flags_it_is_the_default() {
        assert_eq!(format!("{:?}", parse(&[])), format!("{:?}", Config::default()));
    }

    #[test]
    fn a_command_line_of_the_example_server_works_unchanged() {
        let config = parse(&["-v", "-F", "-p", "/x.pid", "-S", "/x", "-m", "/huge", "-l", "4M", "-n", "2"]);
        assert_eq!(config.backing, Backing::Directory("/huge".into()));
        assert_eq!((config.size, config.vectors), (4 << 20, 2));
    }

    #[test]
    fn the_last_of_name_and_folder_counts() {
        assert!(matches!(parse(&["-m", "/huge", "-M", "x"]).backing, Backing::Shm(_)));
        assert!(matches!(parse(&["-M", "x", "-m", "/huge"]).backing, Backing::Directory(_)));
    }

    #[test]
    fn permissions_are_octal() {
        assert_eq!(parse_mode("0660"), Ok(0o660));
        assert!(parse_mode("0999").is_err());
        assert!(parse_mode("7777").is_err());
    }
}
