//! The `ocsf-file` receiver: OCSF events, one JSON object a line.
//!
//! Enters: a message's id and stored bytes. Leaves: its lines at the end of the file, on disk before that is said.
//! Must never: leave half a line before a whole one, write what the end of the file holds already, or change a file
//! that is none of JSON lines.
//!
//! The file is locked while it is looked at and written, so that `doctor --send-test` beside a running daemon spoils
//! nothing. It is looked at again at each message: whoever moves it away gets a new one.

use std::{
    collections::{HashSet, VecDeque},
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, TryLockError},
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::{task::spawn_blocking, time::timeout};

use super::Outcome;
use crate::domain::ocsf;

/// What is read of the end of a file to see what it holds already, bytes.
const TAIL: u64 = 1 << 20;
/// Lines that are remembered.
const REMEMBERED: usize = 10_000;
/// How long a write may take before the message waits.
const LIMIT: Duration = Duration::from_secs(15);
/// How long another process may hold the lock: tries, and the pause between two.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// One file.
#[derive(Debug)]
pub(super) struct OcsfFile {
    path: PathBuf,
    journal: Arc<Mutex<Journal>>,
}

impl OcsfFile {
    /// Nothing is opened yet.
    pub(super) fn new(path: PathBuf, rotate_bytes: u64, keep: u32) -> Self {
        let journal =
            Journal { path: path.clone(), rotate_bytes, keep, file: None, recent: Recent::default() };
        Self { path, journal: Arc::new(Mutex::new(journal)) }
    }

    /// Appends the lines of a message that the end of the file does not hold yet. Returns within 15 seconds.
    pub(super) async fn deliver(&self, id: &str, body: &[u8]) -> Outcome {
        let path = self.path.display();
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return Outcome::Dead { reason: "rejected", detail: format!("message {id:?} is not JSON") };
        };
        let lines: Vec<String> =
            ocsf::of_message(&body, id).iter().map(|event| format!("{event}\n")).collect();
        let journal = Arc::clone(&self.journal);
        let work = spawn_blocking(move || match journal.try_lock() {
            Ok(mut journal) => journal.append(&lines),
            // What another thread left behind when it panicked is looked at anew.
            Err(TryLockError::Poisoned(journal)) => {
                let mut journal = journal.into_inner();
                journal.file = None;
                journal.append(&lines)
            }
            Err(TryLockError::WouldBlock) => Err(io::Error::other("an earlier write has not ended yet")),
        });
        let detail = match timeout(LIMIT, work).await {
            Ok(Ok(Ok(()))) => return Outcome::Delivered,
            Ok(Ok(Err(error))) => format!("{path} cannot be written: {error}"),
            Ok(Err(_)) => format!("{path} cannot be written: the attempt ended unexpectedly"),
            Err(_) => format!("{path} was not written within {} s", LIMIT.as_secs()),
        };
        Outcome::Retry { reason: "storage", detail, after: None }
    }
}

/// The file and what is known of it.
#[derive(Debug)]
struct Journal {
    path: PathBuf,
    rotate_bytes: u64,
    keep: u32,
    file: Option<File>,
    recent: Recent,
}

