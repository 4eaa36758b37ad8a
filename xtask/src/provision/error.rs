//! Errors of provisioning. Each message has a hint.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::provision::output_excerpt::FailedOutput;

/// An error of provisioning.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProvisionError {
    /// Packages are missing and may not be installed.
    #[error("missing on this host: {what}\ninstall with:  {command}\n(or run again with --yes)")]
    PackagesMissing {
        /// The missing tools and their purposes.
        what: String,
        /// The command that installs them.
        command: String,
    },

    /// `apt-get install` ran and failed.
    #[error("`{command}` ended with {status}; see its messages above, fix the cause and run it by hand")]
    InstallFailed {
        /// The command line.
        command: String,
        /// The exit status.
        status: ExitStatus,
    },

    /// Missing programs whose packages are not known on this distribution.
    #[error("missing on this host: {what}\ninstall them with the package manager of {distro}, then run again")]
    NoInstaller {
        /// The missing tools and their purposes.
        what: String,
        /// The distribution's name.
        distro: String,
    },

    /// A distribution whose packages this program cannot download.
    #[error("{what} cannot be downloaded on {distro}: {hint}")]
    NoRepository {
        /// The wanted package or file.
        what: String,
        /// The distribution's name.
        distro: String,
        /// A hint.
        hint: &'static str,
    },

    /// The program that decompresses a file is missing.
    #[error("{path} needs {program} to be decompressed: {install}")]
    NoUnpacker {
        /// The file.
        path: PathBuf,
        /// The program.
        program: &'static str,
        /// How to install it.
        install: String,
    },

    /// Arguments that break a rule.
    #[error("{0}")]
    Usage(String),

    /// The guest and its packages need x86-64.
    #[error("the guest needs an x86-64 host, not {0}")]
    Architecture(&'static str),

    /// The package is missing in the package lists, even after an update.
    #[error(
        "package {package} is not in the package lists; check the sources of the package manager, \
         or specify a kernel with --kernel FILE --modules DIR"
    )]
    NoSuchPackage {
        /// The package.
        package: String,
    },

    /// A download failed, even after an update of the package lists.
    #[error(
        "downloading {packages} failed:\n{output}\ncheck the network and {check}, then run again; \
         finished downloads are kept"
    )]
    Download {
        /// The packages.
        packages: String,
        /// The package manager's messages.
        output: String,
        /// What else to check.
        check: &'static str,
    },

    /// A command failed.
    #[error("{what}: `{command}` ended with {status}:\n{output}")]
    CommandFailed {
        /// Its purpose.
        what: String,
        /// The command line.
        command: String,
        /// The exit status.
        status: ExitStatus,
        /// Its output.
        output: FailedOutput,
    },

    /// A command could not be started.
    #[error("cannot start `{command}`")]
    Spawn {
        /// The command line.
        command: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },

    /// A file or directory could not be read or written.
    #[error("cannot {action} {path}")]
    Io {
        /// read, write, create …
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },

    /// The kernel image or its modules are invalid.
    #[error("{path}: {why}")]
    Kernel {
        /// The file or directory.
        path: PathBuf,
        /// The reason, with a hint.
        why: String,
    },

    /// A required module is missing.
    #[error(
        "module {name} is neither in {tree} nor built into the kernel; use a kernel with CONFIG_UIO=m or =y, or omit \
         --kernel"
    )]
    ModuleMissing {
        /// The module's name.
        name: String,
        /// The searched directory.
        tree: PathBuf,
    },

    /// Kernel headers are missing.
    #[error(
        "{modules} lacks kernel headers, which building {module} needs: {install}; or use --driver vfio-pci or, for \
         polling only, --driver uio_pci_generic"
    )]
    NoHeaders {
        /// The modules.
        modules: PathBuf,
        /// The module that needs them.
        module: String,
        /// How to install them.
        install: String,
    },

    /// make splits its arguments at blanks and its targets at colons.
    #[error(
        "{0}: make cannot build kernel modules in a path with a blank or a colon; move the checkout or set CARGO_TARGET_DIR"
    )]
    AwkwardPath(PathBuf),

    /// Building the module failed.
    #[error("building {name} for kernel {release} failed:\n{output}")]
    ModuleBuild {
        /// The module's name.
        name: &'static str,
        /// The kernel's release.
        release: String,
        /// The messages of make and the compiler.
        output: FailedOutput,
    },

    /// A program for the guest is not static.
    #[error(
        "{path} is not a static x86-64 program ({why}), so it cannot be the guest's init; is libc.a installed (package libc6-dev)?"
    )]
    NotStatic {
        /// The binary.
        path: PathBuf,
        /// The reason.
        why: &'static str,
    },
}

impl ProvisionError {
    /// The exit status: 2 for wrong usage, 3 for a missing dependency, otherwise 1.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::PackagesMissing { .. }
            | Self::InstallFailed { .. }
            | Self::NoInstaller { .. }
            | Self::NoRepository { .. }
            | Self::NoUnpacker { .. }
            | Self::Architecture(_)
            | Self::NoSuchPackage { .. }
            | Self::Download { .. }
            | Self::NoHeaders { .. } => 3,
            Self::Usage(_) => 2,
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

    /// For `map_err`: adds action and path to an I/O error.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}
