//! Wrong usage and failures of a run: exit status, message with a hint, logs kept, no processes left.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};

use crate::support::{assert_gone, assert_no_file, bench, children, socket_in, xtask};

/// A run that lasts until its processes are found.
const LONG: &str = "--full --workload frame --frames 1080p --mode irq";

#[test]
#[ignore = "starts a guest"]
fn killed_guest_ends_the_run_and_keeps_samples() {
    let mut run = bench(LONG);
    let qemu = run.child_when("qemu-system-x86", "samples.csv", "frame,irq");
    kill(qemu, Signal::SIGKILL).unwrap();
    let ended = run.end();
    ended.assert_status(1);
    ended.assert_stderr_contains("QEMU was killed by signal 9 (SIGKILL)");
    assert!(ended.failed_checks().contains(&15));
    assert!(ended.text("samples.csv").lines().count() > 1);
    assert_no_file(&socket_in(&ended.text("commands.sh")));
}

#[test]
#[ignore = "starts a guest"]
fn killed_server_ends_the_run() {
    let mut run = bench(LONG);
    let server = run.child_when("ivshmem-server", "samples.csv", "frame,irq");
    let started = children(run.pid());
    // It cannot remove its socket.
    kill(server, Signal::SIGKILL).unwrap();
    let ended = run.end();
    ended.assert_status(1);
    ended.assert_stderr_contains("ivshmem-server was killed by signal 9 (SIGKILL)");
    started.into_iter().for_each(assert_gone);
    assert_no_file(&socket_in(&ended.text("commands.sh")));
    let checks = ended.result()["self_checks"].to_string();
    assert!(checks.contains("ivshmem-server was killed by signal 9"), "the result has the cause of stderr: {checks}");
}

/// A finished block on disk.
pub(crate) const BLOCK: &str = "{\"block\":{";

#[test]
#[ignore = "starts a guest"]
fn killed_initiator_is_named_and_its_blocks_rendered() {
    let mut run = bench(LONG);
    let initiator = run.child_when("host-peer", "measured.jsonl", BLOCK);
    kill(initiator, Signal::SIGKILL).unwrap();
    let ended = run.end();
    ended.assert_status(1);
    ended.assert_stderr_contains("host-peer was killed by signal 9 (SIGKILL). Hint: out-of-memory killer? See dmesg");
    let result = ended.result();
    assert!(!result["cells"].as_array().unwrap().is_empty(), "{result:#}");
    assert!(ended.failed_checks().contains(&15));
    assert!(ended.text("report.html").contains("host-peer was killed by signal 9"));
}

#[test]
#[ignore = "starts a guest"]
fn initiator_killed_in_boot_is_named_with_a_page() {
    let mut run = bench("--workload pingpong --mode poll");
    let qemu = run.child_when("qemu-system-x86", "plan.json", "nonce");
    // The initiator waits while the guest does not start.
    kill(qemu, Signal::SIGSTOP).unwrap();
    let initiator = run.child_when("host-peer", "plan.json", "nonce");
    kill(initiator, Signal::SIGKILL).unwrap();
    let ended = run.end();
    ended.assert_status(1);
    ended.assert_stderr_contains("host-peer was killed by signal 9 (SIGKILL)");
    assert!(ended.text("report.html").contains("host-peer was killed by signal 9"));
}

