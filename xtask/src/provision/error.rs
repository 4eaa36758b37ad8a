//! What can go wrong while the guest is made ready, by meaning. Each text says what was tried and what to do next.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::provision::output_excerpt::FailedOutput;

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

    /// Missing programs whose packages are not known on this distribution.
    #[error("missing on this machine: {what}\ninstall them with the package manager of {distro}, then run this again")]
    NoInstaller {
        /// What is missing and what it is for.
        what: String,
        /// The distribution's name.
        distro: String,
    },

    /// A distribution whose packages this program cannot download.
    #[error("{what} cannot be downloaded on {distro}: {hint}")]
    NoRepository {
        /// What was wanted.
        what: String,
        /// The distribution's name.
        distro: String,
        /// What to do.
        hint: &'static str,
    },

    /// A packed file, and no program that unpacks it.
    #[error("{path} is packed, and this machine has no {program}: {install}")]
    NoUnpacker {
        /// The file.
        path: PathBuf,
        /// The program that unpacks it.
        program: &'static str,
        /// How to install it.
        install: String,
    },

    /// Arguments that break a rule.
    #[error("{0}")]
    Usage(String),

    /// The guest is an x86-64 one, and so are its packages.
    #[error("the guest needs an x86-64 host; this one is {0}")]
    Architecture(&'static str),

    /// No package of that name in any package list, not even in fresh ones.
    #[error(
        "no package {package} in the package lists; check the sources of the package manager, \
         or name a kernel with --kernel FILE --modules DIR"
    )]
    NoSuchPackage {
        /// The package that was looked for.
        package: String,
    },

    /// A download failed with the system's package lists and with fresh ones.
    #[error(
        "downloading {packages} failed:\n{output}\ncheck the network and {check}, then run this again; \
         it continues where it stopped"
    )]
    Download {
        /// The packages.
        packages: String,
        /// The package manager's messages.
        output: String,
        /// What else to look at.
        check: &'static str,
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

    /// No headers to build a module against.
    #[error(
        "{modules} has no kernel headers, which building {module} needs: {install}; --driver vfio-pci and, for polling \
         only, --driver uio_pci_generic need none"
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
    /// The process's exit status: 2 for wrong usage, 3 when the machine lacks something, otherwise 1.
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

    /// For `map_err`: names the action and the path that an I/O error lacks.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}
