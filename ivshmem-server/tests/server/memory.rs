//! The shared memory that clients get, and refused requests.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use client::{Client as Peer, JoinOptions, status};
use rustix::fs::{OFlags, SealFlags, fcntl_get_seals, fcntl_getfl, fcntl_setfl, fstat};
use rustix::process::{Signal, geteuid};

use crate::support::harness::{ServerProcess, TIMEOUT, command, run};

#[test]
fn the_memfd_is_sealed_against_resizing() {
    let server = ServerProcess::start(&["-l", "64K"]);
    let memory = File::from(server.member(1).memory.unwrap());
    let seals = fcntl_get_seals(&memory).unwrap();
    assert_eq!(seals, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL);
    assert!(memory.set_len(0).is_err());
    assert!(memory.set_len(1 << 20).is_err());
    memory.write_all_at(b"x", 0).unwrap();
}

#[test]
fn flags_of_a_clients_descriptor_do_not_affect_others() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().to_str().unwrap();
    let name = format!("ivshmem-append-{}", std::process::id());
    for backing in [&[][..], &["--shm-dir", directory], &["--shm-name", &name]] {
        let server = ServerProcess::start(&[&["-l", "64K"], backing].concat());
        let memory_of_next = || File::from(server.member(1).memory.unwrap());
        let (hostile, present) = (memory_of_next(), memory_of_next());
        fcntl_setfl(&hostile, fcntl_getfl(&hostile).unwrap() | OFlags::APPEND).unwrap();
        for memory in [present, memory_of_next()] {
            assert!(!fcntl_getfl(&memory).unwrap().contains(OFlags::APPEND), "{backing:?}");
            memory.write_all_at(b"here", 16).unwrap();
            assert_eq!(memory.metadata().unwrap().len(), 64 << 10, "{backing:?}");
            let mut bytes = [0; 4];
            hostile.read_exact_at(&mut bytes, 16).unwrap();
            assert_eq!(&bytes, b"here", "{backing:?}: all share one memory");
            memory.write_all_at(&[0; 4], 16).unwrap();
        }
        assert!(server.stop(Signal::TERM).0.success());
    }
}

#[test]
fn rounds_the_size_up_with_a_warning() {
    let server = ServerProcess::start(&["-l", "3M"]);
    let memory = File::from(server.member(1).memory.unwrap());
    assert_eq!(memory.metadata().unwrap().len(), 4 << 20);

    let warned = server.first_lines.iter().any(|line| line.contains("rounded up to 4M"));
    assert!(warned, "{:?}", server.first_lines);
}

#[test]
fn refuses_impossible_sizes_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let socket = socket.to_str().unwrap();
    let cases = [
        ("4095", 2, "below the page size 4K"),
        ("0", 2, "below the page size"),
        ("5000000T", 2, "exceeds the maximum size of a file"),
        ("4000000T", 3, "of shared memory requested"),
        ("64MB", 2, "expected a number of bytes"),
        ("1.3K", 2, "not a whole number of bytes"),
    ];
    for (size, status, reason) in cases {
        let (code, log) = run(&["-S", socket, "-l", size]);
        assert_eq!(code, Some(status), "{size}: {log}");
        assert!(log.contains(reason), "{size}: {log}");
    }
    let (code, log) = run(&["-S", socket, "-m", "/dev/shm", "-l", "4000000T"]);
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains("requested in /dev/shm"), "{log}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn missing_huge_pages_are_status_3_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let socket = socket.to_str().unwrap();
    let (code, log) = run(&["-S", socket, "--hugepages", "2M", "-l", "64T"]);
    assert_eq!(code, Some(3), "{log}");
    let hint = log.contains("nr_hugepages") || log.contains("does not support huge pages of 2M");
    assert!(hint && log.contains("--hugepages"), "{log}");
    let (code, log) = run(&["-S", socket, "--hugepages", "1G", "-l", "2M"]);
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("below the page size 1G"), "{log}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
#[ignore = "takes 2 free huge pages: as root `echo 2 > /proc/sys/vm/nr_hugepages`, then `cargo test -p ivshmem-server huge -- --ignored`"]
fn huge_pages_reach_the_client_and_the_status() {
    let folder = tempfile::tempdir().unwrap();
    let status_path = folder.path().join("status");
    let server = ServerProcess::start(&[
        "--hugepages",
        "2M",
        "-l",
        "4M",
        "-n",
        "2",
        "--status-socket",
        status_path.to_str().unwrap(),
    ]);
    let peer = Peer::join(&JoinOptions::at(server.socket())).unwrap();
    let inode = fstat(peer.memory()).unwrap().st_ino.to_string();
    let region = peer.map().unwrap();
    region.copy_in(4093 << 10, b"at the far end").unwrap();

    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut of_memory = smaps.lines().skip_while(|line| line.split_whitespace().nth(4) != Some(&inode));
    let page = of_memory.find(|line| line.starts_with("KernelPageSize:")).unwrap();
    assert_eq!(page.split_whitespace().collect::<Vec<_>>(), ["KernelPageSize:", "2048", "kB"]);
    let memory = status::read(&status_path, TIMEOUT).unwrap().memory;
    assert_eq!(memory.description, "4M in a sealed memfd of 2M pages");
    assert_eq!(memory.seals, ["shrink", "grow", "seal"]);
}

