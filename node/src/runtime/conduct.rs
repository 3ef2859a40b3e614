//! What the desk keeps of the peers' conduct, so that a restart forgives nobody.
//!
//! A standing is kept a moment after it changed: a crash in between loses the last wrongs, which a
//! hostile peer will repeat and an honest one will not.

use std::{collections::BTreeMap, sync::Arc};

use comity_core::ids::{PartyCode, Time};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::{
    conduct::{Changes, Standing, proof_key},
    handle::View,
    store::{Desk, DeskChange, StoreFault},
    time,
};

const PREFIX: &[u8] = b"conduct/";
/// Looked at again after this long at the latest, so that a clock set anew keeps nobody out.
const LOOK_MS: u64 = 60_000;

/// The standings as they were kept.
pub(super) fn kept(desk: &Desk) -> BTreeMap<PartyCode, Standing> {
    let read = |(key, value): (Vec<u8>, Zeroizing<Vec<u8>>)| {
        let party = PartyCode::parse(std::str::from_utf8(key.strip_prefix(PREFIX)?).ok()?).ok()?;
        Some((party, serde_json::from_slice(&value).ok()?))
    };
    desk.range(PREFIX).into_iter().filter_map(read).collect()
}

/// Lets Parties in again when their time is over, and keeps what changed, until told to stop.
pub(super) async fn keep(view: Arc<View>, stop: CancellationToken) {
    loop {
        let now = time::now();
        let next = view.conduct.release(now).map_or(LOOK_MS, |at| at.since(now).min(LOOK_MS));
        write(&view).await;
        tokio::select! {
            () = stop.cancelled() => break,
            () = view.conduct.news() => {}
            () = tokio::time::sleep_until(Instant::now() + Duration::from_millis(next)) => {}
        }
    }
    write(&view).await;
}

async fn write(view: &Arc<View>) {
    let changes = changes(view.conduct.take_changes(), time::now());
    if changes.is_empty() {
        return;
    }
    let desk = Arc::clone(&view.desk);
    let written = tokio::task::spawn_blocking(move || desk.apply(changes)?.wait()).await;
    if let Err(fault) = written.unwrap_or(Err(StoreFault::Stopped)) {
        tracing::warn!(target: "runtime", code = fault.code(), "the conduct of peers was not kept");
    }
}

fn changes(changes: Changes, now: Time) -> Vec<DeskChange> {
    let standing = |(party, standing): (PartyCode, Standing)| {
        let value = serde_json::to_vec(&standing).ok()?;
        Some(DeskChange::Put([PREFIX, party.as_str().as_bytes()].concat(), Zeroizing::new(value)))
    };
    let proof = |(party, code, frame): (PartyCode, &'static str, Vec<u8>)| {
        let value = [&now.0.to_be_bytes()[..], &frame].concat();
        DeskChange::Put(proof_key(&party, code), Zeroizing::new(value))
    };
    changes.standings.into_iter().filter_map(standing).chain(changes.proofs.into_iter().map(proof)).collect()
}

#[cfg(test)]
mod tests {
    use comity_core::crypto::DataKey;

    use super::*;
    use crate::conduct::Conduct;

    #[test]
    fn a_restart_forgives_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Desk::open(&folder.path().join("desk"), DataKey::new([1; 32])).expect("opens").0;
        let (party, now) = (PartyCode::parse("XB").expect("code"), Time(1_800_000_000_000));
        let conduct = Conduct::new(BTreeMap::new(), now);
        (0..2).for_each(|_| conduct.wrong(&party, "event.malformed", Some(b"what came"), now));
        let desk = open();
        desk.apply(changes(conduct.take_changes(), now)).expect("taken").wait().expect("on disk");
        drop(desk);
        let desk = open();
        let again = Conduct::new(kept(&desk), now);
        assert!(again.cut_off().borrow().contains(&party));
        assert_eq!((again.of(&party), again.of(&party).count()), (conduct.of(&party), 2));
        let proof = desk.get(&proof_key(&party, "event.malformed")).expect("kept");
        assert_eq!(proof.split_at(8), (&now.0.to_be_bytes()[..], &b"what came"[..]));
    }
}
