//! SIGHUP: the terminal is closed. It ends the server as SIGTERM does, unless it was ignored from the start, which is what
//! nohup(1) asks for.

use std::fs;
use std::future::pending;

use tokio::signal::unix::Signal;

/// The mask of ignored signals in `/proc/self/status`
/// ([proc_pid_status(5)](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html)).
const IGNORED: &str = "SigIgn:";

/// Whether whoever started this process wants it to survive a hangup. Without `/proc` nobody does.
pub(crate) fn is_ignored() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| is_ignored_in(&status))
}

fn is_ignored_in(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix(IGNORED));
    // Signal n is bit n - 1, and SIGHUP is 1.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}

/// The next one; never, where it is ignored.
pub(crate) async fn next(signal: Option<&mut Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_bit_of_the_mask_is_the_hangup() {
        let status = |mask: &str| format!("SigBlk:\t0000000000000001\nSigIgn:\t{mask}\nSigCgt:\t0000000000000001\n");
        assert!(is_ignored_in(&status("0000000000001001")));
        assert!(!is_ignored_in(&status("0000000000001000")));
        assert!(!is_ignored_in("SigBlk:\t1\n"));
    }
}
