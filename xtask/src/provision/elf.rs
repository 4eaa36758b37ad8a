//! Reads ELF files: whether a program is static, and whether a kernel has a PVH entry.

use std::path::Path;

use anyhow::bail;
use object::LittleEndian;
use object::elf::{EM_X86_64, FileHeader64, NoteType, PT_INTERP, ProgramHeader64};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

/// The type of the note with the PVH entry (Linux `include/xen/interface/elfnote.h`, `XEN_ELFNOTE_PHYS32_ENTRY`).
const NOTE_PHYS32_ENTRY: NoteType = NoteType(18);

/// Refuses a program for the guest that is not static.
pub(crate) fn check_static(path: &Path, file: &[u8]) -> anyhow::Result<()> {
    let Some(why) = not_static(file) else { return Ok(()) };
    bail!(
        "{} is not a static x86-64 program ({why}), so it cannot be the guest's init; is libc.a installed (package libc6-dev)?",
        path.display()
    )
}

/// The reason why `file` is not a static x86-64 program; `None` if it is. A static-pie has a dynamic section, but no loader.
fn not_static(file: &[u8]) -> Option<&'static str> {
    match segments(file) {
        None => Some("not a 64-bit ELF file for x86-64"),
        Some(segments) if segments.iter().any(|segment| segment.p_type(LittleEndian) == PT_INTERP) => {
            Some("it names a dynamic loader")
        }
        Some(_) => None,
    }
}

/// Whether `file` is a kernel that QEMU can enter directly (PVH): an ELF file with an entry point in a Xen note.
pub(crate) fn has_pvh_entry(file: &[u8]) -> bool {
    let notes = |segment: &ProgramHeader64<LittleEndian>| segment.notes(LittleEndian, file).ok().flatten();
    let mut notes = segments(file).unwrap_or_default().iter().filter_map(notes).flatten().flatten();
    notes.any(|note| note.name() == b"Xen" && note.n_type(LittleEndian) == NOTE_PHYS32_ENTRY)
}

/// The program headers; `None` for anything but a complete x86-64 ELF file.
fn segments(file: &[u8]) -> Option<&[ProgramHeader64<LittleEndian>]> {
    let header = FileHeader64::<LittleEndian>::parse(file).ok()?;
    let segments = header.program_headers(header.endian().ok()?, file).ok()?;
    (header.e_machine(LittleEndian) == EM_X86_64).then_some(segments)
}

/// The release in the kernel's boot message.
pub(crate) fn linux_release(file: &[u8]) -> Option<String> {
    const BANNER: &[u8] = b"Linux version ";
    let start = file.windows(BANNER.len()).position(|bytes| bytes == BANNER)? + BANNER.len();
    let text = file.get(start..file.len().min(start + 64))?;
    let release = std::str::from_utf8(text.split(|byte| *byte == b' ').next()?).ok()?;
    release.starts_with(|first: char| first.is_ascii_digit()).then(|| release.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one program header of `kind` and its `content`.
    fn elf(kind: u32, content: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 64 + 56];
        file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        file[18] = 62;
        file[32] = 64;
        file[54] = 56;
        file[56] = 1;
        file[64..68].copy_from_slice(&kind.to_le_bytes());
        file[72] = 120;
        file[96] = u8::try_from(content.len()).unwrap();
        file.extend_from_slice(content);
        file
    }

    fn note(name: &[u8], kind: u8) -> Vec<u8> {
        let mut note = vec![4, 0, 0, 0, 3, 0, 0, 0, kind, 0, 0, 0];
        note.extend_from_slice(name);
        note.extend_from_slice(&[1, 2, 3, 0]);
        note
    }

    #[test]
    fn program_with_a_loader_is_not_static() {
        assert_eq!(not_static(&elf(3, b"/lib64/ld\0")), Some("it names a dynamic loader"));
        assert_eq!(not_static(&elf(2, b"")), None);
    }

    #[test]
    fn this_test_is_a_dynamic_program() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(not_static(&own), Some("it names a dynamic loader"));
        assert!(!has_pvh_entry(&own));
    }

    #[test]
    fn scripts_and_truncated_files_are_not_static() {
        let whole = elf(2, b"");
        for file in [&b"#!/bin/sh\n"[..], b"", &whole[..7], &whole[..100]] {
            assert_eq!(not_static(file), Some("not a 64-bit ELF file for x86-64"));
        }
    }

    #[test]
    fn finds_the_entry_note_after_others() {
        let notes = [note(b"Xen\0", 6), note(b"Xen\0", 18)].concat();
        assert!(has_pvh_entry(&elf(4, &notes)));
    }

    #[test]
    fn ignores_other_and_truncated_notes() {
        assert!(!has_pvh_entry(&elf(4, &note(b"GNU\0", 18))));
        assert!(!has_pvh_entry(&elf(4, &note(b"Xen\0", 18)[..10])));
        assert!(!has_pvh_entry(&elf(4, &[0xff; 40])));
    }
}