/// The lines written last, by their hash.
#[derive(Debug, Default)]
struct Recent {
    known: HashSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl Recent {
    fn holds(&self, line: &str) -> bool {
        self.known.contains(&hash(line.trim_end_matches('\n').as_bytes()))
    }

    fn note(&mut self, line: &[u8]) {
        let hash = hash(line);
        if self.known.insert(hash) {
            self.order.push_back(hash);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

fn hash(line: &[u8]) -> [u8; 32] {
    Sha256::digest(line).into()
}

impl Journal {
    /// Appends `lines`, all of them or (as far as the file tells) none, and waits until they are on disk.
    fn append(&mut self, lines: &[String]) -> io::Result<()> {
        let mut file = self.open()?;
        let new: String = lines.iter().filter(|line| !self.recent.holds(line)).map(String::as_str).collect();
        if new.is_empty() {
            // They may have been written by somebody who died before they were safe.
            file.sync_data()?;
            flock(&file, FlockOperation::Unlock)?;
            self.file = Some(file);
            return Ok(());
        }
        let mut length = file.metadata()?.len();
        if length > 0 && length + new.len() as u64 > self.rotate_bytes {
            self.rotate()?;
            file = self.create()?;
            length = 0;
        }
        let written = file.write_all(new.as_bytes()).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // Whatever part arrived is taken back; if that fails too, it is mended when the file is opened again.
            let _ = file.set_len(length);
            return Err(error);
        }
        for line in new.lines() {
            self.recent.note(line.as_bytes());
        }
        // Whoever waits for the lock need not wait for the next message.
        flock(&file, FlockOperation::Unlock)?;
        self.file = Some(file);
        Ok(())
    }

    /// The file at the path, locked, its last line whole. The one from before if it is still that.
    fn open(&mut self) -> io::Result<File> {
        if let Some(file) = self.file.take() {
            lock(&file)?;
            if self.is_at_path(&file)? && ends_whole(&file)? {
                return Ok(file);
            }
        }
        let file = self.create()?;
        self.learn(&file)?;
        Ok(file)
    }

    /// Opens the file, made if it is not there, and locks it.
    fn create(&self) -> io::Result<File> {
        // Another process may set the file aside between opening and locking.
        for _ in 0..LOCK_TRIES {
            let is_new = !self.path.exists();
            let file =
                OpenOptions::new().create(true).read(true).append(true).mode(0o640).open(&self.path)?;
            if is_new {
                sync_folder(&self.path)?;
            }
            if !file.metadata()?.is_file() {
                return Err(io::Error::other("it is not a regular file"));
            }
            lock(&file)?;
            if self.is_at_path(&file)? {
                return Ok(file);
            }
        }
        Err(io::Error::other("it is replaced again and again"))
    }

    fn is_at_path(&self, file: &File) -> io::Result<bool> {
        let ours = file.metadata()?;
        match fs::metadata(&self.path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Mends the end of the file, and remembers the lines there (and of the one set aside last, if it is short).
    fn learn(&mut self, mut file: &File) -> io::Result<()> {
        let mut first = [0; 1];
        file.seek(SeekFrom::Start(0))?;
        if file.read(&mut first)? == 1 && first != *b"{" {
            return Err(io::Error::other("it holds something else than JSON lines; name another file"));
        }
        let tail = tail(file)?;
        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let length = file.metadata()?.len();
        if whole < tail.len() {
            if whole == 0 && length > tail.len() as u64 {
                return Err(io::Error::other("its last line has no end; name another file"));
            }
            // Half a line: whoever wrote it died, and its message comes again.
            file.set_len(length - (tail.len() - whole) as u64)?;
            file.sync_all()?;
        }
        if length < TAIL
            && let Ok(before) = File::open(aside(&self.path, 1))
        {
            self.note_all(&self::tail(&before)?);
        }
        self.note_all(&tail[..whole]);
        Ok(())
    }

    fn note_all(&mut self, text: &[u8]) {
        text.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .for_each(|line| self.recent.note(line));
    }

    /// Sets the file aside: `name` becomes `name.1`, that `name.2`, and what is beyond `keep` goes.
    fn rotate(&self) -> io::Result<()> {
        let gone = |result: io::Result<()>| match result {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        };
        gone(fs::remove_file(aside(&self.path, self.keep)))?;
        for number in (1..self.keep).rev() {
            gone(fs::rename(aside(&self.path, number), aside(&self.path, number + 1)))?;
        }
        fs::rename(&self.path, aside(&self.path, 1))?;
        sync_folder(&self.path)
    }
}

/// Locks a file; fails if another process holds it for too long.
fn lock(file: &File) -> io::Result<()> {
    for _ in 0..LOCK_TRIES {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::other("another process holds its lock"))
}

/// Whether nothing, or a whole line, is at the end.
fn ends_whole(mut file: &File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::Start(length - 1))?;
    let mut last = [0; 1];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// The end of a file.
fn tail(mut file: &File) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    Ok(tail)
}

fn aside(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// A new name is only safe once its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
