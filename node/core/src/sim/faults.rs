//! What goes wrong between nodes and inside them, as chance will have it.
//!
//! A cut ends by itself after a stretch of virtual time. In a one-way cut the frames of one direction
//! vanish while both sides take the link to be up, until a ping would have found out; then it is down
//! for both. A partition cuts all links between two groups. A slow disk neither writes nor syncs for
//! a stretch. A clock is some minutes off from the start and jumps by up to an hour either way.

use std::collections::BTreeMap;

use super::{Chance, Sim, Time, count::What};

/// Constant offsets: two clocks may be further apart than the five minutes an event may be ahead.
const OFFSET_MS_MAX: u64 = 3 * 60 * 1000;
const JUMP_MS_MAX: u64 = 3_600_000;
/// Most jumps are a correction of this size at most.
const SMALL_JUMP_MS_MAX: u64 = 2_000;
/// Most stretches are about as long as a few frames fly, so that much crosses under faults too.
const STRETCH_MS_MAX: u64 = 400;
const LONG_STRETCH_MS_MAX: u64 = 5_000;

/// What is broken now.
pub(super) struct Weather {
    /// Links that are down, until when.
    down: BTreeMap<(usize, usize), Time>,
    /// Directions in which frames vanish, until a ping finds out.
    deaf: BTreeMap<(usize, usize), Time>,
    /// Until when each disk does nothing.
    stuck: Vec<Time>,
}

impl Weather {
    pub(super) fn fair(nodes: usize) -> Self {
        Self { down: BTreeMap::new(), deaf: BTreeMap::new(), stuck: vec![Time(0); nodes] }
    }

    pub(super) fn is_deaf(&self, from: usize, to: usize) -> bool {
        self.deaf.contains_key(&(from, to))
    }

    pub(super) fn is_stuck(&self, node: usize, now: Time) -> bool {
        now < self.stuck[node]
    }
}

/// So many milliseconds at most, ahead or behind.
fn either_way(chance: &mut Chance, most: u64) -> i64 {
    let ms = i64::try_from(chance.below(most)).expect("hours fit");
    if chance.one_in(2) { ms } else { -ms }
}

impl Sim {
    /// No two clocks agree.
    pub(super) fn set_clocks(&mut self) {
        for node in &mut self.nodes {
            node.ahead = either_way(&mut self.chance, OFFSET_MS_MAX);
        }
    }

    fn stretch(&mut self) -> Time {
        let most = if self.chance.one_in(20) { LONG_STRETCH_MS_MAX } else { STRETCH_MS_MAX };
        self.now.plus_ms(self.chance.below(most))
    }

    /// One thing breaks at this node or between it and another.
    pub(super) fn break_something(&mut self, node: usize) {
        let other = self.other_than(node);
        match self.chance.below(8) {
            0..=2 => {
                self.count.one(What::Cuts);
                let until = self.stretch();
                self.cut(node, other, until);
            }
            3..=4 => {
                self.count.one(What::OneWayCuts);
                let found = self.stretch();
                self.weather.deaf.entry((node, other)).or_insert(found);
            }
            5 => self.partition(),
            6 => {
                self.count.one(What::SlowDisks);
                self.weather.stuck[node] = self.stretch();
            }
            _ => self.jump_clock(node),
        }
    }

    fn cut(&mut self, a: usize, b: usize, until: Time) {
        let pair = (a.min(b), a.max(b));
        let end = self.weather.down.entry(pair).or_insert(until);
        *end = until.max(*end);
        self.set_link(pair.0, pair.1, false);
    }

    /// Two groups that cannot reach each other.
    fn partition(&mut self) {
        self.count.one(What::Partitions);
        let until = self.stretch();
        let group: Vec<bool> = self.nodes.iter().map(|_| self.chance.one_in(2)).collect();
        self.each_pair(|sim, a, b| {
            if group[a] != group[b] {
                sim.cut(a, b, until);
            }
        });
    }

    /// A clock jumps by a little, by up to an hour, or back to about the right time.
    fn jump_clock(&mut self, node: usize) {
        self.count.one(What::ClockJumps);
        let ahead = self.nodes[node].ahead;
        self.nodes[node].ahead = match self.chance.below(8) {
            0 => ahead + either_way(&mut self.chance, JUMP_MS_MAX),
            1..=4 => ahead + either_way(&mut self.chance, SMALL_JUMP_MS_MAX),
            _ => either_way(&mut self.chance, OFFSET_MS_MAX),
        };
        self.nodes[node].tick();
    }

    /// What has lasted its time ends.
    pub(super) fn mend(&mut self) {
        let now = self.now;
        let found: Vec<(usize, usize)> =
            self.weather.deaf.iter().filter(|(_, found)| **found <= now).map(|(pair, _)| *pair).collect();
        for (from, to) in found {
            self.weather.deaf.remove(&(from, to));
            let until = self.now.plus_ms(self.chance.below(STRETCH_MS_MAX));
            self.cut(from, to, until);
        }
        let over: Vec<(usize, usize)> =
            self.weather.down.iter().filter(|(_, until)| **until <= now).map(|(pair, _)| *pair).collect();
        for (a, b) in over {
            self.weather.down.remove(&(a, b));
            self.set_link(a, b, true);
        }
    }

    /// Everything works again; clocks stay as wrong as they are.
    pub(super) fn clear_up(&mut self) {
        for (from, to) in std::mem::take(&mut self.weather.deaf).into_keys() {
            self.set_link(from.min(to), from.max(to), false);
        }
        self.weather = Weather::fair(self.nodes.len());
        self.nodes
            .iter_mut()
            .for_each(|node| (node.disk_full, node.note_fails, node.keys_stay) = (false, false, false));
        self.each_pair(|sim, a, b| sim.set_link(a, b, true));
    }
}