/// A unique name, removed at the end of the test.
struct Shm {
    name: String,
    path: PathBuf,
}

impl Shm {
    fn unique(test: &str) -> Self {
        let name = format!("ivshmem-test-{test}-{}", std::process::id());
        let path = Path::new("/dev/shm").join(&name);
        Self { name, path }
    }
}

impl Drop for Shm {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[test]
fn a_posix_object_is_shared_and_removed_at_the_end() {
    let shm = Shm::unique("named");
    let server = ServerProcess::start(&["-l", "64K", "-M", &shm.name]);
    let memory = File::from(server.member(1).memory.unwrap());
    memory.write_all_at(b"seen by name", 100).unwrap();
    assert_eq!(&fs::read(&shm.path).unwrap()[100..112], b"seen by name");
    let (status, _folder) = server.stop(Signal::TERM);
    assert!(status.success());
    assert!(!shm.path.exists());
}

#[test]
fn refuses_a_posix_object_of_a_running_server() {
    let shm = Shm::unique("shared");
    let _server = ServerProcess::start(&["-l", "64K", "-M", &shm.name]);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let (code, log) = run(&["-S", socket.to_str().unwrap(), "-M", &shm.name]);
    assert_eq!(code, Some(1));
    assert!(log.contains("another server uses"), "{log}");
    assert!(shm.path.exists());
}

#[test]
fn an_existing_posix_object_may_grow_but_not_shrink() {
    let shm = Shm::unique("left");
    fs::write(&shm.path, vec![7; 4096]).unwrap();
    let server = ServerProcess::start(&["-l", "64K", "-M", &shm.name]);
    let memory = File::from(server.member(1).memory.unwrap());
    assert_eq!(memory.metadata().unwrap().len(), 65_536);
    drop(server);

    // That server was killed, so the object still exists with its contents.
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let (code, log) = run(&["-S", socket.to_str().unwrap(), "-l", "4K", "-M", &shm.name]);
    let content = fs::read(&shm.path).unwrap();
    assert_eq!(code, Some(1));
    assert!(log.contains("exists with a size of 64K"), "{log}");
    assert_eq!((content.len(), content[4095]), (65_536, 7));
}

/// Runs the server with a limit of the shell's `ulimit`.
fn run_with_limit(limit: &str, args: &[&str]) -> (Option<i32>, String) {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\"")]).arg(command().get_program()).args(args);
    let output = shell.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_failed_start_keeps_a_prepared_object() {
    let shm = Shm::unique("prepared");
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let flags = ["-F", "-S", socket.to_str().unwrap(), "-M", &shm.name];
    for (limit, failing, status) in [
        ("-n 1024", &["-p", "/nonexistent/pid"][..], 1),
        ("-n 1024", &["--status-socket", "/nonexistent/status"], 1),
        ("-n 1024", &["-l", "4T"], 3),
        ("-n 40", &["-n", "256"], 3),
        ("-f 8", &["-l", "1M"], 3),
    ] {
        fs::write(&shm.path, "my data").unwrap();
        let (code, log) = run_with_limit(limit, &[&flags[..], failing].concat());
        assert_eq!(code, Some(status), "{failing:?}: {log}");
        assert!(!failing.contains(&"4T") || log.contains("4T"), "the requested size: {log}");
        assert_eq!(fs::read_to_string(&shm.path).unwrap(), "my data", "{failing:?}: contents and size");
        fs::remove_file(&shm.path).unwrap();
        run_with_limit(limit, &[&flags[..], failing].concat());
        assert!(!shm.path.exists(), "{failing:?}: an object that the start created is removed");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_prepared_object_is_removed_at_the_end() {
    let shm = Shm::unique("filled");
    fs::write(&shm.path, "my data").unwrap();
    let server = ServerProcess::start(&["-l", "64K", "-M", &shm.name]);
    assert!(server.stop(Signal::TERM).0.success());
    assert!(!shm.path.exists());
}

#[test]
fn refuses_and_keeps_an_object_that_is_not_a_file() {
    let shm = Shm::unique("kind");
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let refused = |reason: &str| {
        let (code, log) = run(&["-S", socket.to_str().unwrap(), "-M", &shm.name]);
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains(reason) && log.contains("choose another --shm-name"), "{log}");
        assert!(shm.path.symlink_metadata().is_ok());
        fs::remove_file(&shm.path).unwrap();
    };
    assert!(Command::new("mkfifo").arg(&shm.path).status().unwrap().success());
    refused("it is not a regular file");
    drop(std::os::unix::net::UnixListener::bind(&shm.path).unwrap());
    refused("it is not a regular file");
    std::os::unix::fs::symlink("/dev/null", &shm.path).unwrap();
    refused("it is a symbolic link, and links are not followed");
}

#[test]
fn a_file_size_limit_is_status_3_with_a_hint() {
    let shm = Shm::unique("limited");
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let directory = folder.path().to_str().unwrap();
    for backing in [&[][..], &["-M", &shm.name], &["-m", directory]] {
        let flags = [&["-S", socket.to_str().unwrap(), "-l", "1M"], backing].concat();
        let (code, log) = run_with_limit("-f 8", &flags);
        assert_eq!(code, Some(3), "{backing:?}: {log}");
        assert!(log.contains("File too large") && log.contains("ulimit -f"), "{backing:?}: {log}");
        assert!(!shm.path.exists() && fs::read_dir(folder.path()).unwrap().count() == 0, "{backing:?}");
    }
}

#[test]
fn a_file_in_a_directory_has_no_name() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(&["-l", "64K", "-m", folder.path().to_str().unwrap()]);
    let memory = File::from(server.member(1).memory.unwrap());
    let metadata = memory.metadata().unwrap();
    assert_eq!((metadata.len(), metadata.nlink()), (65_536, 0));
    assert!(metadata.blocks() * 512 >= 65_536, "its blocks are reserved");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_name_given_as_a_directory_is_status_2_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    // As in QEMU's documentation.
    let (code, log) = run(&["-S", socket.to_str().unwrap(), "-m", "ivshmem", "-l", "1M", "-n", "2"]);
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("takes a directory") && log.contains("use -M ivshmem"), "{log}");
    for (path, hint) in [
        ("/dev/shm/ivshmem-no-directory", "use -M ivshmem-no-directory"),
        ("/no/such", "a name without a slash, which -M (--shm-name) takes"),
        ("no/such", "a name without a slash, which -M (--shm-name) takes"),
    ] {
        let (code, log) = run(&["-S", socket.to_str().unwrap(), "-m", path]);
        assert_eq!(code, Some(2), "{log}");
        assert!(log.contains("takes a directory") && log.contains(hint), "{log}");
    }
}

