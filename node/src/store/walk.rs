//! Walks the segments of an open ledger again: every frame, the chain, every leaf, the roots. As many at once as there are
//! threads for it, for each is held between two commits: what a segment must begin with is what the one before
//! must end with, and is proved when that is walked.
//!
//! Decides what damage is, never what follows from it. Start with [`walk`].

use std::{
    collections::VecDeque,
    iter, mem,
    ops::AddAssign,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use comity_core::ledger::{Edge, LeafEntry, leaf_hash};

use super::{
    Damage, DamageKind, StoreFault,
    frame::Commit,
    record::{self, Opener},
    scan::Visit,
    segments::{Shelf, Stretch},
    tiles::TileFolder,
};

/// What a full walk checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verified {
    /// Records.
    pub records: u64,
    /// Commits, and as many roots.
    pub commits: u64,
    /// Records whose leaf could not be recomputed because their keys were destroyed.
    pub erased: u64,
}

impl AddAssign for Verified {
    fn add_assign(&mut self, more: Self) {
        self.records += more.records;
        self.commits += more.commits;
        self.erased += more.erased;
    }
}

/// What is walked.
pub(super) struct Ground<'l> {
    pub(super) shelf: &'l Shelf,
    pub(super) tiles: &'l TileFolder,
    /// To recompute each leaf from what the record says, and to compare each root and tile; without it the frames, the
    /// chain and the root at each segment's end are checked, as by an open that reads them all.
    pub(super) opener: Option<&'l Opener>,
    /// Ends the walk early, between two segments.
    pub(super) stop: &'l AtomicBool,
}

/// How a walk ended that could read everything.
pub(super) enum Outcome {
    /// All is whole that was walked.
    Whole(Verified),
    /// The first that does not match, and the records before it that do.
    Damaged(Damage, u64),
}

/// Walks these stretches of the ledger, by so many threads. `progress` is told how many records are done.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn walk(
    ground: &Ground<'_>,
    stretches: Vec<Stretch>,
    threads: usize,
    progress: &mut dyn FnMut(u64),
) -> Result<Outcome, StoreFault> {
    let claims = Mutex::new(Claims { left: stretches.into(), edge: None });
    let (mut whole, mut first_damage, mut failed) = (Verified::default(), None::<(Damage, u64)>, None);
    thread::scope(|scope| {
        let (told, found) = sync_channel(threads);
        for _ in 0..threads {
            let (claims, told) = (&claims, told.clone());
            scope.spawn(move || ground.work(claims, &told));
        }
        drop(told);
        for found in found {
            match found {
                Ok(Found::Whole(done)) => {
                    whole += done;
                    progress(whole.records);
                    continue;
                }
                Ok(Found::Damaged(damage, intact)) => {
                    if first_damage.is_none_or(|(first, _)| damage.record < first.record) {
                        first_damage = Some((damage, intact));
                    }
                }
                Err(fault) => failed = Some(fault),
            }
            // Those before it are in work already, and are finished.
            claims.lock().unwrap_or_else(PoisonError::into_inner).left.clear();
        }
    });
    match (failed, first_damage) {
        (Some(fault), _) => Err(fault),
        (None, Some((damage, intact))) => Ok(Outcome::Damaged(damage, intact)),
        (None, None) => Ok(Outcome::Whole(whole)),
    }
}

/// What one thread found in one stretch.
enum Found {
    Whole(Verified),
    Damaged(Damage, u64),
}

/// What is still to be walked.
struct Claims {
    left: VecDeque<Stretch>,
    /// The tree before the first of them, once it is known.
    edge: Option<Edge>,
}

