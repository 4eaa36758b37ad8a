//! A guest that runs commands, with their output and exit status.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::Pid;

use super::terminal::Terminal;
use super::xtask;

/// A shell without echo, prompt and job messages. dd copies its input, because cat would use sendfile, which delays a line
/// until the next one.
const QUIET_SHELL: &str = "stty -echo; echo quiet-$((0)); dd bs=4k | sh 2>&1";
/// A shell function that waits until a process blocks in the driver.
const BLOCKED: &str = "blocked() { until grep -q uio_read /proc/$1/wchan; do sleep 0.1; done; }";

/// A guest with a shell, and the host peer's command line.
pub(crate) struct ShellGuest {
    terminal: Terminal,
    host_peer: Vec<String>,
    commands: u32,
    folder: tempfile::TempDir,
}

/// The output and the exit status of a command in the guest.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) status: i32,
    pub(crate) lines: Vec<String>,
}

impl ShellGuest {
    /// Starts `cargo xtask vm` with these arguments. A wrapper in PATH adds arguments for QEMU.
    pub(crate) fn start(words: &str, qemu_arguments: &str) -> Self {
        Self::start_after("", words, qemu_arguments)
    }

    /// The same with leading QEMU arguments, whose devices get the lowest addresses.
    pub(crate) fn start_after(first_arguments: &str, words: &str, qemu_arguments: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = std::env::var("PATH").unwrap();
        let qemu = folder.path().join("qemu-system-x86_64");
        let script =
            format!("#!/bin/sh\nPATH='{path}' exec qemu-system-x86_64 {first_arguments} \"$@\" {qemu_arguments}\n");
        fs::write(&qemu, script).unwrap();
        fs::set_permissions(&qemu, fs::Permissions::from_mode(0o755)).unwrap();

        let mut command = xtask(&format!("vm --accel tcg {words}"));
        command.env("PATH", format!("{}:{path}", folder.path().display()));
        let terminal = Terminal::start(command);
        let reach = terminal.expect("read the memory:");
        let host_peer = reach.split_whitespace().skip_while(|word| !word.contains("host-peer")).take(3);
        let host_peer = host_peer.map(str::to_owned).collect();
        terminal.expect("guest is up");
        let mut guest = Self { terminal, host_peer, commands: 0, folder };
        guest.terminal.type_line(QUIET_SHELL);
        // Earlier input would go to the first shell's line editor.
        guest.terminal.expect("quiet-0");
        guest.ok(BLOCKED);
        // Kernel messages stay in the kernel's log.
        guest.ok("dmesg -n 1");
        guest
    }

    /// Runs a command line.
    #[track_caller]
    pub(crate) fn run(&mut self, command: &str) -> CommandOutput {
        self.commands += 1;
        let n = self.commands;
        self.terminal.type_line(&format!("{command}\necho end-$(({n}))- $?"));
        let mut lines = self.terminal.until(&format!("end-{n}-"));
        let end = lines.pop().unwrap();
        let status = end.split_whitespace().last().unwrap().parse().unwrap();
        CommandOutput { status, lines }
    }

    /// Runs a command line that must succeed.
    #[track_caller]
    pub(crate) fn ok(&mut self, command: &str) -> CommandOutput {
        let output = self.run(command);
        assert_eq!(output.status, 0, "{command}: {output:?}");
        output
    }

    /// Runs a command in QEMU's monitor.
    pub(crate) fn monitor(&mut self, command: &str) {
        self.terminal.type_line(&format!("\x01c{command}"));
        self.terminal.type_line("\x01c");
    }

    /// Waits for a line on the terminal that contains `text`.
    #[track_caller]
    pub(crate) fn expect(&self, text: &str) {
        self.terminal.expect(text);
    }

    /// The host peer's command line for this guest's server.
    pub(crate) fn host_peer(&self) -> Command {
        let mut command = Command::new(&self.host_peer[0]);
        command.args(&self.host_peer[1..]);
        command
    }

    /// The guest's QEMU.
    pub(crate) fn qemu(&self) -> Pid {
        self.terminal.child_called("qemu-system-x86")
    }

    /// The server's socket.
    pub(crate) fn socket(&self) -> &Path {
        Path::new(&self.host_peer[2])
    }

    /// Copies `uio-client` into the guest.
    pub(crate) fn take_uio_client(&mut self) {
        self.take_program("uio_client.c", "uio-client");
    }

    /// Compiles a C program and copies it into the guest as `/bin/NAME`, through the shared memory.
    pub(crate) fn take_program(&mut self, source: &str, name: &str) {
        let program = self.compile(source, name);
        let len = fs::metadata(&program).unwrap().len();
        let mut write = self.host_peer();
        write.args(["write", "0"]).stdin(fs::File::open(&program).unwrap());
        assert!(write.stdout(Stdio::null()).status().unwrap().success());
        self.ok(&format!("guest-uio read 0 {len} > /bin/{name} && chmod +x /bin/{name}"));
    }

    /// Static, because the guest lacks libraries.
    fn compile(&self, source: &str, name: &str) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm").join(source);
        let program = self.folder.path().join(name);
        let mut compiler = Command::new("cc");
        compiler.args(["-Wall", "-Werror", "-Os", "-s", "-static", "-o"]).arg(&program).arg(source);
        assert!(compiler.status().unwrap().success());
        program
    }

    /// Plugs in an ivshmem-doorbell device of this guest's server, behind the root port `slot`.
    pub(crate) fn plug_doorbell(&mut self, id: &str, slot: &str, vectors: u16) {
        let socket = self.socket().display().to_string();
        self.monitor(&format!("chardev-add socket,id={id},path={socket}"));
        self.monitor(&format!("device_add ivshmem-doorbell,id={id},chardev={id},vectors={vectors},bus={slot}"));
    }

    /// Plugs in an ivshmem-plain device with 1 MiB, behind the root port `slot`.
    pub(crate) fn plug_plain(&mut self, id: &str, slot: &str) {
        self.monitor(&format!("object_add memory-backend-ram,id={id},size=1M,share=on"));
        self.monitor(&format!("device_add ivshmem-plain,id={id}-device,memdev={id},bus={slot}"));
    }

    /// Waits until the guest's kernel has a PCI device at this address.
    #[track_caller]
    pub(crate) fn await_device(&mut self, address: &str) {
        self.ok(&format!("until [ -e /sys/bus/pci/devices/{address} ]; do sleep 0.1; done"));
    }

    /// Powers the guest off. Fails if its kernel has logged an error.
    #[track_caller]
    pub(crate) fn end(mut self) {
        let faults = self.run("dmesg | grep -E 'BUG|WARNING:|Call Trace|Oops'");
        assert_eq!((faults.status, faults.lines), (1, Vec::new()));
        assert_eq!(self.terminal.end(), Some(0));
    }
}

impl CommandOutput {
    #[track_caller]
    pub(crate) fn assert_contains(&self, text: &str) {
        assert!(self.lines.iter().any(|line| line.contains(text)), "no {text:?} in {self:?}");
    }
}
