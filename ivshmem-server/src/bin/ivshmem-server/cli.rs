//! The command line: the settings of [`Config`], and flags of the program only.

use std::path::PathBuf;

use clap::{ArgAction, Parser, ValueEnum};
use cli_common::man_pages::Packaging;
use ivshmem_server::Config;
use ivshmem_server::memory::{Backing, HugePageSize, ShmName};

const AFTER_HELP: &str = "\
Examples:
  ivshmem-server
  ivshmem-server -S /run/user/1000/ivshmem -l 128M -n 4 -v
  ivshmem-server -d -p /run/ivshmem.pid --log-file /var/log/ivshmem.log
  ivshmem-server --socket-mode 0666 --allow-uid libvirt-qemu,root
  ivshmem-server --hugepages 2M -l 1G --status-socket /run/ivshmem-status
  ivshmem-server status --status-socket /run/ivshmem-status
  qemu-system-x86_64 … -chardev socket,path=/tmp/ivshmem_socket,id=ivshmem \\
      -device ivshmem-doorbell,vectors=1,chardev=ivshmem

Signals:
  SIGINT, SIGTERM  notify each peer that the others left, remove the socket, exit with status 0
  SIGHUP           the same, unless it was ignored at the start (nohup)

systemd:
  Uses the sockets of LISTEN_FDS and sends READY=1. The one named `status` (FileDescriptorName=) is the status socket.

Exit status:
  0  stopped by a signal
  1  failed: a server already answers at the socket, the log file cannot be opened, …
  2  wrong usage
  3  missing requirement: memory, huge pages, file descriptors, /proc, a server to query";

// As with getopt(3), the last of repeated flags counts: `ivshmem-server $DEFAULTS "$@"`. Lists collect their values.
/// Gives the shared memory and the eventfds of all peers to QEMU and other ivshmem clients
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true, args_override_self = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Subcommand>,

    #[command(flatten)]
    config: Config,

    /// Use the POSIX shared memory object /dev/shm/NAME instead of a sealed memfd; removed at the end
    #[arg(short = 'M', long, value_name = "NAME", overrides_with = "shm_dir")]
    shm_name: Option<ShmName>,

    /// Use an unlinked file in DIR, such as a mount of hugetlbfs, instead of a sealed memfd
    #[arg(short = 'm', long, value_name = "DIR", overrides_with = "shm_name")]
    shm_dir: Option<PathBuf>,

    /// Use a sealed memfd of huge pages, which must be reserved
    #[arg(long, value_name = "2M|1G", value_enum, conflicts_with_all = ["shm_name", "shm_dir"])]
    hugepages: Option<HugePageSize>,

    /// Go to the background once the socket listens, and exit with status 0. If the start fails, print the reason and exit
    /// with its status
    #[arg(short = 'd', long, action = ArgAction::Count, overrides_with = "foreground")]
    daemonize: u8,

    /// Stay in the foreground, also with --pid-file [default without --pid-file and --daemonize]
    #[arg(short = 'F', long, action = ArgAction::Count, overrides_with = "daemonize")]
    foreground: u8,

    /// Log joins and leaves
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Append the log to FILE. Without this flag the log goes to stderr, and in the background to syslog
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,

    /// Format of the log
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommand {
    /// Print the peers and statistics of a running server as a table or as JSON
    Status {
        /// The server's status socket (its --status-socket)
        #[arg(long, value_name = "PATH")]
        status_socket: PathBuf,

        /// Print the JSON document
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    Packaging(Packaging),
}

/// Format of the log.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// A readable line
    Text,
    /// A JSON object per line
    Json,
}

impl Args {
    /// Whether the server runs in the background.
    pub(crate) fn is_background(&self) -> bool {
        let requested = self.daemonize > 0 || (self.config.pid_file.is_some() && self.foreground == 0);
        requested && self.command.is_none()
    }

