//! The rule of [D-4] written down a second time, as short as it goes: what a recipient says to an
//! authentic event from what it knows of the thread. The engine must say the same.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    judge::{Codes, Verdict, out},
    shapes::Known,
};

pub(super) fn judge(index: u64, parents: &[String], known: &[Known], elsewhere: &[String]) -> Verdict {
    let events: BTreeMap<&str, &Known> = known.iter().map(|event| (event.id.as_str(), event)).collect();
    if let Some(missing) = parents.iter().find(|parent| !events.contains_key(parent.as_str())) {
        let there = elsewhere.contains(missing);
        return Err(Codes(if there { "event.parent-elsewhere" } else { "engine.parent-missing" }, None));
    }
    if parents.iter().any(|parent| events[parent.as_str()].void) {
        return Err(Codes("event.void-parent", None));
    }
    if parents.is_empty() && !known.is_empty() {
        return Err(Codes("event.second-opening", None));
    }
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&str> = parents.iter().map(String::as_str).collect();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(events[id].parents.iter().map(String::as_str));
        }
    }
    let blind = known.iter().filter(|event| !event.void).any(|event| {
        let seen = seen.contains(event.id.as_str());
        let before = event.at_author.is_some_and(|at| at < index);
        if event.same_author { !(seen && before) } else { before && !seen }
    });
    if blind { Err(Codes("event.blind", None)) } else { out([]) }
}