#[test]
fn a_path_given_as_a_name_is_status_2_with_the_name() {
    for (path, name) in [("/dev/shm/frames", "frames"), ("/run/frames", "ivshmem")] {
        let (code, log) = run(&["-M", path]);
        assert_eq!(code, Some(2), "{log}");
        assert!(log.contains(&format!("without a slash, such as {name}\n")), "{log}");
    }
}

#[test]
fn the_start_logs_a_hint_for_the_default_memory() {
    let shm = Shm::unique("note");
    let note = |flags: &[&str]| {
        ServerProcess::start(flags).first_lines.iter().any(|line| line.contains("creates /dev/shm/NAME"))
    };
    assert!(note(&[]));
    assert!(!note(&["-M", &shm.name]));
}

/// Changes an object's owner. Needs root.
fn chown_to_another_user(shm: &Shm) -> bool {
    fs::write(&shm.path, vec![7; 65_536]).unwrap();
    std::os::unix::fs::chown(&shm.path, Some(65_534), Some(65_534)).is_ok()
}

#[test]
fn root_may_use_an_object_of_another_user_with_a_warning() {
    let shm = Shm::unique("foreign");
    if !chown_to_another_user(&shm) {
        return;
    }
    let server = ServerProcess::start(&["-l", "64K", "-M", &shm.name]);
    let warned = |line: &String| line.contains("WARN") && line.contains("belongs to user 65534");
    assert!(server.first_lines.iter().any(warned), "{:?}", server.first_lines);
    let memory = File::from(server.member(1).memory.unwrap());
    let mut bytes = [0; 4];
    memory.read_exact_at(&mut bytes, 100).unwrap();
    assert_eq!(bytes, [7; 4]);
    assert!(server.stop(Signal::TERM).0.success());
    assert!(shm.path.exists(), "the server does not own it");
}

