//! Bad input and bad luck: each ends within its deadline, with a status, a message that names the cure, its logs kept
//! and nothing left running.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use crate::support::{assert_gone, assert_no_file, bench, children, name_of, socket_in, xtask};

/// Enough blocks that a run is still busy when its processes are found.
const LONG: &str = "--full --workload frame --frames 1080p --mode irq";

#[test]
#[ignore = "starts a guest"]
fn a_guest_that_dies_in_mid_run_ends_the_run_and_keeps_what_was_measured() {
    let mut run = bench(LONG);
    let qemu = run.child_when("qemu-system-x86", "samples.csv", "frame,irq");
    kill(qemu, Signal::SIGKILL).unwrap();
    let ended = run.end();
    ended.assert_status(1);
    ended.assert_says("QEMU was killed by signal 9 (SIGKILL)");
    assert!(ended.failed_checks().contains(&15));
    assert!(ended.text("samples.csv").lines().count() > 1);
    assert_no_file(&socket_in(&ended.text("commands.sh")));
}

#[test]
#[ignore = "starts a guest"]
fn a_server_that_goes_away_in_mid_run_ends_the_run() {
    let mut run = bench(LONG);
    let server = run.child_when("ivshmem-server", "samples.csv", "frame,irq");
    let started = children(run.pid());
    // Without a chance to remove its socket.
    kill(server, Signal::SIGKILL).unwrap();
    let ended = run.end();
    ended.assert_status(1);
    ended.assert_says("ivshmem-server was killed by signal 9 (SIGKILL)");
    started.into_iter().for_each(assert_gone);
    assert_no_file(&socket_in(&ended.text("commands.sh")));
    let told = ended.result()["self_checks"].to_string();
    assert!(told.contains("ivshmem-server was killed by signal 9"), "the record has the cause of stderr: {told}");
}

/// A finished block on disk.
const BLOCK: &str = "{\"block\":{";