    pub(crate) fn config(&self) -> Config {
        let backing = match (self.hugepages, &self.shm_name, &self.shm_dir) {
            (Some(page_size), ..) => Backing::HugePages(page_size),
            (None, Some(name), _) => Backing::Shm(name.clone()),
            (None, None, Some(directory)) => Backing::Directory(directory.clone()),
            (None, None, None) => Backing::Memfd,
        };
        Config { backing, ..self.config.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory;

    use super::*;

    fn parse(flags: &[&str]) -> Config {
        let name = ["ivshmem-server"];
        Args::parse_from(name.iter().chain(flags)).config()
    }

    #[test]
    fn flags_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn without_flags_uses_the_defaults() {
        assert_eq!(format!("{:?}", parse(&[])), format!("{:?}", Config::default()));
    }

    #[test]
    fn accepts_a_command_line_of_the_example_server() {
        let config = parse(&["-v", "-F", "-p", "/x.pid", "-S", "/x", "-m", "/huge", "-l", "4M", "-n", "2"]);
        assert_eq!(config.backing, Backing::Directory("/huge".into()));
        assert_eq!((config.size, config.vectors), (4 << 20, 2));
    }

    #[test]
    fn the_last_of_name_and_directory_counts() {
        assert!(matches!(parse(&["-m", "/huge", "-M", "x"]).backing, Backing::Shm(_)));
        assert!(matches!(parse(&["-M", "x", "-m", "/huge"]).backing, Backing::Directory(_)));
    }

    #[test]
    fn accepts_command_lines_of_published_scripts() {
        // A test of an RTOS, with a name and the smallest size.
        let config = parse(&["-F", "-S", "/tmp/ivshmem_socket", "-M", "ivshmem", "-l", "4096", "-n", "2"]);
        assert_eq!((config.size, config.vectors), (4096, 2));
        assert_eq!(config.backing, Backing::Shm("ivshmem".parse().unwrap()));
        // VMs with huge pages: combined flags, a directory with and without a trailing slash.
        let config = parse(&["-Fv", "-m", "/dev/hugepages", "-l", "1G"]);
        assert_eq!((config.size, config.backing), (1 << 30, Backing::Directory("/dev/hugepages".into())));
        let config = parse(&["-p", "/run/ivshmem.pid", "-n", "5", "-m", "/dev/hugepages/", "-l", "512M"]);
        assert_eq!((config.size, config.vectors, config.pid_file), (512 << 20, 5, Some("/run/ivshmem.pid".into())));
        // A size in bytes, and values attached to their flags.
        let config = parse(&["-F", "-S/tmp/s", "-l33554432", "-n16"]);
        assert_eq!((config.socket.to_str(), config.size, config.vectors), (Some("/tmp/s"), 32 << 20, 16));
    }

    #[test]
    fn the_last_of_repeated_flags_counts() {
        let config =
            parse(&["-S", "/a", "-l", "1M", "-n", "1", "-p", "/a.pid", "-S", "/b", "-l2M", "-n", "2", "-p/b.pid"]);
        assert_eq!((config.socket.to_str(), config.size, config.vectors), (Some("/b"), 2 << 20, 2));
        assert_eq!(config.pid_file, Some("/b.pid".into()));
        assert_eq!(parse(&["-M", "a", "-M", "b"]).backing, Backing::Shm("b".parse().unwrap()));
        assert_eq!(parse(&["-m", "/a", "-M", "x", "-m", "/b"]).backing, Backing::Directory("/b".into()));
        assert_eq!(
            parse(&["--hugepages", "2M", "--hugepages", "1G"]).backing,
            Backing::HugePages(HugePageSize::OneGigabyte)
        );
        let twice = ["ivshmem-server", "status", "--status-socket", "/a", "--status-socket", "/b", "--json", "--json"];
        let command = Args::try_parse_from(twice).unwrap().command;
        assert!(
            matches!(command, Some(Subcommand::Status { status_socket, json: true }) if status_socket.ends_with("b"))
        );
    }

    #[test]
    fn parses_numbers_like_the_example_server() {
        let config = parse(&["-l", "0x400000", "-n", "0x2"]);
        assert_eq!((config.size, config.vectors), (4 << 20, 2));
    }

    #[test]
    fn users_may_be_listed_or_repeated() {
        let access = parse(&["--allow-uid", "0", "--allow-uid", "5,6", "--allow-gid", "7", "8"]).access;
        assert_eq!((access.uids, access.gids), (vec![0, 5, 6], vec![7, 8]));
        let access = parse(&["--allow-uid", "root,5", "--allow-gid", "root"]).access;
        assert_eq!((access.uids, access.gids), (vec![0, 5], vec![0]));
    }

    #[test]
    fn huge_pages_have_two_sizes_and_exclude_other_backings() {
        assert_eq!(parse(&["--hugepages", "1G"]).backing, Backing::HugePages(HugePageSize::OneGigabyte));
        assert!(Args::try_parse_from(["ivshmem-server", "--hugepages", "4K"]).is_err());
        assert!(Args::try_parse_from(["ivshmem-server", "--hugepages", "2M", "-M", "x"]).is_err());
    }

    #[test]
    fn stall_timeout_needs_a_unit_and_is_above_zero() {
        assert_eq!(parse(&["--stall-timeout", "500ms"]).stall_timeout, Duration::from_millis(500));
        for text in ["0s", "5", "never"] {
            let error = Args::try_parse_from(["ivshmem-server", "--stall-timeout", text]).unwrap_err().to_string();
            assert!(error.contains("expected a duration above zero with a unit, such as 5s or 500ms"), "{error}");
        }
    }
}
