//! Reads a bzImage: its release and the uncompressed kernel.
//!
//! Fields: Linux `Documentation/arch/x86/boot.rst`. QEMU can start the uncompressed kernel through its PVH entry. That skips the
//! decompressor, which takes 2.5 s under emulation, more than the rest of the boot.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::files::PathContext as _;
use crate::provision::elf::has_pvh_entry;

const SETUP_SECTORS: usize = 0x1f1;
const HEADER_MAGIC: usize = 0x202;
const KERNEL_VERSION: usize = 0x20e;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;

/// Compression formats: the first bytes and the program that decompresses.
const COMPRESSIONS: [(&[u8], &str); 4] =
    [(b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x1f\x8b", "gzip"), (b"\x02\x21\x4c\x18", "lz4")];

/// The release in the header (`uname -r`); `None` if `image` is not a bzImage.
pub(crate) fn release(image: &[u8]) -> Option<String> {
    if image.get(HEADER_MAGIC..HEADER_MAGIC + 4)? != b"HdrS" {
        return None;
    }
    let text = image.get(0x200 + field(image, KERNEL_VERSION, 2)?..)?;
    let end = text.iter().position(|byte| *byte == b' ' || *byte == 0)?;
    let release = std::str::from_utf8(&text[..end]).ok()?;
    (!release.is_empty()).then(|| release.to_owned())
}

/// The uncompressed kernel, if it has a PVH entry. With `None`, QEMU boots the bzImage, only slower.
pub(crate) fn direct_kernel(image: &[u8], scratch: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(payload) = payload(image) else { return Ok(None) };
    let Some((_, program)) = COMPRESSIONS.iter().find(|(magic, _)| payload.starts_with(magic)) else {
        return Ok(None);
    };
    let mut packed = tempfile::NamedTempFile::new_in(scratch).at("create", scratch)?;
    packed.write_all(payload).at("write", packed.path())?;
    let input = packed.reopen().at("read", packed.path())?;
    // The exit status is ignored: four bytes with the size follow the data, and some programs report them as an error.
    let output = Command::new(program).arg("-dc").stdin(input).stderr(Stdio::null()).output();
    Ok(output.ok().map(|output| output.stdout).filter(|kernel| has_pvh_entry(kernel)))
}

fn payload(image: &[u8]) -> Option<&[u8]> {
    release(image)?;
    // Zero means four, for compatibility with very old loaders.
    let sectors = match field(image, SETUP_SECTORS, 1)? {
        0 => 4,
        sectors => sectors,
    };
    let start = (sectors + 1) * 512 + field(image, PAYLOAD_OFFSET, 4)?;
    image.get(start..start + field(image, PAYLOAD_LENGTH, 4)?)
}

/// The little-endian number of `length` bytes at `at`.
fn field(image: &[u8], at: usize, length: usize) -> Option<usize> {
    let bytes = image.get(at..at + length)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

/// A minimal bzImage of `release` without a kernel.
#[cfg(test)]
pub(crate) fn sample(release: &str) -> Vec<u8> {
    let mut image = vec![0; 0x400];
    image[HEADER_MAGIC..HEADER_MAGIC + 4].copy_from_slice(b"HdrS");
    image[KERNEL_VERSION + 1] = 1;
    image[0x300..0x300 + release.len()].copy_from_slice(release.as_bytes());
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Vec<u8> {
        let mut image = vec![0; 0x1000];
        image[HEADER_MAGIC..HEADER_MAGIC + 4].copy_from_slice(b"HdrS");
        image[KERNEL_VERSION + 1] = 1;
        let text = b"6.1.0-56-amd64 (debian-kernel@lists.debian.org) #1 SMP\0";
        image[0x300..0x300 + text.len()].copy_from_slice(text);
        image[SETUP_SECTORS] = 3;
        image[PAYLOAD_OFFSET] = 16;
        image[PAYLOAD_LENGTH] = 8;
        image[0x810..0x818].copy_from_slice(b"contents");
        image
    }

    #[test]
    fn release_is_the_first_word_of_the_version() {
        assert_eq!(release(&image()).as_deref(), Some("6.1.0-56-amd64"));
    }

    #[test]
    fn other_files_have_no_release() {
        assert_eq!(release(b"\x7fELF"), None);
        assert_eq!(release(&[0; 0x1000]), None);
        assert_eq!(release(&image()[..0x300]), None);
    }

    #[test]
    fn payload_follows_the_setup_sectors() {
        assert_eq!(payload(&image()), Some(&b"contents"[..]));
        assert_eq!(payload(&image()[..0x814]), None);
    }

    #[test]
    fn ignores_unknown_compression() {
        let scratch = tempfile::tempdir().unwrap();
        assert_eq!(direct_kernel(&image(), scratch.path()).unwrap(), None);
    }
}
