//! The list of erasures: which requests were erased, in a second place (SPEC `[R-4]`).
//!
//! A backup made before an erasure still has what was erased. So each erasure is in this list, on disk, before the keys of the
//! request are destroyed, and nothing is put back without it. It is a text that people can read; each change
//! writes it anew under another name first. Start with [`ErasureList::complete`].

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use comity_core::ids::{NetworkName, PartyCode, RequestId, Time};

use super::{BackupFault, chain::write_whole};
use crate::{
    disk::Disk,
    time::{parse_rfc3339, rfc3339},
};

const FORMAT: &str = "comity-erasures v1";
/// Two hundred thousand erasures.
const LIST_MAX: u64 = 32 << 20;

/// One erasure as the list has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// The request.
    pub request: RequestId,
    /// On which ground of the rules.
    pub ground: String,
    /// When it was begun.
    pub begun: Time,
}

/// The list at its place, for one Party of one network. Clones share it: one of them writes at a time.
#[derive(Clone)]
pub struct ErasureList {
    disk: Disk,
    path: PathBuf,
    party: PartyCode,
    network: NetworkName,
    one: Arc<Mutex<()>>,
}

impl ErasureList {
    /// The list at this path. Nothing is read yet.
    #[must_use]
    pub fn at(path: &Path, party: &PartyCode, network: &NetworkName) -> Self {
        Self::on(&Disk::default(), path, party, network)
    }

    pub(super) fn on(disk: &Disk, path: &Path, party: &PartyCode, network: &NetworkName) -> Self {
        Self {
            disk: disk.clone(),
            path: path.to_owned(),
            party: party.clone(),
            network: network.clone(),
            one: Arc::default(),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What it says, in its order; nothing if there is none.
    ///
    /// # Errors
    /// When it cannot be read or is not such a list of this Party.
    pub fn read(&self) -> Result<Option<Vec<Erased>>, BackupFault> {
        let bad = |why: String| BackupFault::NoErasureList { path: self.path.clone(), why };
        let text = match fs::metadata(&self.path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(bad(fault.to_string())),
            Ok(found) if found.len() > LIST_MAX => return Err(bad("it is longer than any such list".to_owned())),
            Ok(_) => fs::read_to_string(&self.path).map_err(|fault| bad(fault.to_string()))?,
        };
        self.parse(&text).map(Some).map_err(bad)
    }

    /// Reads the text of a list.
    pub(super) fn parse(&self, text: &str) -> Result<Vec<Erased>, String> {
        let whole = text.strip_suffix('\n').ok_or("its last line has no end: it was cut off")?;
        let mut lines = whole.split('\n');
        let head = lines.next().unwrap_or_default();
        if head != self.head() {
            return Err(format!("its first line must be: {}", self.head()));
        }
        let line = |(number, line): (usize, &str)| {
            erased(line).ok_or_else(|| format!("line {} must be a request, a ground and a time", number + 2))
        };
        lines.enumerate().map(line).collect()
    }

    /// Adds those that are not in it yet, the earliest first; makes it if there is none and none is known to have been there,
    /// as where its disk is not mounted. On disk when this returns.
    ///
    /// # Errors
    /// When it cannot be read or written; it is then as it was.
    pub fn complete(
        &self,
        is_known: bool,
        all: impl FnOnce() -> Result<Vec<Erased>, BackupFault>,
    ) -> Result<Vec<Erased>, BackupFault> {
        // What is erased is asked under the lock, so that nobody writes a list of before over one of after.
        let _one_at_a_time = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let all = all()?;
        let found = self.read()?;
        let is_new = found.is_none();
        if is_new && is_known {
            let why = "it was there before, and is gone: mount its disk, or bring it back".to_owned();
            return Err(BackupFault::NoErasureList { path: self.path.clone(), why });
        }
        let mut list = found.unwrap_or_default();
        let known: BTreeSet<RequestId> = list.iter().map(|one| one.request).collect();
        let mut fresh: Vec<Erased> = all.iter().filter(|one| !known.contains(&one.request)).cloned().collect();
        if is_new || !fresh.is_empty() {
            fresh.sort_by_key(|one| one.begun);
            list.append(&mut fresh);
            write_whole(&self.disk, &self.path, self.text(&list).as_bytes())?;
        }
        Ok(list)
    }

    /// The text of a list.
    pub(super) fn text(&self, list: &[Erased]) -> String {
        let mut text = self.head() + "\n";
        for one in list {
            writeln!(text, "{} {} {}", one.request, one.ground, rfc3339(one.begun)).expect("a text takes all");
        }
        text
    }

    fn head(&self) -> String {
        format!("{FORMAT} {} {}", self.party, self.network)
    }
}

fn erased(line: &str) -> Option<Erased> {
    let mut words = line.split(' ');
    let (request, ground, begun) = (words.next()?, words.next()?, words.next()?);
    let found = Erased { request: request.parse().ok()?, ground: ground.to_owned(), begun: parse_rfc3339(begun).ok()? };
    let is_code = comity_core::rules::Code::parse(ground).is_some();
    (words.next().is_none() && is_code).then_some(found)
}
