//! The tools that a run needs, with the packages that provide them.

use std::borrow::Cow;

/// A program or a library that a run needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tool {
    /// The program's or the library's name.
    pub(crate) name: Cow<'static, str>,
    /// For messages.
    pub(crate) purpose: &'static str,
    /// Whether it is a library instead of a program.
    pub(crate) is_library: bool,
    /// Debian's package.
    pub(super) debian: Cow<'static, str>,
    /// Fedora's package.
    pub(super) fedora: &'static str,
}

const BUILDS: &str = "builds the guest's kernel module";

/// Tools for any guest.
pub(crate) const GUEST: [Tool; 3] = [
    Tool::new("qemu-system-x86_64", "runs the guest", "qemu-system-x86", "qemu-system-x86-core"),
    Tool::new("cc", "links the guest's programs", "gcc", "gcc"),
    Tool::library("libc.a", "makes the guest's program static", "libc6-dev", "glibc-static"),
];
/// Tools for building a kernel module.
pub(crate) const MODULE_BUILD: [Tool; 4] = [
    Tool::new("gcc", BUILDS, "gcc", "gcc"),
    Tool::new("make", BUILDS, "make", "make"),
    Tool::new("strip", BUILDS, "binutils", "binutils"),
    Tool::library("libelf.so.1", "checks the guest's kernel module (objtool)", "libelf1", "elfutils-libelf"),
];
/// For tests.
pub(crate) const STRACE: Tool = Tool::new("strace", "counts the initiator's system calls", "strace", "strace");

impl Tool {
    const fn new(name: &'static str, purpose: &'static str, debian: &'static str, fedora: &'static str) -> Self {
        let (name, debian) = (Cow::Borrowed(name), Cow::Borrowed(debian));
        Self { name, purpose, is_library: false, debian, fedora }
    }

    const fn library(name: &'static str, purpose: &'static str, debian: &'static str, fedora: &'static str) -> Self {
        let (name, debian) = (Cow::Borrowed(name), Cow::Borrowed(debian));
        Self { name, purpose, is_library: true, debian, fedora }
    }

    /// A compiler by name, such as `gcc-12`: the one that built the guest's kernel. Fedora has one compiler, which also
    /// built its kernels.
    pub(crate) fn compiler(name: String) -> Self {
        let debian = name.clone().into();
        Self { name: name.into(), debian, ..Self::new("", "the compiler of the guest's kernel", "", "gcc") }
    }

    /// Unpacks files: `xz`, `zstd` or `gzip`.
    pub(crate) fn unpacker(name: &'static str) -> Self {
        let debian = if name == "xz" { "xz-utils" } else { name };
        Self::new(name, "unpacks the guest's kernel and its modules", debian, name)
    }

    /// A program of the distribution's own package manager.
    pub(super) const fn manager(name: &'static str, package: &'static str) -> Self {
        Self::new(name, "fetches and unpacks the guest's kernel", package, package)
    }
}
