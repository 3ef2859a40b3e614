//! A node whose folder was put back from a backup: it adds nothing until its ledger goes on under another name, and then, before
//! anything else, lets go once more of what was erased after the copy was made (SPEC `[R-6]`).

use comity_core::{
    ids::Time,
    profile::Book,
    record::{Moment, erasure},
};
use tracing::{info, warn};

use super::{
    StartFault,
    trust::{self, Shelves},
};
use crate::{
    backup::Restored,
    store::{Damage, DamageKind},
};

/// Forbids every record while the own profile names no successor that begins with what was put back.
pub(super) fn hold_back(shelves: &Shelves<'_>, book: &Book) {
    if let Some(restored) = shelves.restored.filter(|restored| !goes_on(shelves, book, restored)) {
        let damage = damage(restored);
        warn!(target: "runtime", code = damage.code(), "{damage}");
        shelves.ledger.forbid(damage);
    }
}

/// Records that what the list names is to be erased, also where nothing of it is here: a peer may bring it back. From there the
/// engine goes on as after every interrupted erasure. Then the note is taken away.
pub(super) fn settle(shelves: &mut Shelves<'_>, book: &Book, now: Time) -> Result<(), StartFault> {
    let Some(restored) = shelves.restored.filter(|restored| goes_on(shelves, book, restored)) else { return Ok(()) };
    let trust = book.trust();
    let Some(profile) = trust.declared(shelves.us) else { return Ok(()) };
    if shelves.index.ledgers(shelves.us)? < profile.ledger_number() {
        // That it goes on is not on record: the disk is full, for example.
        shelves.ledger.forbid(damage(restored));
        return Ok(());
    }
    let (us, origin) = (shelves.us.clone(), profile.ledger().origin.clone());
    let recorded = shelves.index.applied()?.1.max(now);
    let mut intents = Vec::new();
    for erased in &restored.erased {
        if shelves.index.erasure(&erased.request)?.is_none() {
            let moment = Moment { trust: &trust, recorded, salt: crate::store::random() };
            intents.push(erasure(&moment, (&us, &origin), erased.request, &erased.ground, None));
        }
    }
    let erased = intents.len();
    for some in intents.chunks(INTENTS_AT_ONCE) {
        trust::append(shelves, some.to_vec())?;
    }
    if !all_erased(shelves, restored)? {
        // On a full disk, for example. Until they are on record a peer could bring them back: it is done at a later start.
        shelves.ledger.forbid(damage(restored));
        return Ok(());
    }
    info!(target: "runtime", erased, "what was put back goes on under another name");
    Ok(Restored::done(shelves.data)?)
}

fn damage(restored: &Restored) -> Damage {
    Damage { kind: DamageKind::Restored, record: restored.size, segment: 0, offset: 0 }
}

fn all_erased(shelves: &Shelves<'_>, restored: &Restored) -> Result<bool, StartFault> {
    for erased in &restored.erased {
        if shelves.index.erasure(&erased.request)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the root keys have said, since it was put back, that a ledger begins with what is here. What they said before
/// was of something else: the same backup may have been put back once already, and its successor written to.
fn goes_on(shelves: &Shelves<'_>, book: &Book, restored: &Restored) -> bool {
    let trust = book.trust();
    let Some(profile) = trust.declared(shelves.us) else { return false };
    let beginning = profile.ledger().beginning();
    beginning.is_some_and(|beginning| (beginning.size, beginning.root) == (restored.size, restored.root))
        && profile.issued.plus_ms(DATED_TO_MS) > restored.put_back
}

/// Drafts are dated to the second.
const DATED_TO_MS: u64 = 1_000;
/// Records appended together.
const INTENTS_AT_ONCE: usize = 128;
