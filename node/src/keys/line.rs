//! Where the generations of one name lie, and how one comes and goes. What they hold is for others to know.
//!
//! The first generation lies in the key folder itself (`record-ed25519.pem`), every later one in a folder within
//! (`record-2/record-2-ed25519.pem`), which appears whole or not at all. A generation that was destroyed leaves a
//! public note (`record-1.gone`): it comes first, so that a crash between leaves files that no start reads, and no
//! number is ever given twice.

use std::{fs, path::Path};

use super::{
    KeyFault,
    file::Content,
    folder::{self, Slot},
};

/// The generations of one name.
pub(super) struct Line {
    name: &'static str,
    /// What stands behind that name in the name of each file of a generation.
    endings: Vec<String>,
    content: Content,
}

impl Line {
    pub(super) const fn new(name: &'static str, endings: Vec<String>, content: Content) -> Self {
        Self { name, endings, content }
    }

    /// The place of each file of a generation.
    pub(super) fn slots(&self, number: u32) -> Vec<Slot> {
        let stem = if number == 1 { self.name.to_owned() } else { self.within(number) };
        let slot = |ending: &String| Slot {
            within: (number > 1).then(|| self.within(number)),
            name: format!("{stem}{ending}"),
            content: self.content,
        };
        self.endings.iter().map(slot).collect()
    }

    /// The generations that lie in the folder, oldest first.
    pub(super) fn numbers(&self, dir: &Path) -> Result<Vec<u32>, KeyFault> {
        let mut numbers = vec![1];
        numbers.extend(self.later(dir, "")?);
        let gone = self.later(dir, GONE)?;
        numbers.retain(|number| !gone.contains(number));
        numbers.sort_unstable();
        if numbers.is_empty() {
            return Err(KeyFault::Missing { path: dir.join(self.within(1)) });
        }
        Ok(numbers)
    }

    /// A number that was never used; the caller holds the folder ([`folder::hold`]) until it is.
    pub(super) fn fresh(&self, dir: &Path) -> Result<u32, KeyFault> {
        self.sweep(dir)?;
        let used = self.later(dir, "")?.into_iter().chain(self.later(dir, GONE)?).max().unwrap_or(1);
        Ok(used.saturating_add(1))
    }

    /// Destroys a generation; `text` stays in its place.
    pub(super) fn destroy(&self, dir: &Path, number: u32, text: &str) -> Result<(), KeyFault> {
        let _held = folder::hold(dir)?;
        folder::note(&dir.join(format!("{}{GONE}", self.within(number))), text)?;
        self.sweep(dir)
    }

    /// The folder of a later generation.
    pub(super) fn within(&self, number: u32) -> String {
        format!("{}-{number}", self.name)
    }

    /// Removes the files of generations that were destroyed, and what a crash left of one that was being made.
    fn sweep(&self, dir: &Path) -> Result<(), KeyFault> {
        for unfinished in self.later(dir, UNFINISHED)? {
            folder::remove_left_over(&dir.join(format!("{}{UNFINISHED}", self.within(unfinished))))?;
        }
        for number in self.later(dir, GONE)? {
            for slot in self.slots(number) {
                folder::destroy(&slot.at(dir))?;
                folder::destroy(&slot.made_at(dir))?;
            }
            if number > 1 {
                folder::remove_left_over(&dir.join(self.within(number)))?;
            }
        }
        folder::sync_dir(dir)
    }

    /// The numbers in names of the form `record-2` and this ending.
    fn later(&self, dir: &Path, ending: &str) -> Result<Vec<u32>, KeyFault> {
        let entries = fs::read_dir(dir).map_err(folder::missing_or("list", dir))?;
        let names = entries.collect::<Result<Vec<_>, _>>().map_err(folder::disk("list", dir))?;
        let number = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let number = name.strip_suffix(ending)?.strip_prefix(self.name)?.strip_prefix('-')?;
            let read: u32 = number.parse().ok()?;
            (read.to_string() == number).then_some(read)
        };
        Ok(names.into_iter().filter_map(number).collect())
    }
}

/// Ends the name of the note that stays of a generation.
const GONE: &str = ".gone";
/// Ends the name of a folder that is being made.
const UNFINISHED: &str = ".new";
