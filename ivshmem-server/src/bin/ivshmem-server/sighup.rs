//! SIGHUP, sent when the terminal closes. It ends the server like SIGTERM, unless it was ignored at the start, as under
//! nohup(1).

use std::fs;

/// The mask of ignored signals in `/proc/self/status`
/// ([proc_pid_status(5)](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html)).
const IGNORED: &str = "SigIgn:";

/// Whether this process was started with SIGHUP ignored. Without `/proc`, assumes it was not.
pub(crate) fn is_ignored() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| is_ignored_in(&status))
}

fn is_ignored_in(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix(IGNORED));
    // Signal n is bit n - 1, and SIGHUP is 1.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sighup_is_the_lowest_bit_of_the_mask() {
        let status = |mask: &str| format!("SigBlk:\t0000000000000001\nSigIgn:\t{mask}\nSigCgt:\t0000000000000001\n");
        assert!(is_ignored_in(&status("0000000000001001")));
        assert!(!is_ignored_in(&status("0000000000001000")));
        assert!(!is_ignored_in("SigBlk:\t1\n"));
    }
}
