//! What can be said of the keys held here without any secret: which the own profile allows when, and which of
//! them is used.

use comity_core::{
    crypto::PublicKey,
    ids::Time,
    profile::{AHEAD_MS_MAX, Profile},
    proto::KeyRole,
};

use super::generation::Family;

/// The public halves of a generation: the keys of one role that were made together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What they are for.
    pub role: KeyRole,
    /// Counted from 1 within the role, never given twice.
    pub number: u32,
    /// The public halves: Ed25519 first.
    pub public: Vec<PublicKey>,
    /// Whether the classical half is in a token.
    pub in_token: bool,
}

impl Held {
    /// How the role is called on the command line and on disk.
    #[must_use]
    pub fn role_name(&self) -> &'static str {
        Family::of(self.role).map_or("", |family| family.name)
    }

    /// Each public half with the name of its algorithm.
    pub fn halves(&self) -> impl Iterator<Item = (&'static str, &PublicKey)> {
        let names = Family::of(self.role).into_iter().flat_map(Family::algorithms);
        names.zip(&self.public)
    }

    /// When the profile allows both halves together: from when until when. Nothing if it does not name both.
    /// A transport key has no dates: a profile names the node or does not.
    #[must_use]
    pub fn dates(&self, profile: &Profile) -> Option<(Time, Time)> {
        if self.role == KeyRole::Transport {
            let named = |key: &PublicKey| profile.nodes().iter().any(|node| node[..] == key.bytes[..]);
            return self.public.iter().all(named).then_some((Time(0), Time(u64::MAX)));
        }
        let dates = self.public.iter().map(|key| profile.dates(key)).collect::<Option<Vec<_>>>()?;
        dates.into_iter().reduce(|(from, until), other| (from.max(other.0), until.min(other.1)))
    }
}

/// The generation of a role that is used at this time: the newest that the own profile allows, and rather one it
/// allows for five minutes before and after as well, so that a peer whose clock differs agrees.
#[must_use]
pub fn in_use<'h>(
    held: impl Iterator<Item = &'h Held> + Clone,
    role: KeyRole,
    profile: &Profile,
    at: Time,
) -> Option<&'h Held> {
    let newest = |from: Time, until: Time| {
        let allowed = |held: &&Held| held.dates(profile).is_some_and(|dates| dates.0 <= from && until < dates.1);
        held.clone().filter(|held| held.role == role).filter(allowed).max_by_key(|held| held.number)
    };
    let around = (Time(at.0.saturating_sub(AHEAD_MS_MAX)), at.plus_ms(AHEAD_MS_MAX));
    newest(around.0, around.1).or_else(|| newest(at, at))
}
