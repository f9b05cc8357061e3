//! Numbers that tell the processes of one host apart in the names of their queues.
//!
//! The queue manager of oslo.messaging counts in a file. A count that only grows leaves a queue behind at every
//! restart, and two processes that count alike take each other's messages. So a number is held by a lock: nobody
//! else has it meanwhile, and whoever starts after us, however we ended, has it again.

use std::{
    env,
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// More workers of one name than one host has.
const LAST: u32 = 10_000;

/// A number, ours until this is dropped or the process ends.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) number: u32,
    _lock: File,
}

impl Slot {
    /// The lowest number of this name that no process of the host holds.
    pub(super) fn take(name: &str) -> io::Result<Self> {
        let directory = directory();
        let digest = Sha256::digest(name);
        // Any name is to make a file name of its own.
        let digest = digest.iter().take(16).fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        for number in 1..=LAST {
            let path = directory.join(format!("mesos-conductor.{digest}.{number}.lock"));
            match lock(&path) {
                Ok(Some(lock)) => return Ok(Self { number, _lock: lock }),
                Ok(None) => {}
                // It is another user's.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied && path.exists() => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other(format!("{LAST} processes of this host have a queue of this name")))
    }
}

/// Memory that the processes of a host share, where there is such; a restart of the host empties it.
fn directory() -> PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { shared.to_owned() } else { env::temp_dir() }
}

fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