#[test]
fn refuses_an_object_of_another_user() {
    let shm = Shm::unique("owned");
    let (folder, mut starting) = (tempfile::tempdir().unwrap(), command());
    if geteuid().is_root() {
        fs::write(&shm.path, vec![7; 65_536]).unwrap();
        let copy = folder.path().join("ivshmem-server");
        fs::copy(starting.get_program(), &copy).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        starting = Command::new("setpriv");
        starting.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copy);
        for mode in [0o600, 0o666] {
            fs::set_permissions(&shm.path, Permissions::from_mode(mode)).unwrap();
            let output = starting.args(["-M", &shm.name, "-S"]).arg(folder.path().join("socket")).output().unwrap();
            let log = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{log}");
            assert!(log.contains("belongs to another user"), "{mode:o}: {log}");
        }
    }
}

#[test]
fn logs_shrunk_memory_with_the_peers_at_risk() {
    let shm = Shm::unique("shrunk");
    let folder = tempfile::tempdir().unwrap();
    let status_path = folder.path().join("status");
    let flags = ["-l", "64K", "-M", &shm.name, "--status-socket", status_path.to_str().unwrap()];
    let server = ServerProcess::start_in(folder, command(), &flags);
    let _peer = server.member(1);
    let current = || status::read(&status_path, TIMEOUT).unwrap().memory.current_bytes;
    assert_eq!(current(), Some(65_536));
    let script = format!("truncate -s 4K /dev/shm/{}", shm.name);
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    let lines = server.log_until("was shrunk from 64K to 4K");
    let line = lines.last().unwrap();
    let risk = format!("At risk: peer 0 (process {})", std::process::id());
    assert!(line.contains("ERROR") && line.contains(&risk) && line.contains("SIGBUS"), "{line}");
    assert_eq!(current(), Some(4096));
    let table = command().args(["status", "--status-socket"]).arg(&status_path).output().unwrap();
    assert!(String::from_utf8(table.stdout).unwrap().contains("SHRUNK to 4K"));
    // A join checks the size as well, but logs it only once.
    assert!(server.client().is_refused());
    server.log_until("a client was refused: the memory was resized: from 64K to 4K");
    let command_line = line.split('`').nth(1).unwrap();
    assert!(Command::new("sh").args(["-c", command_line]).status().unwrap().success());
    let lines = server.log_until("has its size of 64K again");
    assert!(!lines.iter().any(|line| line.contains("was shrunk")), "{lines:?}");
    assert_eq!(current(), Some(65_536));
}

#[test]
fn enlarged_memory_is_logged_and_clients_are_refused() {
    let shm = Shm::unique("enlarged");
    let folder = tempfile::tempdir().unwrap();
    let status_path = folder.path().join("status");
    let directory = folder.path().to_str().unwrap().to_owned();
    for backing in [["-M", &shm.name], ["-m", &directory]] {
        let own = tempfile::tempdir().unwrap();
        let flags = [&["-l", "64K", "--status-socket", status_path.to_str().unwrap()], &backing[..]].concat();
        let server = ServerProcess::start_in(own, command(), &flags);
        let memory = File::from(server.member(1).memory.unwrap());
        memory.set_len(96 << 10).unwrap();
        assert!(server.client().is_refused(), "{backing:?}");
        let lines = server.log_until("a client was refused: the memory was resized: from 64K to 96K");
        let line =
            lines.iter().find(|line| line.contains("was enlarged from 64K to 96K")).expect("the log has the change");
        let table = command().args(["status", "--status-socket"]).arg(&status_path).output().unwrap();
        assert!(String::from_utf8(table.stdout).unwrap().contains("ENLARGED to 96K: new clients are refused"));
        let command_line = line.split('`').nth(1).unwrap();
        assert!(Command::new("sh").args(["-c", command_line]).status().unwrap().success(), "{command_line}");
        server.member(1);
        server.log_until("has its size of 64K again");
        assert!(server.stop(Signal::TERM).0.success());
    }
}
