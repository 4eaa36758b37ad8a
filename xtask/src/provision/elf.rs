//! Reads ELF files: whether a program is static, and whether a kernel has a PVH entry.
//!
//! Layout: System V ABI, AMD64 supplement; the note: Linux `include/xen/interface/elfnote.h`, `XEN_ELFNOTE_PHYS32_ENTRY`.

const MAGIC: &[u8] = b"\x7fELF\x02\x01";
const MACHINE_X86_64: u64 = 62;
const PT_DYNAMIC_LOADER: u64 = 3;
const PT_NOTE: u64 = 4;
const NOTE_PHYS32_ENTRY: u64 = 18;

/// The reason why `file` is not a static x86-64 program; `None` if it is. A static-pie has a dynamic section, but no loader.
pub(crate) fn not_static(file: &[u8]) -> Option<&'static str> {
    match segments(file) {
        None => Some("not a 64-bit ELF file for x86-64"),
        Some(segments) if segments.iter().any(|segment| segment.kind == PT_DYNAMIC_LOADER) => {
            Some("it names a dynamic loader")
        }
        Some(_) => None,
    }
}

/// Whether `file` is a kernel that QEMU can enter directly (PVH): an ELF file with an entry point in a Xen note.
pub(crate) fn has_pvh_entry(file: &[u8]) -> bool {
    segments(file).is_some_and(|segments| {
        segments.iter().filter(|segment| segment.kind == PT_NOTE).any(|segment| {
            segment
                .content(file)
                .is_some_and(|notes| Notes(notes).any(|(name, kind)| name == b"Xen\0" && kind == NOTE_PHYS32_ENTRY))
        })
    })
}

/// The release in the kernel's boot message.
pub(crate) fn linux_release(file: &[u8]) -> Option<String> {
    const BANNER: &[u8] = b"Linux version ";
    let start = file.windows(BANNER.len()).position(|bytes| bytes == BANNER)? + BANNER.len();
    let text = file.get(start..file.len().min(start + 64))?;
    let release = std::str::from_utf8(text.split(|byte| *byte == b' ').next()?).ok()?;
    release.starts_with(|first: char| first.is_ascii_digit()).then(|| release.to_owned())
}

struct Segment {
    kind: u64,
    offset: u64,
    length: u64,
}

impl Segment {
    fn content<'a>(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        let start = usize::try_from(self.offset).ok()?;
        file.get(start..start.checked_add(usize::try_from(self.length).ok()?)?)
    }
}

/// The program headers; `None` for anything but a complete x86-64 ELF file.
fn segments(file: &[u8]) -> Option<Vec<Segment>> {
    if !file.starts_with(MAGIC) || number(file, 18, 2)? != MACHINE_X86_64 {
        return None;
    }
    let table = usize::try_from(number(file, 32, 8)?).ok()?;
    let size = usize::try_from(number(file, 54, 2)?).ok()?;
    let count = usize::try_from(number(file, 56, 2)?).ok()?;
    (0..count)
        .map(|index| {
            let at = table.checked_add(index.checked_mul(size)?)?;
            Some(Segment {
                kind: number(file, at, 4)?,
                offset: number(file, at.checked_add(8)?, 8)?,
                length: number(file, at.checked_add(32)?, 8)?,
            })
        })
        .collect()
}

/// Name and type of each note.
struct Notes<'a>(&'a [u8]);

impl<'a> Iterator for Notes<'a> {
    type Item = (&'a [u8], u64);

    fn next(&mut self) -> Option<Self::Item> {
        let name_length = usize::try_from(number(self.0, 0, 4)?).ok()?;
        let content_length = usize::try_from(number(self.0, 4, 4)?).ok()?;
        let kind = number(self.0, 8, 4)?;
        let name = self.0.get(12..12usize.checked_add(name_length)?)?;
        let next = 12 + name_length.next_multiple_of(4) + content_length.next_multiple_of(4);
        self.0 = self.0.get(next..).unwrap_or(&[]);
        Some((name, kind))
    }
}

/// A little-endian number of `length` bytes at `at`.
pub(crate) fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one program header of `kind` and its `content`.
    fn elf(kind: u32, content: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 64 + 56];
        file[..6].copy_from_slice(MAGIC);
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
        for file in [&b"#!/bin/sh\n"[..], b"", MAGIC, &whole[..100]] {
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
