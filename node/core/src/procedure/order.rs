//! The one order in which the acts of a thread are applied, whatever order they arrived in.
//!
//! An act comes after all it descends from. Among those that could come next, the lowest rank is first, then the
//! lowest event id. So far as no author forks its own acts, an act of lower rank is applied before
//! every act of higher rank that does not know of it and whose author is the other side.

use super::Act;
use crate::ids::EventId;
use std::collections::{BTreeMap, BTreeSet};

/// The acts that count, in order.
pub(super) struct Line<'a> {
    pub(super) acts: Vec<&'a Act>,
    /// The acts that no other descends from, ascending.
    pub(super) heads: Vec<EventId>,
    /// The acts that descend from themselves. Ids are digests, so there are none; if there were, none would be lost.
    pub(super) rings: Vec<EventId>,
}

impl<'a> Line<'a> {
    pub(super) fn of(acts: &'a [Act], rank: impl Fn(&Act) -> u8) -> Self {
        let live = live(acts);
        let mut children: BTreeMap<EventId, Vec<EventId>> = BTreeMap::new();
        let mut waits: BTreeMap<EventId, usize> = BTreeMap::new();
        for act in live.values() {
            let parents: BTreeSet<EventId> = act.parents.iter().copied().filter(|id| live.contains_key(id)).collect();
            waits.insert(act.id, parents.len());
            for parent in parents {
                children.entry(parent).or_default().push(act.id);
            }
        }
        let place = |id: EventId| (live.get(&id).map_or(u8::MAX, |act| rank(act)), id);
        let mut ready: BTreeSet<(u8, EventId)> =
            waits.iter().filter(|(_, count)| **count == 0).map(|(id, _)| place(*id)).collect();
        let mut line = Vec::with_capacity(live.len());
        while let Some((_, id)) = ready.pop_first() {
            line.extend(live.get(&id).copied());
            for child in children.get(&id).into_iter().flatten() {
                let count = waits.get_mut(child).expect("every child is a live act");
                *count -= 1;
                if *count == 0 {
                    ready.insert(place(*child));
                }
            }
        }
        let heads = live.keys().copied().filter(|id| !children.contains_key(id)).collect();
        let rings = waits.into_iter().filter(|(_, count)| *count > 0).map(|(id, _)| id).collect();
        Self { acts: line, heads, rings }
    }
}

/// The acts that are neither void nor descend from a void one, each once.
fn live(acts: &[Act]) -> BTreeMap<EventId, &Act> {
    let mut void: BTreeSet<EventId> = acts.iter().filter(|act| act.void).map(|act| act.id).collect();
    let mut children: BTreeMap<EventId, Vec<EventId>> = BTreeMap::new();
    for act in acts {
        for parent in &act.parents {
            children.entry(*parent).or_default().push(act.id);
        }
    }
    let mut next: Vec<EventId> = void.iter().copied().collect();
    while let Some(id) = next.pop() {
        for child in children.get(&id).into_iter().flatten() {
            if void.insert(*child) {
                next.push(*child);
            }
        }
    }
    acts.iter().filter(|act| !void.contains(&act.id)).map(|act| (act.id, act)).collect()
}
