//! Builds a kernel module for the guest's kernel, in a folder of the cache: the sources stay clean.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Kernel, headers};
use crate::provision::cache::{Cache, Key};
use crate::provision::command;
use crate::provision::error::ProvisionError;
use crate::provision::host::distro::{HostDistro, Tool};
use crate::provision::host_packages::{self, InstallPolicy};

/// A module's sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The module's name.
    pub(crate) name: &'static str,
    /// Where its sources are.
    pub(crate) folder: PathBuf,
    /// Which of the files there a build needs.
    pub(crate) files: &'static [&'static str],
}

impl Source {
    /// What a build makes.
    fn object(&self) -> String {
        format!("{}.ko", self.name)
    }
}

/// To be changed whenever the same sources would give another object.
const RECIPE: &str = "make W=1 CONFIG_DEBUG_INFO_BTF_MODULES=; strip --strip-debug";
/// Leaves BTF out of the module. Headers that hold a vmlinux (Debian 13) would have it made by pahole, a program that
/// nothing else here needs, and only BPF programs would read it.
const WITHOUT_BTF: &str = "CONFIG_DEBUG_INFO_BTF_MODULES=";
/// Variables that steer a kernel build; those of the user are about other builds.
const KBUILD_VARIABLES: [&str; 8] =
    ["ARCH", "CROSS_COMPILE", "KBUILD_OUTPUT", "KBUILD_EXTMOD", "KCFLAGS", "LLVM", "MAKEFLAGS", "MAKELEVEL"];

/// Our module's sources in the workspace.
pub(crate) fn own(workspace: &Path) -> Source {
    Source { name: "uio_pci_msix", folder: workspace.join("guest-uio/kmod"), files: &["Kbuild", "uio_pci_msix.c"] }
}

/// The module for `kernel`, built if sources or kernel are new.
pub(crate) fn build(
    cache: &Cache,
    source: &Source,
    kernel: &Kernel,
    headers: &Path,
    (distro, consent): (&dyn HostDistro, InstallPolicy),
    progress: &dyn Fn(&str),
) -> Result<Vec<u8>, ProvisionError> {
    let mut key = Key::default().with(RECIPE).with(source.name).with(&kernel.release).with(&kernel.version);
    for name in source.files {
        let path = source.folder.join(name);
        key = key.with(name).with(fs::read(&path).map_err(ProvisionError::io("read", &path))?);
    }
    let folder = cache.folder(&format!("module-{}", key.hex()), |partial| {
        // The headers name the compiler that built the kernel; that one, and no other, is certain to fit.
        if let Some(compiler) = compiler(headers) {
            host_packages::ensure(distro, &[Tool::Compiler(compiler)], consent, progress)?;
        }
        progress(&format!("building {} for kernel {}", source.name, kernel.release));
        compile(source, &kernel.release, headers, partial)
    })?;
    let path = folder.join(source.object());
    fs::read(&path).map_err(ProvisionError::io("read", &path))
}

fn compile(source: &Source, release: &str, headers: &Path, partial: &Path) -> Result<(), ProvisionError> {
    for path in [headers, partial] {
        if path.to_string_lossy().contains([' ', '\t', ':']) {
            return Err(ProvisionError::AwkwardPath(path.to_path_buf()));
        }
    }
    let scratch = partial.join("build");
    fs::create_dir(&scratch).map_err(ProvisionError::io("create", &scratch))?;
    for name in source.files {
        let target = scratch.join(name);
        fs::copy(source.folder.join(name), &target).map_err(ProvisionError::io("write", &target))?;
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
        return Err(ProvisionError::ModuleBuild { name: source.name, release: release.to_owned(), output });
    }

    // Debug information is 95 % of the object, and it would be loaded under emulation.
    let object = partial.join(source.object());
    let mut strip = Command::new("strip");
    strip.arg("--strip-debug").arg("-o").arg(&object).arg(scratch.join(source.object()));
    command::run("stripping the kernel module", &mut strip)?;
    let kept = partial.join("build.log");
    fs::write(&kept, log).map_err(ProvisionError::io("write", &kept))?;
    fs::remove_dir_all(&relocated).map_err(ProvisionError::io("remove", &relocated))?;
    fs::remove_dir_all(&scratch).map_err(ProvisionError::io("remove", &scratch))
}

/// `gcc-12`, where Debian's headers say so.
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
    fn the_compiler_is_the_one_that_the_headers_name() {
        let debian_12 = "override ARCH = x86\noverride KERNELRELEASE = 6.1.0-56-amd64\nCCACHE = ccache\n\
            CC = $(if $(DEBIAN_KERNEL_USE_CCACHE),$(CCACHE)) $(CROSS_COMPILE)gcc-12\nifneq (a,b)\nendif\n";
        assert_eq!(named_compiler(debian_12).as_deref(), Some("gcc-12"));
        assert_eq!(named_compiler("CC = clang\n"), None);
        assert_eq!(named_compiler("ARCH = gcc-12\n"), None);
    }
}