#[test]
#[ignore = "starts a guest"]
fn killed_initiator_is_named_and_its_blocks_rendered() {
    let mut run = bench(LONG);
    let initiator = run.child_when("host-peer", "measured.jsonl", BLOCK);
    kill(initiator, Signal::SIGKILL).unwrap();
    let ended = run.end();
    ended.assert_status(1);
    ended.assert_says("host-peer was killed by signal 9 (SIGKILL). Hint: out-of-memory killer? See dmesg");
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
    // A guest that does not come up keeps the initiator waiting.
    kill(qemu, Signal::SIGSTOP).unwrap();
    let initiator = run.child_when("host-peer", "plan.json", "nonce");
    kill(initiator, Signal::SIGKILL).unwrap();
    let ended = run.end();
    ended.assert_status(1);
    ended.assert_says("host-peer was killed by signal 9 (SIGKILL)");
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
fn disk_that_fills_in_mid_run_is_named() {
    let (status, stdout, stderr) = bench_on_small_disk();
    assert_eq!(status, Some(1), "{stderr}");
    let cause = stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{stderr}"));
    assert!(cause.contains("cannot write /") && cause.contains("/run/samples.csv"), "{stderr}");
    assert!(cause.contains("No space left on device"), "{stderr}");
    assert!(stderr.contains("no report of what was measured: cannot write"), "{stderr}");
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
    ended.assert_says("samples.csv: File too large");
    assert!(!ended.result()["cells"].as_array().unwrap().is_empty(), "what was measured is rendered");
}

/// Stops a party for three seconds while the initiator measures a block; the warnings of the run.
fn warnings_after_stop(words: &str, party: &str) -> Vec<String> {
    let mut run = bench(words);
    // In boot, when it has this name for sure.
    let initiator = run.child_when("host-peer", "plan.json", "nonce");
    let qemu = run.child_when("qemu-system-x86", "measured.jsonl", BLOCK);
    let stopped = if party == "host-peer" { initiator } else { qemu };
    // The initiator's thread has this name while it measures.
    while name_of(initiator) != "measuring" {
        assert!(run.is_on(), "no block was measured");
        sleep(Duration::from_millis(1));
    }
    kill(stopped, Signal::SIGSTOP).unwrap();
    sleep(Duration::from_secs(3));
    kill(stopped, Signal::SIGCONT).unwrap();
    let ended = run.end();
    ended.assert_status(0);
    let result = ended.result();
    let warnings = result["warnings"].as_array().unwrap().iter();
    warnings.map(|warning| warning["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
#[ignore = "starts a guest"]
fn stop_of_each_party_is_warned_of_with_block_and_effect() {
    for party in ["host-peer", "qemu-system-x86"] {
        for (words, cell) in [("--workload paced --mode poll", "(paced 64 B poll"), (PINGPONG, "(pingpong 64 B irq")] {
            let warnings = warnings_after_stop(words, party);
            let stall = warnings.iter().find(|text| text.contains("s (machine or process stopped)"));
            let stall = stall.unwrap_or_else(|| panic!("{party}, {words}: {warnings:#?}"));
            assert!(stall.starts_with("block ") && stall.contains(cell), "{party}: {stall}");
            assert!(stall.contains(" of ") && stall.contains("CPU per operation"), "{party}: {stall}");
        }
    }
}

/// Blocks that last long enough to be stopped in.
const PINGPONG: &str = "--workload pingpong --mode irq --full";

#[test]
#[ignore = "starts a guest"]
fn a_guest_whose_kernel_panics_ends_the_run_with_its_words() {
    let ended = bench("--workload pingpong --append rdinit=/nowhere").end();
    ended.assert_status(1);
    ended.assert_says("Kernel panic");
    assert!(ended.text("console.log").contains("Kernel panic"));
}

#[test]
#[ignore = "starts a guest"]
fn a_guest_that_never_gets_ready_ends_the_run_at_its_deadline() {
    let mut run = bench("--workload pingpong --ready-timeout 4s");
    // A guest that is stopped runs no more, and does not die either.
    let qemu = run.child_when("qemu-system-x86", "plan.json", "nonce");
    kill(qemu, Signal::SIGSTOP).unwrap();
    let ended = run.end();
    assert_gone(qemu);
    ended.assert_status(1);
    ended.assert_says("no guest answered within 4s");
}

#[test]
#[ignore = "starts a guest"]
fn ctrl_c_ends_everything_that_was_started() {
    let mut run = bench(LONG);
    run.child_when("qemu-system-x86", "samples.csv", "frame,irq");
    let started = children(run.pid());
    assert_eq!(started.len(), 3, "server, guest and initiator");
    run.signal(Signal::SIGINT);
    let ended = run.end();
    ended.assert_status(130);
    ended.assert_says("stopped by a signal");
    started.into_iter().for_each(assert_gone);
    assert_no_file(&socket_in(&ended.text("commands.sh")));
}

#[test]
#[ignore = "starts a guest"]
fn a_front_door_that_is_killed_leaves_nobody_and_no_socket() {
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
fn a_qemu_that_exits_at_once_is_told_in_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let qemu = folder.path().join("qemu-system-x86_64");
    fs::write(&qemu, "#!/bin/sh\necho 'qemu: no such machine today' >&2\nexit 1\n").unwrap();
    fs::set_permissions(&qemu, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let mut command = xtask("bench --accel tcg --workload pingpong --out");
    let output = command.arg(folder.path().join("run")).env("PATH", path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no such machine today"), "{said}");
}

#[test]
#[ignore = "belongs to these"]
fn wrong_usage_ends_with_status_2_and_a_cure() {
    for (words, cure) in [
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
        ("bench --pin host=4095", "take one of"),
        ("bench --pin vcpu1=0", "--smp 2"),
    ] {
        let output = xtask(words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words}: {said}");
        assert!(said.contains(cure), "{words}: {said}");
    }
}

#[test]
#[ignore = "belongs to these"]
fn a_results_folder_that_cannot_be_written_ends_with_a_cure() {
    let output = xtask("bench --out /proc/nowhere").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--out DIR"), "{said}");
}
