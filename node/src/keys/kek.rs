//! The key-encryption key, which wraps the data keys of requests: its generations, and since when each is there.
//!
//! No profile names it, so nothing but its number decides: the newest held wraps what is new, and a start wraps under it
//! whatever an older one still wraps (`store/slots`). Beside each file stands in clear when it was made (`data-kek.made`),
//! which nothing rests on but a warning. Reasons are in `node/decisions/key-encryption-key.md`.

use std::{collections::BTreeMap, fs::File, path::Path};

use comity_core::{
    crypto::DataKey,
    ids::{DAY_MS, Time},
};
use zeroize::Zeroizing;

use super::{
    KeyFault, Passphrase, encoding,
    file::Content,
    folder::{self, Entry, Slot},
    line::Line,
};
use crate::time::{parse_rfc3339, rfc3339};

/// A month: so long at most what was erased can be read again out of a copy, once the key of that time is destroyed.
const AGE_MS_MAX: u64 = 31 * DAY_MS;
/// Far above what a time takes.
const MADE_BYTES_MAX: u64 = 64;

/// One generation of the key-encryption key, without the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyEncryption {
    /// Counted from 1, never given twice.
    pub number: u32,
    /// When it was made; none if nothing legible says so.
    pub made: Option<Time>,
}

impl KeyEncryption {
    /// How it is called on the command line.
    pub const NAME: &'static str = "key-encryption";

    /// Every generation in the folder `dir`, oldest first. Needs no passphrase.
    ///
    /// # Errors
    /// When the folder cannot be listed, or none is left.
    pub fn held(dir: &Path) -> Result<Vec<Self>, KeyFault> {
        let made = |slot: &Slot| {
            let bytes = folder::read_at_most(File::open(slot.made_at(dir)).ok()?, &slot.made_at(dir), MADE_BYTES_MAX);
            parse_rfc3339(std::str::from_utf8(&bytes.ok()?).ok()?.trim_end()).ok()
        };
        let one = |number| Self { number, made: made(&slot(number)) };
        Ok(line().numbers(dir)?.into_iter().map(one).collect())
    }

    /// Whether another should take its place: it is older than 31 days, or nobody knows how old.
    #[must_use]
    pub fn is_due(&self, now: Time) -> bool {
        self.made.is_none_or(|made| now.since(made) > AGE_MS_MAX)
    }

    /// Adds a generation to the folder `dir` and gives its number. A node takes it up at its next start. What was
    /// there is never touched; a crash leaves all of it or nothing.
    ///
    /// # Errors
    /// Names the file that is missing, too open or damaged, or says that the passphrase is wrong.
    pub fn roll(dir: &Path, passphrase: &Passphrase, at: Time) -> Result<u32, KeyFault> {
        let _held = folder::hold(dir)?;
        let number = line().fresh(dir)?;
        let (name, text) = made(number, at);
        folder::add(dir, passphrase, &line().within(number), &[draw(number)?], &[(&name, &text)])?;
        Ok(number)
    }

    /// Takes down that a generation in the folder `dir` is lost: its file is gone. `live` counts the slots that it
    /// wraps: with them it is not taken down, since a copy of the file would be the only way to read them.
    ///
    /// # Errors
    /// [`KeyFault::UnknownGeneration`]; [`KeyFault::StillNeeded`] while its file is there, or anything is wrapped.
    pub fn forget(dir: &Path, number: u32, live: u64) -> Result<(), KeyFault> {
        if !line().numbers(dir)?.contains(&number) {
            return Err(unknown(number));
        }
        if slot(number).is_in(dir) {
            return Err(KeyFault::still_needed((Self::NAME, number), "its file is there: it is not lost"));
        }
        if live > 0 {
            return Err(KeyFault::still_needed((Self::NAME, number), WRAPS));
        }
        line().destroy(dir, number, "lost, as told to `comity key retire --lost`\n")
    }

    /// Destroys a generation in the folder `dir`, of which all that are left were opened. Of the ledger's slots, `live`
    /// are wrapped under it; all were once promised to be wrapped under `promised`, at a start that held that one.
    pub(super) fn retire(held: &[Self], dir: &Path, number: u32, live: u64, promised: u32) -> Result<(), KeyFault> {
        if held.iter().all(|one| one.number != number) {
            return Err(unknown(number));
        }
        let kept = |why| Err(KeyFault::still_needed((Self::NAME, number), why));
        if held.iter().all(|one| one.number <= number) {
            return kept("it is the newest, which wraps whatever comes");
        }
        if live > 0 {
            return kept(WRAPS);
        }
        // A node that runs since before the next one was made wraps what is new under this one.
        if promised <= number {
            return kept("no start has wrapped everything under a newer one. Start the node again first");
        }
        line().destroy(dir, number, "destroyed by `comity key retire`\n")
    }
}

const WRAPS: &str =
    "data keys of requests are wrapped under it. Start the node again, which wraps them under the newest";

const fn unknown(number: u32) -> KeyFault {
    KeyFault::UnknownGeneration { role: KeyEncryption::NAME, number }
}

/// As the other symmetric keys of a node are called, `data-kek`.
fn line() -> Line {
    Line::new("data-kek", vec![String::new()], Content::Secret)
}

/// The place of a generation: it is one file.
pub(super) fn slot(number: u32) -> Slot {
    line().slots(number).swap_remove(0)
}

/// A fresh key, as it is written.
pub(super) fn draw(number: u32) -> Result<Entry, KeyFault> {
    Ok((slot(number), Zeroizing::new(folder::random::<32>()?.to_vec())))
}

/// Name and text of the file that says when a generation was made.
pub(super) fn made(number: u32, at: Time) -> (String, String) {
    (format!("{}.{}", slot(number).name, folder::MADE), format!("{}\n", rfc3339(at)))
}

/// The keys out of what their files hold, in order.
pub(super) fn read(
    dir: &Path,
    held: &[KeyEncryption],
    plaintexts: &mut impl Iterator<Item = Zeroizing<Vec<u8>>>,
) -> Result<BTreeMap<u32, DataKey>, KeyFault> {
    let read = |one: &KeyEncryption| Ok((one.number, data_key(dir, &slot(one.number), plaintexts.next())?));
    held.iter().map(read).collect()
}

/// A symmetric key out of what its file holds.
pub(super) fn data_key(dir: &Path, slot: &Slot, plaintext: Option<Zeroizing<Vec<u8>>>) -> Result<DataKey, KeyFault> {
    let seed = encoding::seed_from(&plaintext.unwrap_or_default());
    let wrong = || slot.damaged(dir, "does not hold a key of 32 bytes");
    seed.map(|seed| DataKey::new(*seed.expose())).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_due_after_a_month_or_when_nobody_knows() {
        let check = |made, now, expected| {
            assert_eq!(KeyEncryption { number: 1, made }.is_due(Time(now)), expected);
        };
        check(Some(Time(5)), 5 + AGE_MS_MAX, false);
        check(Some(Time(5)), 6 + AGE_MS_MAX, true);
        check(Some(Time(5)), 0, false); // the clock was set back
        check(None, 5, true);
    }
}
