//! Writes `commands.sh`: the commands that repeat a run by hand, one terminal per process.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use bench_model::pinning::{Pinning, ThreadName};

use crate::process::child::{command_line, shell_quote};
use crate::vm::qemu::QemuOptions;

/// The command line of this process, quoted for a shell.
pub(super) fn invocation(arguments: impl Iterator<Item = OsString>) -> String {
    arguments.fold("cargo xtask".to_owned(), |line, argument| line + " " + &shell_quote(&argument))
}

/// Writes the commands of a run into its directory.
pub(super) fn write(
    out: &Path,
    server: &Command,
    qemu: &QemuOptions,
    initiator: &Command,
    pinning: &Pinning,
) -> anyhow::Result<()> {
    let path = out.join("commands.sh");
    let text = text(out, server, qemu, initiator, pinning);
    super::output_dir::write_atomically(&path, text.as_bytes())
}

fn text(out: &Path, server: &Command, qemu: &QemuOptions, initiator: &Command, pinning: &Pinning) -> String {
    let pid_file = out.join("qemu.pid");
    let pins = taskset_lines(&pid_file, pinning);
    let pins = if pins.is_empty() {
        pins
    } else {
        format!("# Pins QEMU's threads as in this run; the initiator pins itself.\n{pins}")
    };
    format!(
        "#!/bin/sh\n# Repeats this run by hand: three terminals, in this order. As a script it would stop at the first.\n\n\
         # 1. The server.\n{}\n\n\
         # 2. The guest. It shows its console and waits for the initiator.\n{}\n\n\
         # 3. The initiator. It overwrites the raw data in this directory; use another --out to keep them.\n{pins}{}\n",
        command_line(server),
        command_line(&qemu.by_hand(&pid_file)),
        command_line(initiator)
    )
}

/// A taskset(1) for each pinned thread of QEMU.
fn taskset_lines(pid_file: &Path, pinning: &Pinning) -> String {
    let pid = format!("$(cat {})", shell_quote(pid_file.as_os_str()));
    let of = |(name, cpu): (ThreadName, usize)| match name {
        ThreadName::Host => String::new(),
        // The fifth field of the path is the thread id.
        ThreadName::Vcpu(index) => format!(
            "taskset --cpu-list --pid {cpu} \"$(grep -l '^CPU {index}/' /proc/{pid}/task/*/comm | cut -d / -f 5)\"\n"
        ),
        ThreadName::MainLoop => format!("taskset --cpu-list --pid {cpu} \"{pid}\"\n"),
    };
    pinning.threads().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::qemu::Ivshmem;
    use bench_model::Accelerator;

    fn commands(pinning: &Pinning) -> String {
        let qemu = QemuOptions {
            accelerator: Accelerator::Tcg,
            cpu: None,
            cpus: 1,
            memory: "256M".into(),
            kernel: "k".into(),
            initramfs: "i".into(),
            append: String::new(),
            device: Some(Ivshmem::Doorbell { socket: "/s".into(), vectors: 1 }),
            iommu: false,
        };
        text(Path::new("/my run"), &Command::new("server"), &qemu, &Command::new("host-peer"), pinning)
    }

    #[test]
    fn guest_has_a_console_and_named_threads() {
        let text = commands(&Pinning::default());
        let qemu = text.lines().find(|line| line.starts_with("qemu")).unwrap();
        for needed in ["console=ttyS0", "-serial stdio", "-name debug-threads=on", "-pidfile '/my run/qemu.pid'"] {
            assert!(qemu.contains(needed), "{qemu}");
        }
        assert!(!text.contains("taskset"), "{text}");
    }

    #[test]
    fn threads_of_qemu_are_pinned_before_the_initiator() {
        let pinning = Pinning { host: Some(0), vcpus: vec![Some(1), None], main_loop: Some(2) };
        let text = commands(&pinning);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[lines.len() - 3..],
            [
                r#"taskset --cpu-list --pid 1 "$(grep -l '^CPU 0/' /proc/$(cat '/my run/qemu.pid')/task/*/comm | cut -d / -f 5)""#,
                r#"taskset --cpu-list --pid 2 "$(cat '/my run/qemu.pid')""#,
                "host-peer",
            ]
        );
    }

    #[test]
    fn invocation_is_quoted_for_a_shell() {
        let words = ["bench", "--append", "quiet loglevel=3", "--out", "it's"].map(OsString::from);
        assert_eq!(invocation(words.into_iter()), r"cargo xtask bench --append 'quiet loglevel=3' --out 'it'\''s'");
    }
}
