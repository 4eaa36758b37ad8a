//! Describes how a child process ended: its exit status, or the signal with a hint at its usual sender.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::Signal;

/// For instance `was killed by signal 9 (SIGKILL). Hint: …` or `exited with status 1`.
#[must_use]
pub fn describe(status: ExitStatus) -> String {
    let Some(number) = status.signal() else {
        return status.code().map_or_else(|| status.to_string(), |code| format!("exited with status {code}"));
    };
    let Ok(signal) = Signal::try_from(number) else {
        return format!("was killed by signal {number}");
    };
    let hint = hint(signal).map_or_else(String::new, |hint| format!(". Hint: {hint}"));
    format!("was killed by signal {number} ({signal}){hint}")
}

/// The usual cause of a signal.
fn hint(signal: Signal) -> Option<&'static str> {
    match signal {
        Signal::SIGKILL => Some("out-of-memory killer? See dmesg"),
        Signal::SIGXFSZ => Some("a file reached the size limit; see ulimit -f"),
        Signal::SIGXCPU => Some("the CPU time limit was reached; see ulimit -t"),
        Signal::SIGBUS => Some("a mapped file was truncated, or its disk or huge pages are used up"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signal_has_name_and_hint() {
        let killed = describe(ExitStatus::from_raw(9));
        assert_eq!(killed, "was killed by signal 9 (SIGKILL). Hint: out-of-memory killer? See dmesg");
        assert_eq!(describe(ExitStatus::from_raw(11)), "was killed by signal 11 (SIGSEGV)");
        assert_eq!(
            describe(ExitStatus::from_raw(25)),
            format!("was killed by signal 25 (SIGXFSZ). Hint: {}", hint(Signal::SIGXFSZ).unwrap())
        );
        assert_eq!(describe(ExitStatus::from_raw(40)), "was killed by signal 40", "real-time signals are unnamed");
    }

    #[test]
    fn exit_status_is_a_number() {
        assert_eq!(describe(ExitStatus::from_raw(3 << 8)), "exited with status 3");
    }
}
