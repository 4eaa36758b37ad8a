//! Writes to memory that another process may shrink or open with `O_APPEND`, or that does not support pwrite(2)
//! (hugetlbfs).
//!
//! A store beyond the end of the file raises SIGBUS. The same copy by the kernel returns EFAULT
//! ([process_vm_writev(2)](https://man7.org/linux/man-pages/man2/process_vm_writev.2.html)).

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;

use memmap2::MmapOptions;
use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_writev};
use nix::unistd::Pid;

/// Writes all bytes at `offset` of a file of `size` bytes; [`Errno::EFAULT`] if the file is shorter now.
pub(super) fn write(file: &OwnedFd, size: u64, offset: u64, from: &[u8]) -> io::Result<()> {
    let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    let len = usize::try_from(size).map_err(too_large)?;
    let offset = usize::try_from(offset).map_err(too_large)?;
    if from.is_empty() {
        return Ok(());
    }
    // Maps the whole file: an offset would have to be a multiple of the page size, which is unknown for hugetlbfs.
    let mapping = MmapOptions::new().len(len).map_raw(file)?;
    let mut done = 0;
    while done < from.len() {
        let rest = &from[done..];
        let to = RemoteIoVec { base: mapping.as_mut_ptr().addr() + offset + done, len: rest.len() };
        match process_vm_writev(Pid::this(), &[IoSlice::new(rest)], &[to]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => done += count,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    const SIZE: u64 = 64 << 10;

    fn memory() -> (OwnedFd, File) {
        let file = memfd::MemfdOptions::new().create("unsealed").unwrap().into_file();
        file.set_len(SIZE).unwrap();
        (file.try_clone().unwrap().into(), file)
    }

    #[test]
    fn writes_up_to_the_last_byte() {
        let (fd, file) = memory();
        let bytes: Vec<u8> = (0..=250).cycle().take(20_000).collect();
        for offset in [0, 4095, SIZE - 20_000] {
            write(&fd, SIZE, offset, &bytes).unwrap();
            let mut seen = vec![0; bytes.len()];
            file.read_exact_at(&mut seen, offset).unwrap();
            assert!(seen == bytes, "at {offset}");
        }
    }

    #[test]
    fn truncated_memory_is_an_error_not_a_signal() {
        let (fd, file) = memory();
        file.set_len(SIZE / 2).unwrap();
        for offset in [SIZE / 2, SIZE / 2 - 8, SIZE - 16] {
            let error = write(&fd, SIZE, offset, &[1; 16]).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::EFAULT as i32), "at {offset}: {error}");
        }
        assert_eq!(file.metadata().unwrap().len(), SIZE / 2);
    }
}
