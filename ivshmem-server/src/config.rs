//! The server's settings, and their flags. The flags of QEMU's example server have the same meaning.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use cli_common::{duration, number, size};

use crate::access::Access;
use crate::memory::Backing;

/// The default socket of QEMU's example server, which clients expect.
const DEFAULT_SOCKET: &str = "/tmp/ivshmem_socket";

/// Maximum number of vectors: without ioeventfd QEMU evaluates only eight bits of a vector.
const MAX_VECTORS: u16 = 256;

/// Settings for [`Server::bind`](crate::Server::bind).
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Path of the client socket
    #[arg(short = 'S', long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,

    /// Permissions of the sockets
    #[arg(long, value_name = "OCTAL", default_value = "0600", value_parser = parse_mode)]
    pub socket_mode: u32,

    /// Users and groups that may connect.
    #[command(flatten)]
    pub access: Access,

    /// Size of the shared memory in bytes, decimal or 0x…, or a number with K, M, G or T; rounded up to a power of two
    #[arg(short = 'l', long, value_name = "SIZE", default_value = "64M", value_parser = size::parse)]
    pub size: u64,

    /// Number of interrupt vectors of each peer, from 1 to 256
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, value_parser = parse_vectors)]
    pub vectors: u16,

    /// Backing of the shared memory. The command has several flags for it.
    #[arg(skip = Backing::Memfd)]
    pub backing: Backing,

    /// Maximum number of peers [default: the limit of open files decides]
    #[arg(long, value_name = "N", value_parser = number::in_range::<usize>(1..=65536))]
    pub max_peers: Option<usize>,

    /// Disconnect a client that leaves pending messages unread for this time
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse_above_zero)]
    pub stall_timeout: Duration,

    /// Send the status, one JSON document per connection, at PATH; with the permissions of --socket-mode
    #[arg(long, value_name = "PATH")]
    pub status_socket: Option<PathBuf>,

    /// Write the process id to FILE; removed at the end. Without --foreground the server also goes to the background, as
    /// QEMU's example server does
    #[arg(short = 'p', long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
}

impl Default for Config {
    /// The same as without flags.
    fn default() -> Self {
        Self {
            socket: DEFAULT_SOCKET.into(),
            socket_mode: 0o600,
            access: Access::default(),
            size: 64 << 20,
            vectors: 1,
            backing: Backing::Memfd,
            max_peers: None,
            // Long enough for a VM on an overloaded host. QEMU goes on reading while its VM is paused.
            stall_timeout: Duration::from_secs(60),
            status_socket: None,
            pid_file: None,
        }
    }
}

fn parse_mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| "expected octal permissions from 0 to 777, such as 0660".into())
}

/// Like strtoul(3) with base 0, which the example server uses: `0x` marks a hexadecimal number, a leading zero an octal one.
fn parse_vectors(text: &str) -> Result<u16, String> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).map(|digits| (digits, 16));
    let octal = || text.strip_prefix('0').filter(|digits| !digits.is_empty()).map(|digits| (digits, 8));
    let (digits, radix) = hexadecimal.or_else(octal).unwrap_or((text, 10));
    Some(digits)
        .filter(|digits| !digits.starts_with('+'))
        .and_then(|digits| u16::from_str_radix(digits, radix).ok())
        .filter(|vectors| (1..=MAX_VECTORS).contains(vectors))
        .ok_or_else(|| format!("expected a number from 1 to {MAX_VECTORS}, decimal or 0x…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_vectors_like_the_example_server() {
        for (text, vectors) in [("1", 1), ("256", 256), ("0X100", 256), ("010", 8)] {
            assert_eq!(parse_vectors(text), Ok(vectors), "{text}");
        }
        for text in ["", "0", "0x", "0x0", "257", "0x101", "08", "-1", "+1", "0x+1", "1.5", "2 "] {
            assert!(parse_vectors(text).is_err(), "{text}");
        }
    }

    #[test]
    fn permissions_are_octal() {
        assert_eq!(parse_mode("0660"), Ok(0o660));
        assert!(parse_mode("0999").is_err());
        assert!(parse_mode("7777").is_err());
    }
}
