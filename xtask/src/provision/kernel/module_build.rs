//! Builds a kernel module for the guest's kernel, in the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

use super::{Kernel, headers};
use crate::files::PathContext as _;
use crate::provision::cache::{Cache, Key};
use crate::provision::command;
use crate::provision::host::{HostDistro, tool::Tool};
use crate::provision::host_packages::{self, InstallPolicy};

/// A module's sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModuleSource {
    /// The module's name.
    pub(crate) name: &'static str,
    /// The directory of its sources.
    pub(crate) folder: PathBuf,
    /// The files that a build needs.
    pub(crate) files: &'static [&'static str],
}

impl ModuleSource {
    /// The name of the object file.
    fn object(&self) -> String {
        format!("{}.ko", self.name)
    }
}

/// Part of the cache key. Change it whenever the build commands change.
const RECIPE: &str = "make W=1 CONFIG_DEBUG_INFO_BTF_MODULES=; strip --strip-debug";
/// Omits BTF, which only BPF programs read. With headers that contain vmlinux (Debian 13), the build would need pahole.
const WITHOUT_BTF: &str = "CONFIG_DEBUG_INFO_BTF_MODULES=";
/// Variables that affect a kernel build. The user's values concern other builds.
const KBUILD_VARIABLES: [&str; 8] =
    ["ARCH", "CROSS_COMPILE", "KBUILD_OUTPUT", "KBUILD_EXTMOD", "KCFLAGS", "LLVM", "MAKEFLAGS", "MAKELEVEL"];

/// The sources of `uio_pci_msix` in the workspace.
pub(crate) fn uio_pci_msix(workspace: &Path) -> ModuleSource {
    ModuleSource {
        name: "uio_pci_msix",
        folder: workspace.join("guest-uio/kmod"),
        files: &["Kbuild", "uio_pci_msix.c"],
    }
}

/// The module for `kernel`, from the cache or built.
pub(crate) fn build(
    cache: &Cache,
    source: &ModuleSource,
    kernel: &Kernel,
    headers: &Path,
    (distro, policy): (&HostDistro, InstallPolicy),
    progress: &dyn Fn(&str),
) -> anyhow::Result<Vec<u8>> {
    let mut key = Key::default().with(RECIPE).with(source.name).with(&kernel.release).with(&kernel.version);
    for name in source.files {
        let path = source.folder.join(name);
        key = key.with(name).with(fs::read(&path).at("read", &path)?);
    }
    let folder = cache.folder(&format!("module-{}", key.hex()), |partial| {
        // Uses the compiler that built the kernel, which the headers name.
        if let Some(compiler) = compiler(headers) {
            host_packages::ensure(distro, &[Tool::compiler(compiler)], policy, progress)?;
        }
        progress(&format!("building {} for kernel {}", source.name, kernel.release));
        compile(source, &kernel.release, headers, partial)
    })?;
    let path = folder.join(source.object());
    fs::read(&path).at("read", &path)
}

fn compile(source: &ModuleSource, release: &str, headers: &Path, partial: &Path) -> anyhow::Result<()> {
    for path in [headers, partial] {
        if path.to_string_lossy().contains([' ', '\t', ':']) {
            // make splits its arguments at blanks and its targets at colons.
            let path = path.display();
            bail!(
                "{path}: make cannot build kernel modules in a path with a blank or a colon; move the checkout or set \
                 CARGO_TARGET_DIR"
            );
        }
    }
    let scratch = partial.join("build");
    fs::create_dir(&scratch).at("create", &scratch)?;
    for name in source.files {
        let target = scratch.join(name);
        fs::copy(source.folder.join(name), &target).at("write", &target)?;
    }

    let mut make = Command::new("make");
    let relocated = partial.join("headers");
    headers::relocate(headers, &relocated)?;
    make.arg("-C").arg(&relocated).arg(format!("M={}", scratch.display())).args(["W=1", WITHOUT_BTF, "modules"]);
    make.env("LC_ALL", "C");
    for variable in KBUILD_VARIABLES {
        make.env_remove(variable);
    }
    let output = command::output(&mut make)?;
    let log = command::both_streams(&output);
    if !output.status.success() {
        let output = command::failed_output(&make, &log);
        bail!("building {} for kernel {release} failed:\n{output}", source.name);
    }

    // Debug information is 95 % of the object and slows down loading under emulation.
    let object = partial.join(source.object());
    let mut strip = Command::new("strip");
    strip.arg("--strip-debug").arg("-o").arg(&object).arg(scratch.join(source.object()));
    command::run("stripping the kernel module", &mut strip)?;
    let kept = partial.join("build.log");
    fs::write(&kept, log).at("write", &kept)?;
    fs::remove_dir_all(&relocated).at("remove", &relocated)?;
    fs::remove_dir_all(&scratch).at("remove", &scratch)
}

/// The compiler's name, such as `gcc-12`, from Debian's headers.
fn compiler(headers: &Path) -> Option<String> {
    let variables = fs::read_to_string(headers.join(".kernelvariables")).ok()?;
    named_compiler(&variables)
}

fn named_compiler(variables: &str) -> Option<String> {
    let line = variables.lines().find(|line| line.split('=').next().is_some_and(|name| name.trim().ends_with("CC")))?;
    let version = line.rsplit_once("gcc-")?.1;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then(|| format!("gcc-{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiler_comes_from_the_headers() {
        let debian_12 = "override ARCH = x86\noverride KERNELRELEASE = 6.1.0-56-amd64\nCCACHE = ccache\n\
            CC = $(if $(DEBIAN_KERNEL_USE_CCACHE),$(CCACHE)) $(CROSS_COMPILE)gcc-12\nifneq (a,b)\nendif\n";
        assert_eq!(named_compiler(debian_12).as_deref(), Some("gcc-12"));
        assert_eq!(named_compiler("CC = clang\n"), None);
        assert_eq!(named_compiler("ARCH = gcc-12\n"), None);
    }
}