/// Runs `bench` with its results on a file system of 1 MiB that a pingpong run fills. The mount lasts as long as the run.
/// Its propagation stays as it is: in a chroot, whose root need not be a mount point, it cannot be changed.
fn bench_on_small_disk() -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let script = "mount -t tmpfs -o size=1M none \"$1\" || exit 77
        \"$2\" bench --accel tcg --workload pingpong --mode poll --out \"$1/run\"
        status=$?
        echo measured.jsonl has $(wc -l < \"$1/run/measured.jsonl\") lines; ls \"$1/run\"
        umount \"$1\" || exit 78
        exit $status";
    command
        .args(["--mount", "--propagation", "unchanged", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .arg(env!("CARGO_BIN_EXE_xtask"));
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
#[ignore = "starts a guest"]
fn full_disk_is_named() {
    let (status, stdout, stderr) = bench_on_small_disk();
    assert_eq!(status, Some(1), "{stderr}");
    let cause = stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{stderr}"));
    assert!(cause.contains("cannot write /") && cause.contains("/run/samples.csv"), "{stderr}");
    assert!(cause.contains("No space left on device"), "{stderr}");
    assert!(stderr.contains("cannot write the report: cannot write"), "{stderr}");
    assert!(stderr.contains("Hint: free space there, then run cargo xtask report"), "{stderr}");
    let (_, after_summary) = stdout.split_once("measured.jsonl has ").unwrap_or_else(|| panic!("{stdout}"));
    let lines: usize = after_summary.split_whitespace().next().unwrap().parse().unwrap();
    assert!(lines > 2, "facts and at least one block are on disk: {stdout}");
    assert!(!after_summary.contains("partial") && !after_summary.contains(".new"), "{stdout}");
}

#[test]
#[ignore = "starts a guest"]
fn file_that_reaches_its_size_limit_is_named() {
    let mut run = bench(LONG);
    let initiator = run.child_when("host-peer", "measured.jsonl", BLOCK);
    let limited = Command::new("prlimit").args(["--fsize=1", "--pid", &initiator.to_string()]).status().unwrap();
    assert!(limited.success());
    let ended = run.end();
    ended.assert_status(1);
    ended.assert_stderr_contains("samples.csv: File too large");
    assert!(!ended.result()["cells"].as_array().unwrap().is_empty(), "the finished blocks are rendered");
}

#[test]
#[ignore = "starts a guest"]
fn kernel_panic_ends_the_run_with_its_message() {
    let ended = bench("--workload pingpong --append rdinit=/nowhere").end();
    ended.assert_status(1);
    ended.assert_stderr_contains("Kernel panic");
    assert!(ended.text("console.log").contains("Kernel panic"));
}

#[test]
#[ignore = "starts a guest"]
fn unready_guest_ends_the_run_at_its_timeout() {
    let mut run = bench("--workload pingpong --ready-timeout 4s");
    // A stopped guest neither continues nor ends.
    let qemu = run.child_when("qemu-system-x86", "plan.json", "nonce");
    kill(qemu, Signal::SIGSTOP).unwrap();
    let ended = run.end();
    assert_gone(qemu);
    ended.assert_status(1);
    ended.assert_stderr_contains("no guest answered within 4s");
}

#[test]
#[ignore = "starts a guest"]
fn ctrl_c_ends_all_processes() {
    let mut run = bench(LONG);
    run.child_when("qemu-system-x86", "samples.csv", "frame,irq");
    let started = children(run.pid());
    assert_eq!(started.len(), 3, "server, guest and initiator");
    run.signal(Signal::SIGINT);
    let ended = run.end();
    ended.assert_status(130);
    ended.assert_stderr_contains("stopped by a signal");
    started.into_iter().for_each(assert_gone);
    assert_no_file(&socket_in(&ended.text("commands.sh")));
}

#[test]
#[ignore = "starts a guest"]
fn killed_cli_leaves_no_process_and_no_socket() {
    let mut run = bench(LONG);
    run.child_when("qemu-system-x86", "samples.csv", "frame,irq");
    let started = children(run.pid());
    let socket = socket_in(&fs::read_to_string(run.file("commands.sh")).unwrap());
    assert!(socket.exists());
    run.signal(Signal::SIGKILL);
    run.end();
    started.into_iter().for_each(assert_gone);
    assert_no_file(&socket);
}

#[test]
#[ignore = "starts a guest"]
fn failed_start_of_qemu_shows_its_message() {
    let folder = tempfile::tempdir().unwrap();
    let qemu = folder.path().join("qemu-system-x86_64");
    fs::write(&qemu, "#!/bin/sh\necho 'qemu: no such machine today' >&2\nexit 1\n").unwrap();
    fs::set_permissions(&qemu, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let mut command = xtask("bench --accel tcg --workload pingpong --out");
    let output = command.arg(folder.path().join("run")).env("PATH", path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("no such machine today"), "{stderr}");
}

#[test]
#[ignore = "part of the VM tests"]
fn wrong_usage_has_status_2_and_a_hint() {
    for (words, hint) in [
        ("bench --size 100M", "--size 128M"),
        ("bench --size 16M", "--size 32M"),
        ("bench --mode fast", "poll"),
        ("bench --vectors 0", "from 1 to 256"),
        ("vm --size 3M", "--size 4194304"),
        ("vm --mode plain --peers 1", "--mode doorbell"),
        ("vm --mode plain --server /nowhere", "--mode doorbell"),
        ("vm --size 1M --server /nowhere", "cannot be used with"),
        ("bench --kernel /vmlinuz", "--modules"),
        ("bench --mem 1M", "256M"),
        ("bench --driver vfio-pci --bar2-map wb", "--driver uio_pci_msix"),
        ("bench --mode irq --driver uio_pci_generic", "--driver uio_pci_msix"),
        ("bench --kernel /no/such --modules /no/such", "/boot/vmlinuz-RELEASE"),
        ("bench --cpu NoSuchModel", "-cpu help"),
        ("vm --mode plain --vectors 2", "--mode doorbell"),
        ("bench --fault wrong-hash --workload pingpong", "--workload frame"),
        ("bench --fault drop-doorbell --mode poll", "--mode irq"),
        ("bench --fault claim-kvm --accel kvm", "--accel tcg"),
        ("bench --fault wander --pin none", "--pin auto"),
        ("bench --pin guest=1", "host=0,vcpu=1"),
        ("bench --pin host=0,host=1", "one CPU"),
        ("bench --pin host=4095", "use one of"),
        ("bench --pin vcpu1=0", "--smp 2"),
    ] {
        let output = xtask(words).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words}: {stderr}");
        assert!(stderr.contains(hint), "{words}: {stderr}");
    }
}

#[test]
#[ignore = "part of the VM tests"]
fn unwritable_directory_has_a_hint() {
    let output = xtask("bench --out /proc/nowhere").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("--out DIR"), "{stderr}");
}
