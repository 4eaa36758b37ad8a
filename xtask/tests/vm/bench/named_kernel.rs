//! Custom kernels (`--kernel FILE --modules DIR`): hosts without apt, kernels without headers.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::bench_with;

const SHORT: &str = "--workload pingpong --mode poll";

/// Image and modules of the kernel that `cargo xtask test` unpacks before these tests.
fn unpacked() -> (PathBuf, PathBuf) {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("vm").join("kernel");
    let text = fs::read(root.join("kernel.json")).expect("an earlier run has unpacked a kernel");
    let description: Value = serde_json::from_slice(&text).unwrap();
    let path = |key: &str| root.join(description[key].as_str().unwrap());
    (path("image"), path("modules"))
}

fn name(command: &mut Command, image: &Path, modules: &Path) {
    command.arg("--kernel").arg(image).arg("--modules").arg(modules);
}

/// Whether a program belongs to a package manager or unpacks packages.
fn is_of_packages(program: &str, with_xz: bool) -> bool {
    let unpackers: &[&str] = if with_xz { &["ar", "cpio"] } else { &["ar", "cpio", "xz", "unxz", "xzcat"] };
    ["apt", "dpkg", "dnf", "rpm"].iter().any(|manager| program.starts_with(manager)) || unpackers.contains(&program)
}

/// A directory with links to all programs of PATH, except those of package managers.
fn programs_without_packages(with_xz: bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for place in std::env::split_paths(&std::env::var_os("PATH").unwrap()) {
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if !is_of_packages(&name.to_string_lossy(), with_xz) && !folder.path().join(&name).is_symlink() {
                symlink(entry.path(), folder.path().join(&name)).unwrap();
            }
        }
    }
    folder
}

#[test]
#[ignore = "starts a guest"]
fn custom_kernel_needs_no_package_manager() {
    let (image, modules) = unpacked();
    // Debian 13 compresses its modules with xz, which the host then needs.
    let packed = modules.join("kernel/drivers/uio/uio.ko.xz").exists();
    let programs = programs_without_packages(packed);
    assert!(!programs.path().join("apt-get").exists() && programs.path().join("gcc").exists());
    let ended = bench_with(&format!("{SHORT} --driver uio_pci_msix"), |command| {
        name(command, &image, &modules);
        command.env("PATH", programs.path());
    })
    .end();
    ended.assert_status(0);
    assert_eq!(ended.result()["environment"]["driver"], "uio_pci_msix");
}

#[test]
#[ignore = "starts a guest"]
fn kernel_without_headers_supports_polling() {
    let (image, modules) = unpacked();
    let folder = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").args([&modules, folder.path()]).status().unwrap();
    assert!(copied.success());
    let modules = folder.path().join(modules.file_name().unwrap());
    for link in ["build", "source"] {
        let _ = fs::remove_file(modules.join(link));
    }
    let ended = bench_with(SHORT, |command| name(command, &image, &modules)).end();
    ended.assert_status(0);
    ended.assert_stderr_contains("lacks headers: uio_pci_msix is not available");
    assert_eq!(ended.result()["environment"]["driver"], "uio_pci_generic");

    let refused = bench_with("--workload pingpong --mode irq", |command| name(command, &image, &modules)).end();
    refused.assert_status(3);
    refused.assert_stderr_contains("lacks kernel headers");
}
