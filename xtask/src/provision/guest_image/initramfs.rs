//! Writes the guest's file system: a cpio archive (newc) that the kernel unpacks into memory.
//!
//! It is not compressed, because decompression under emulation takes longer than loading.
//!
//! | path | content |
//! |---|---|
//! | /init | the guest program |
//! | /bin/guest-uio | a link to it |
//! | /lib/modules/NAME.ko | kernel modules |
//! | /lib/modules/order | their file names, one per line, in load order |
//! | /bin/busybox, /bin/sh … | with a shell only |
//! | /dev/console | output of init before /dev is mounted |

use std::io::{self, Cursor};

use cpio::newc::Builder;

use crate::provision::guest_image::busybox::Busybox;
use crate::provision::kernel::module_tree::Module;

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const DATA: u32 = 0o100_644;
const LINK: u32 = 0o120_777;
const CONSOLE: u32 = 0o020_600;
/// Directories, some of them mount points.
const FOLDERS: [&str; 8] = ["bin", "dev", "lib", "lib/modules", "proc", "run", "sys", "tmp"];

/// The content of the archive.
pub(crate) struct Content<'a> {
    /// The program that becomes PID 1.
    pub(crate) init: &'a [u8],
    /// Kernel modules, in load order.
    pub(crate) modules: &'a [Module],
    /// A shell.
    pub(crate) busybox: Option<&'a Busybox>,
}

/// Writes the archive. The same content gives the same bytes.
pub(crate) fn archive(content: &Content<'_>) -> io::Result<Vec<u8>> {
    let builder = |path: &str, mode: u32| Builder::new(path).nlink(1).mode(mode);
    let entry = |path: &str, mode: u32, content: &[u8]| (builder(path, mode), Cursor::new(content.to_vec()));
    let mut entries: Vec<_> = FOLDERS.iter().map(|folder| entry(folder, DIRECTORY, b"")).collect();
    // Character device 5, 1, which the kernel opens for init before anything is mounted.
    entries.push((builder("dev/console", CONSOLE).rdev_major(5).rdev_minor(1), Cursor::default()));
    entries.push(entry("init", PROGRAM, content.init));
    entries.push(entry("bin/guest-uio", LINK, b"/init"));

    let mut order = String::new();
    for module in content.modules {
        let file = format!("{}.ko", module.name);
        entries.push(entry(&format!("lib/modules/{file}"), DATA, &module.object));
        order.push_str(&file);
        order.push('\n');
    }
    entries.push(entry("lib/modules/order", DATA, order.as_bytes()));

    if let Some(busybox) = content.busybox {
        entries.push(entry("bin/busybox", PROGRAM, &busybox.program));
        let applets = busybox.applets.iter().filter(|applet| *applet != "busybox");
        entries.extend(applets.map(|applet| entry(&format!("bin/{applet}"), LINK, b"busybox")));
    }
    cpio::write_cpio(entries.into_iter(), Vec::new())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use cpio::newc::Reader;

    use super::*;

    /// Mode and content by path.
    fn read(bytes: &[u8]) -> HashMap<String, (u32, Vec<u8>)> {
        let mut entries = HashMap::new();
        let mut rest = bytes;
        loop {
            let reader = Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                return entries;
            }
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            let mut content = Vec::new();
            rest = reader.to_writer(&mut content).unwrap();
            assert!(entries.insert(name, (mode, content)).is_none(), "an entry twice");
        }
    }

    fn module(name: &str) -> Module {
        Module { name: name.to_owned(), object: format!("object of {name}").into_bytes() }
    }

    #[test]
    fn archive_contains_all_files() {
        let modules = [module("uio"), module("uio_pci_msix")];
        let busybox = Busybox { program: b"shell".to_vec(), applets: vec!["busybox".into(), "sh".into()] };
        let content = Content { init: b"program", modules: &modules, busybox: Some(&busybox) };
        let entries = read(&archive(&content).unwrap());

        assert_eq!(entries["init"], (PROGRAM, b"program".to_vec()));
        assert_eq!(entries["bin/guest-uio"], (LINK, b"/init".to_vec()));
        assert_eq!(entries["lib/modules/uio_pci_msix.ko"], (DATA, b"object of uio_pci_msix".to_vec()));
        assert_eq!(entries["lib/modules/order"].1, b"uio.ko\nuio_pci_msix.ko\n");
        assert_eq!(entries["bin/busybox"], (PROGRAM, b"shell".to_vec()));
        assert_eq!(entries["bin/sh"], (LINK, b"busybox".to_vec()));
        for folder in FOLDERS {
            assert_eq!(entries[folder].0, DIRECTORY);
        }
    }

    #[test]
    fn console_has_the_device_number() {
        let bytes = archive(&Content { init: b"", modules: &[], busybox: None }).unwrap();
        let mut rest = &bytes[..];
        loop {
            let reader = Reader::new(rest).unwrap();
            let entry = reader.entry();
            assert!(!entry.is_trailer(), "no console");
            if entry.name() == "dev/console" {
                assert_eq!((entry.mode(), entry.rdev_major(), entry.rdev_minor()), (CONSOLE, 5, 1));
                return;
            }
            rest = reader.finish().unwrap();
        }
    }

    #[test]
    fn archive_is_reproducible_and_without_shell() {
        let content = Content { init: b"program", modules: &[module("uio")], busybox: None };
        let bytes = archive(&content).unwrap();
        assert!(!read(&bytes).contains_key("bin/busybox"));
        assert_eq!(archive(&content).unwrap(), bytes);
    }
}
