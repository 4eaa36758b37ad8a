//! Unpacks the kernels and QEMU versions of the package lists for the reach test.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::files::PathContext as _;
use crate::provision::cache::{Cache, KEPT, Key};
use crate::provision::host::repository::{DOWNLOADS, Emulator, EmulatorSource, Repository};
use crate::provision::host_packages::InstallPolicy;
use crate::provision::kernel::custom::CustomKernel;
use crate::provision::kernel::packaged;
use crate::provision::{host, host_packages};
use crate::workspace::cache_folder;

/// Prefix of cache entries with QEMU packages.
const OFFERED: &str = "offered-qemu-";
/// The directory of the wrapper, within such an entry.
const WRAPPER: &str = "wrapper";
/// The wrapped program.
const PROGRAM: &str = "qemu-system-x86_64";

/// The kernels and QEMU versions of the package lists.
#[derive(Debug)]
pub(crate) struct Offers {
    /// Releases with their kernels.
    pub(crate) kernels: Vec<(String, CustomKernel)>,
    /// Versions with the directory to prepend to PATH; `None`: the installed version.
    pub(crate) emulators: Vec<(String, Option<PathBuf>)>,
    /// QEMU versions that cannot run on this host, with the reason.
    pub(crate) left_out: Vec<(String, String)>,
}

/// Unpacks all kernels and QEMU versions of the package lists.
pub(crate) fn offers(policy: InstallPolicy, progress: &dyn Fn(&str)) -> anyhow::Result<Offers> {
    let distro = host::detect();
    host_packages::ensure(&distro, &host_packages::requirements(&distro), policy, progress)?;
    let cache = Cache::open(&cache_folder(), progress)?;
    let mut offers = Offers { kernels: Vec::new(), emulators: Vec::new(), left_out: Vec::new() };
    let mut repository = distro.repository(&cache, "kernels and QEMU versions", "use Debian or Ubuntu")?;
    progress("looking up kernels and QEMU versions in the package lists");
    for packages in repository.kernels(progress)? {
        let custom = packaged::from_offer(&cache, &packages, repository.as_mut(), progress)?;
        offers.kernels.push((packages.release, custom));
    }
    for Emulator { version, source } in repository.emulators()? {
        match source {
            EmulatorSource::Installed => offers.emulators.push((version, None)),
            EmulatorSource::LeftOut(why) => offers.left_out.push((version, why)),
            EmulatorSource::Packages(packages) => {
                let folder = unpack(&cache, &packages, repository.as_mut(), progress)?;
                offers.emulators.push((version, Some(folder)));
            }
        }
    }
    drop(repository);
    cache.discard(DOWNLOADS)?;
    // This run may use more than are usually kept.
    cache.keep_newest(packaged::OFFERED, KEPT.max(offers.kernels.len()))?;
    cache.keep_newest(OFFERED, KEPT.max(offers.emulators.len()))?;
    Ok(offers)
}

/// Unpacks a QEMU and returns the directory of its wrapper.
fn unpack(
    cache: &Cache,
    packages: &[String],
    repository: &mut dyn Repository,
    progress: &dyn Fn(&str),
) -> anyhow::Result<PathBuf> {
    let key = packages.iter().fold(Key::default(), Key::with);
    let name = format!("{OFFERED}{}", key.hex());
    let root = cache.folder(&name, |partial| {
        progress(&format!("downloading {}", packages.join(" ")));
        repository.fetch(packages, partial, progress)?;
        // The wrapper contains the final path.
        write_wrapper(partial, &cache.path(&name))
    })?;
    Ok(root.join(WRAPPER))
}

fn write_wrapper(partial: &Path, root: &Path) -> anyhow::Result<()> {
    let folder = partial.join(WRAPPER);
    fs::create_dir(&folder).at("create", &folder)?;
    let path = folder.join(PROGRAM);
    fs::write(&path, wrapper(root)).at("write", &path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).at("change", &path)
}

/// A script that runs the QEMU below `root` with its libraries, modules and firmware, otherwise with the host's.
fn wrapper(root: &Path) -> String {
    let root = crate::process::child::shell_quote(root.as_os_str());
    format!(
        "#!/bin/sh
root={root}
lib=$root/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH=\"$lib:$root/lib/x86_64-linux-gnu${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\"
export QEMU_MODULE_DIR=\"$lib/qemu\"
exec \"$root/usr/bin/{PROGRAM}\" -L \"$root/usr/share/qemu\" -L \"$root/usr/share/seabios\" \\
    -L /usr/share/qemu -L /usr/share/seabios \"$@\"
"
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn wrapper_runs_the_unpacked_program_with_its_libraries() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a folder");
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        let program = root.join("usr/bin").join(PROGRAM);
        fs::write(&program, "#!/bin/sh\necho \"$LD_LIBRARY_PATH\"; for word; do echo \"$word\"; done\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        write_wrapper(&root, &root).unwrap();
        let mut command = Command::new(root.join(WRAPPER).join(PROGRAM));
        let output = command.args(["-append", "two words"]).env_remove("LD_LIBRARY_PATH").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let root = root.display();
        assert!(text.starts_with(&format!("{root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu\n-L\n{root}/")));
        assert!(text.ends_with("-append\ntwo words\n"), "{text}");
    }
}
