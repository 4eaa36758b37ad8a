//! What can go wrong while the guest is made ready, by meaning. Each text says what was tried and what to do next.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use super::excerpt::FailedOutput;

/// Why the guest is not ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProvisionError {
    /// The machine lacks packages and nobody allowed to install them.
    #[error("missing on this machine: {what}\ninstall with:  {command}\n(or run this again with --yes)")]
    PackagesMissing {
        /// What is missing and what it is for.
        what: String,
        /// The command that brings it.
        command: String,
    },

    /// `apt-get install` ran and failed.
    #[error("`{command}` ended with {status}; read its messages above, cure the cause and run it by hand")]
    InstallFailed {
        /// The command as it was run.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },

    /// No apt: the kernel cannot be fetched and packages cannot be installed.
    #[error(
        "this machine has no apt-get, so {what} cannot be had from Debian's packages; install the equivalent by hand, \
         and name a kernel with --kernel FILE --modules DIR"
    )]
    NoApt {
        /// What was wanted.
        what: String,
    },

    /// The guest is an x86-64 one, and so are its packages.
    #[error("the guest needs an x86-64 host; this one is {0}")]
    Architecture(&'static str),

    /// No package of that name in any package list, not even in fresh ones.
    #[error(
        "no package {package} in the package lists; check the sources with `apt-cache policy`, \
         or name a kernel with --kernel FILE --modules DIR"
    )]
    NoSuchPackage {
        /// The package that was looked for.
        package: String,
    },

    /// A download failed with the system's package lists and with fresh ones.
    #[error(
        "downloading {packages} failed:\n{output}\ncheck the network (and the proxy in /etc/apt), then run this again; \
         it goes on where it stopped"
    )]
    Download {
        /// The packages.
        packages: String,
        /// apt's messages.
        output: String,
    },

    /// A command that should always work did not.
    #[error("{what}: `{command}` ended with {status}:\n{output}")]
    CommandFailed {
        /// What it was run for.
        what: String,
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// Its messages.
        output: FailedOutput,
    },

    /// A command could not even be started.
    #[error("`{command}` cannot be started")]
    Spawn {
        /// The command line.
        command: String,
        /// Why.
        #[source]
        source: io::Error,
    },

    /// A file or folder could not be read or written.
    #[error("cannot {action} {path}")]
    Io {
        /// read, write, create …
        action: &'static str,
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },

    /// The kernel image or its modules are not what they should be.
    #[error("{path}: {why}")]
    Kernel {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and the cure.
        why: String,
    },

    /// A module that the guest cannot do without.
    #[error(
        "{tree} has no module {name}, and the kernel has it not built in; take a kernel with CONFIG_UIO=m or =y, \
         or leave out --kernel"
    )]
    ModuleMissing {
        /// The module's name.
        name: String,
        /// The folder that was searched.
        tree: PathBuf,
    },

    /// No headers to build our module against.
    #[error(
        "{path} has no kernel headers, so uio_pci_msix cannot be built for it; \
         install the headers of kernel {release}, or leave out --kernel"
    )]
    NoHeaders {
        /// Where they were expected.
        path: PathBuf,
        /// The kernel's release.
        release: String,
    },

    /// make splits its arguments at blanks and its targets at colons.
    #[error(
        "{0}: kernel modules cannot be built below a path with a blank or a colon; move the checkout or set CARGO_TARGET_DIR"
    )]
    AwkwardPath(PathBuf),

    /// The compiler refused the module.
    #[error("building {name} for kernel {release} failed:\n{output}")]
    ModuleBuild {
        /// The module's name.
        name: &'static str,
        /// The kernel's release.
        release: String,
        /// The messages of make and the compiler.
        output: FailedOutput,
    },

    /// A guest binary that needs a dynamic loader does not run as init.
    #[error(
        "{path} is not a static x86-64 program ({why}), so it cannot be the guest's init; is libc.a installed (package libc6-dev)?"
    )]
    NotStatic {
        /// The binary.
        path: PathBuf,
        /// What gave it away.
        why: &'static str,
    },
}

impl ProvisionError {
    /// The process's exit status: 3 when the machine lacks something, else 1.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::PackagesMissing { .. }
            | Self::InstallFailed { .. }
            | Self::NoApt { .. }
            | Self::Architecture(_)
            | Self::NoSuchPackage { .. }
            | Self::Download { .. }
            | Self::NoHeaders { .. } => 3,
            Self::CommandFailed { .. }
            | Self::Spawn { .. }
            | Self::Io { .. }
            | Self::Kernel { .. }
            | Self::ModuleMissing { .. }
            | Self::AwkwardPath(_)
            | Self::ModuleBuild { .. }
            | Self::NotStatic { .. } => 1,
        }
    }

    /// For `map_err`: names the action and the path that an I/O error lacks.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}