impl Ground<'_> {
    fn work(&self, claims: &Mutex<Claims>, told: &SyncSender<Result<Found, StoreFault>>) {
        let claim = || {
            let mut claims = claims.lock().unwrap_or_else(PoisonError::into_inner);
            if self.stop.load(Ordering::Relaxed) { None } else { self.claim(&mut claims) }
        };
        for (mut edge, run) in iter::from_fn(claim) {
            for stretch in run {
                let found = self.stretch(&stretch, &mut edge);
                let goes_on = matches!(found, Ok(Found::Whole(_)));
                if told.send(found).is_err() || !goes_on {
                    return;
                }
            }
        }
    }

    /// The next stretch, and those behind it whose tree is known only to whoever walked the one before: their outlines
    /// are missing.
    fn claim(&self, claims: &mut Claims) -> Option<(Edge, Vec<Stretch>)> {
        let first = claims.left.pop_front()?;
        let edge = claims.edge.take().unwrap_or_default();
        let mut run = vec![first];
        while let (Some(next), Some(last)) = (claims.left.front(), run.last()) {
            claims.edge = self.edge_between(last, next);
            if claims.edge.is_some() {
                break;
            }
            run.extend(claims.left.pop_front());
        }
        Some((edge, run))
    }

    /// The tree between two stretches, proved by the root of the commit there.
    fn edge_between(&self, last: &Stretch, next: &Stretch) -> Option<Edge> {
        let (at, tree) = self.shelf.outlined(&last.chapter)?;
        if at == next.chapter.before { edge_of(&at, &tree) } else { None }
    }

    fn stretch(&self, stretch: &Stretch, edge: &mut Edge) -> Result<Found, StoreFault> {
        let planter = Planter { edge: mem::take(edge), tiles: self.tiles, is_thorough: self.opener.is_some() };
        let mut inspector = Inspector { planter, opener: self.opener, erased: 0 };
        let walked = self.shelf.walk(stretch, &mut inspector)?;
        *edge = inspector.planter.edge;
        let Commit { size, root, .. } = walked.standing;
        let damage = walked.damage.or_else(|| {
            let differs = edge.root().as_bytes() != &root;
            differs.then_some(Damage {
                kind: DamageKind::Root,
                record: size,
                segment: stretch.chapter.segment,
                offset: 0,
            })
        });
        Ok(match damage {
            Some(damage) => Found::Damaged(damage, size.min(damage.record)),
            None => {
                let records = size - stretch.chapter.before.size;
                Found::Whole(Verified { records, commits: walked.commits, erased: inspector.erased })
            }
        })
    }
}

/// Grows the tree from the records of a walk, and sees to its tiles. At an open the last root speaks for all before it,
/// since the chain is checked; a thorough walk checks each.
pub(super) struct Planter<'t> {
    pub(super) edge: Edge,
    tiles: &'t TileFolder,
    is_thorough: bool,
}

impl<'t> Planter<'t> {
    /// For an open, before the first record.
    pub(super) fn new(tiles: &'t TileFolder) -> Self {
        Self { edge: Edge::default(), tiles, is_thorough: false }
    }

    fn plant(&mut self, leaf: &LeafEntry) {
        self.edge.push(leaf_hash(leaf), |id, tile| self.tiles.ensure(id, &tile, self.is_thorough));
    }
}

impl Visit for Planter<'_> {
    fn record(&mut self, _index: u64, payload: &[u8]) -> Result<(), DamageKind> {
        self.plant(&record::leaf_of(payload)?);
        Ok(())
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), DamageKind> {
        let differs = self.is_thorough && self.edge.root().as_bytes() != &commit.root;
        if differs { Err(DamageKind::Root) } else { Ok(()) }
    }

    fn outlined(&self) -> Option<Vec<u8>> {
        Some(self.edge.to_bytes())
    }

    fn resume(&mut self, at: &Commit, outlined: &[u8]) -> bool {
        let edge = edge_of(at, outlined);
        edge.map(|edge| self.edge = edge).is_some()
    }
}

/// The tree at a commit as an outline has it, if it leads to the root that was committed.
fn edge_of(at: &Commit, outlined: &[u8]) -> Option<Edge> {
    Edge::from_bytes(at.size, outlined).ok().filter(|edge| edge.root().as_bytes() == &at.root)
}

struct Inspector<'a> {
    planter: Planter<'a>,
    opener: Option<&'a Opener>,
    erased: u64,
}

impl Visit for Inspector<'_> {
    fn record(&mut self, index: u64, payload: &[u8]) -> Result<(), DamageKind> {
        let Some(opener) = self.opener else { return self.planter.record(index, payload) };
        let stored = opener.open(index, payload).map_err(|fault| match fault {
            StoreFault::Damaged(damage) => damage.kind,
            _ => DamageKind::Record,
        })?;
        match stored.expected_leaf() {
            None => self.erased += 1,
            Some(leaf) if leaf == stored.leaf => {}
            Some(_) => return Err(DamageKind::Leaf),
        }
        self.planter.plant(&stored.leaf);
        Ok(())
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), DamageKind> {
        self.planter.commit(commit)
    }
}
