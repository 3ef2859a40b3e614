//! Whose signatures a checkpoint needs: the ledger's own, and those of a quorum of witnesses (C2SP tlog-policy).
//!
//! Decides whether a note fulfils a policy, and how the policy is written for others. Both algorithms are asked of the
//! ledger and of every witness that counts: a policy file says so with groups. No key is counted for two witnesses. Never
//! decides who witnesses whom or whose keys those are. Start with [`Policy::judge`]. Serves SPEC `[L-11]`.

use std::collections::BTreeMap;

use super::{Checkpoint, LedgerFault, VerifiedCheckpoint, verifier_key};
use crate::{
    crypto::PublicKey,
    ids::{Origin, PartyCode, Time, WitnessName},
    proto::{Algorithm, KeyRole},
};

/// A witness as a policy knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKeys {
    /// Under which name it signs.
    pub name: WitnessName,
    /// Its keys of the witness role; others are passed over.
    pub keys: Vec<PublicKey>,
}

impl WitnessKeys {
    fn names(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter().filter(|key| key.role == KeyRole::Witness)
    }

    fn has(&self, algorithm: Algorithm) -> bool {
        self.names().any(|key| key.algorithm == algorithm)
    }

    /// True if both name one key: then whoever holds it can sign for both.
    fn shares_with(&self, other: &Self) -> bool {
        self.names().any(|key| other.names().any(|theirs| theirs == key))
    }
}

/// A witness, by its Party.
type Named<'p> = (&'p PartyCode, &'p WitnessKeys);

/// A largest set of these in which no two share a key; of several such sets the one with the earliest of them. Each branch
/// splits only at a witness that shares one, and witnesses are few ([`crate::profile::WITNESSES_MAX`]).
fn apart<'p>(witnesses: &[Named<'p>]) -> Vec<Named<'p>> {
    let Some((first, rest)) = witnesses.split_first() else { return Vec::new() };
    let strangers: Vec<Named<'p>> = rest.iter().filter(|other| !first.1.shares_with(other.1)).copied().collect();
    let with = [vec![*first], apart(&strangers)].concat();
    if strangers.len() == rest.len() {
        return with;
    }
    let without = apart(rest);
    if without.len() > with.len() { without } else { with }
}

/// What a checkpoint of one ledger must carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which ledger.
    pub origin: Origin,
    /// Its keys of the checkpoint role; others are passed over.
    pub own: Vec<PublicKey>,
    /// The witnesses the charter assigns to it. One whose keys are not known yet cannot count.
    pub witnesses: BTreeMap<PartyCode, WitnessKeys>,
    /// How many of these, no two of whom share a key, must have cosigned; 0 where none is assigned.
    pub quorum: usize,
}

/// A checkpoint with those who had cosigned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// The checkpoint under the ledger's own signatures.
    pub verified: VerifiedCheckpoint,
    /// Which witnesses cosigned with both algorithms, and when by their own clocks. Of those that share a key only some
    /// count.
    pub by: BTreeMap<PartyCode, Time>,
    met: bool,
    since: Option<Time>,
}

impl Witnessed {
    /// What was signed.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        self.verified.checkpoint()
    }

    /// True if the policy's quorum is reached.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.met
    }

    /// When the quorum was reached: the first moment at which so many had cosigned. None before, and where no quorum is
    /// asked for.
    #[must_use]
    pub fn since(&self) -> Option<Time> {
        self.since
    }
}

impl Policy {
    /// Judges a note: the ledger's own signatures must hold, and the witnesses' that are there.
    ///
    /// # Errors
    /// As [`VerifiedCheckpoint::verify`] for the ledger's lines and for every line in a known witness's name.
    pub fn judge(&self, note: &[u8]) -> Result<Witnessed, LedgerFault> {
        let verified = VerifiedCheckpoint::verify(note, &self.origin, &self.own)?;
        let mut by = BTreeMap::new();
        for (party, witness) in &self.witnesses {
            by.extend(verified.cosigned(&witness.name, &witness.keys)?.map(|at| (party.clone(), at)));
        }
        let since = self.since(&by);
        Ok(Witnessed { verified, by, met: self.quorum == 0 || since.is_some(), since })
    }

    /// The first moment at which as many as must had cosigned, no two of whom share a key.
    fn since(&self, by: &BTreeMap<PartyCode, Time>) -> Option<Time> {
        let mut times: Vec<Time> = by.values().copied().collect();
        times.sort_unstable();
        let is_reached = |at: &Time| {
            let then = self.witnesses.iter().filter(|(party, _)| by.get(*party).is_some_and(|when| when <= at));
            apart(&then.collect::<Vec<_>>()).len() >= self.quorum
        };
        times.into_iter().find(is_reached).filter(|_| self.quorum > 0)
    }

    /// The policy as a file; none while keys are missing without which nothing could fulfil it. A log is accepted by any
    /// one of its keys there, so the ledger's ML-DSA-44 line, which is a cosignature in form, is demanded as one: of a
    /// witness that is the ledger itself.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        let origin = self.origin.as_str();
        let logs = self.own.iter().filter(|key| key.role == KeyRole::Checkpoint && key.algorithm == Algorithm::Ed25519);
        let mut lines: Vec<String> =
            logs.map(|key| verifier_key(origin, key).map(|vkey| format!("log {vkey}"))).collect::<Option<_>>()?;
        if lines.is_empty() {
            return None;
        }
        let own = halves(&mut lines, ("ledger", origin), (KeyRole::Checkpoint, Algorithm::MlDsa44), &self.own)?;
        let mut members = Vec::new();
        for alike in self.countable() {
            let mut names = Vec::new();
            for (party, witness) in alike {
                let name = party.as_str().to_ascii_lowercase();
                let mut half = |algorithm| {
                    halves(&mut lines, (&name, witness.name.as_str()), (KeyRole::Witness, algorithm), &witness.keys)
                };
                let (classical, quantum) = (half(Algorithm::Ed25519)?, half(Algorithm::MlDsa44)?);
                lines.push(format!("group {name} all {classical} {quantum}"));
                names.push(name);
            }
            let group = names.join("-or-");
            if names.len() > 1 {
                lines.push(format!("group {group} any {}", names.join(" ")));
            }
            members.push(group);
        }
        if members.len() < self.quorum {
            return None;
        }
        if self.quorum == 0 {
            lines.push(format!("quorum {own}"));
        } else {
            lines.push(format!("group witnesses {} {}", self.quorum, members.join(" ")));
            lines.push(format!("group both all {own} witnesses"));
            lines.push("quorum both".to_owned());
        }
        Some(lines.join("\n") + "\n")
    }

    /// Sets of witnesses of whom one each may count, so that no two that count share a key. Groups cannot say that as
    /// exactly as [`Self::judge`]: in one set are those that share keys with the same others, so that any of them will do,
    /// and left out are those that share with several that are apart.
    fn countable(&self) -> Vec<Vec<Named<'_>>> {
        let is_known = |(_, keys): &Named<'_>| keys.has(Algorithm::Ed25519) && keys.has(Algorithm::MlDsa44);
        let known: Vec<Named<'_>> = self.witnesses.iter().filter(is_known).collect();
        // Everybody shares with itself, so who is alike shares with one another.
        let sharing = |one: &Named<'_>| known.iter().map(|other| one.1.shares_with(other.1)).collect::<Vec<_>>();
        let alike = |one: &Named<'_>| known.iter().filter(|other| sharing(other) == sharing(one)).copied().collect();
        apart(&known).iter().map(alike).collect()
    }
}

/// Adds a line for each key of one algorithm, and a group of any of them if they are several; gives the name of what stands
/// for them all, if there is a key.
fn halves(
    lines: &mut Vec<String>,
    (name, signs_as): (&str, &str),
    (role, algorithm): (KeyRole, Algorithm),
    keys: &[PublicKey],
) -> Option<String> {
    let label = if algorithm == Algorithm::Ed25519 { "ed25519" } else { "ml-dsa-44" };
    let mut names = Vec::new();
    for key in keys.iter().filter(|key| key.role == role && key.algorithm == algorithm) {
        let one = format!("{name}-{label}-{}", names.len() + 1);
        lines.push(format!("witness {one} {}", verifier_key(signs_as, key)?));
        names.push(one);
    }
    if names.len() < 2 {
        return names.pop();
    }
    lines.push(format!("group {name}-{label} any {}", names.join(" ")));
    Some(format!("{name}-{label}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::HybridSigner,
        ids::Digest,
        ledger::checkpoint::tests::{checkpoint, origin, pair, signer},
    };

    const NOW: Time = Time(1_800_000_000_500);

    fn party(code: &str) -> PartyCode {
        PartyCode::parse(code).expect("code")
    }

    fn name(code: &str) -> WitnessName {
        WitnessName::parse(&format!("{}.demo.test/witness", code.to_ascii_lowercase())).expect("name")
    }

    fn witness(n: u8) -> HybridSigner {
        pair(KeyRole::Witness, Algorithm::MlDsa44, n)
    }

    fn owned(signer: &HybridSigner) -> Vec<PublicKey> {
        signer.public().map(Clone::clone).to_vec()
    }

    /// XB, XC and XD witness, two of them must.
    fn policy() -> Policy {
        let keys = |(code, n)| (party(code), WitnessKeys { name: name(code), keys: owned(&witness(n)) });
        let witnesses = [("XB", 20), ("XC", 30), ("XD", 40)].map(keys).into();
        Policy { origin: origin(), own: owned(&signer(1)), witnesses, quorum: 2 }
    }

    fn cosigned(code: &str, n: u8, at: u64) -> String {
        checkpoint().cosign(&name(code), &witness(n), Time(at)).expect("cosigned")
    }

    fn note(lines: &[String]) -> String {
        checkpoint().sign(&signer(1), NOW).expect("signed") + &lines.concat()
    }

    fn met(note: &str) -> Result<(Vec<String>, bool), LedgerFault> {
        let found = policy().judge(note.as_bytes())?;
        assert_eq!(found.checkpoint(), &checkpoint());
        Ok((found.by.keys().map(ToString::to_string).collect(), found.is_met()))
    }

    /// [L-11]: both algorithms of so many witnesses.
    #[test]
    fn a_quorum_of_witnesses_with_both_algorithms_counts() {
        let (b, c) = (cosigned("XB", 20, 1_800_000_002_000), cosigned("XC", 30, 1_800_000_001_999));
        let (first, second) = c.split_at(c.find('\n').expect("two lines") + 1);
        let check = |lines: &[&str], by: &[&str], expected| {
            let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
            let by = by.iter().map(ToString::to_string).collect();
            assert_eq!(met(&note(&lines)), Ok((by, expected)));
        };
        check(&[], &[], false);
        check(&[&b], &["XB"], false);
        check(&[&b, &c], &["XB", "XC"], true);
        check(&[&c, &b], &["XB", "XC"], true);
        check(&[&b, first], &["XB"], false);
        check(&[&b, second], &["XB"], false);
        let found = policy().judge(note(&[b.clone(), c]).as_bytes()).expect("holds");
        assert_eq!((found.by[&party("XC")], found.since()), (Time(1_800_000_001_000), Some(Time(1_800_000_002_000))));
        assert_eq!(policy().judge(note(&[b]).as_bytes()).expect("holds").since(), None);
    }

    #[test]
    fn what_is_signed_by_others_or_about_another_tree_does_not_count() {
        // Another key under the name, the right key under another name: lines of nobody known.
        assert_eq!(met(&note(&[cosigned("XB", 21, NOW.0), cosigned("XE", 20, NOW.0)])), Ok((vec![], false)));
        let other = Checkpoint { size: 8, root: Digest::new([3; 32]), ..checkpoint() };
        let moved = other.cosign(&name("XB"), &witness(20), NOW).expect("cosigned");
        assert_eq!(met(&note(&[moved])), Err(LedgerFault::BadSignature));
        let twice = cosigned("XB", 20, NOW.0);
        assert_eq!(met(&note(&[twice.clone(), twice])), Err(LedgerFault::RepeatedSignature));
        // The ledger is no witness of itself, and a witness does not sign for a ledger.
        let own = checkpoint().cosign(&name("XA"), &signer(1), NOW);
        assert_eq!(own, Err(LedgerFault::CannotSign));
        assert_eq!(checkpoint().sign(&witness(20), NOW), Err(LedgerFault::CannotSign));
        let empty = Checkpoint { size: 0, ..checkpoint() };
        assert_eq!(empty.cosign(&name("XB"), &witness(20), NOW), Err(LedgerFault::Empty));
    }

    #[test]
    fn a_cosignature_verifies_elsewhere() {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let lines = cosigned("XB", 20, NOW.0);
        let blobs: Vec<Vec<u8>> = lines
            .lines()
            .map(|line| STANDARD.decode(line.rsplit(' ').next().expect("encoded")).expect("base64"))
            .collect();
        let keys = owned(&witness(20));
        let key_id = |kind: u8, key: &[u8]| {
            crate::crypto::sha256(&[b"xb.demo.test/witness\n", &[kind], key]).as_bytes()[..4].to_vec()
        };
        assert_eq!(blobs[0][..4], key_id(4, &keys[0].bytes));
        assert_eq!(blobs[1][..4], key_id(6, &keys[1].bytes));
        assert_eq!(blobs[0][4..12], 1_800_000_000_u64.to_be_bytes());
        let message = format!("cosignature/v1\ntime 1800000000\n{}", checkpoint().text());
        let key = ed25519_dalek::VerifyingKey::from_bytes(keys[0].bytes[..].try_into().expect("32")).expect("key");
        let signature = ed25519_dalek::Signature::from_slice(&blobs[0][12..]).expect("64");
        key.verify_strict(message.as_bytes(), &signature).expect("verifies elsewhere");
        assert_eq!(blobs[1].len(), 12 + 2420);
    }

    /// The lines of a policy without their keys.
    fn shape(policy: &Policy) -> Option<Vec<String>> {
        let text = policy.to_text()?;
        let short = |line: &str| {
            line.split(' ').map(|word| word.split('+').next().unwrap_or(word)).collect::<Vec<_>>().join(" ")
        };
        Some(text.lines().map(short).collect())
    }

    #[test]
    fn the_file_demands_both_algorithms_of_the_ledger_and_of_each_witness() {
        let expected = [
            "log xa.demo.test/ledger/1",
            "witness ledger-ml-dsa-44-1 xa.demo.test/ledger/1",
            "witness xb-ed25519-1 xb.demo.test/witness",
            "witness xb-ml-dsa-44-1 xb.demo.test/witness",
            "group xb all xb-ed25519-1 xb-ml-dsa-44-1",
            "witness xc-ed25519-1 xc.demo.test/witness",
            "witness xc-ml-dsa-44-1 xc.demo.test/witness",
            "group xc all xc-ed25519-1 xc-ml-dsa-44-1",
            "witness xd-ed25519-1 xd.demo.test/witness",
            "witness xd-ml-dsa-44-1 xd.demo.test/witness",
            "group xd all xd-ed25519-1 xd-ml-dsa-44-1",
            "group witnesses 2 xb xc xd",
            "group both all ledger-ml-dsa-44-1 witnesses",
            "quorum both",
        ];
        assert_eq!(shape(&policy()), Some(expected.map(ToOwned::to_owned).to_vec()));
        let own = Policy { quorum: 0, witnesses: BTreeMap::new(), ..policy() };
        let alone = [expected[0], expected[1], "quorum ledger-ml-dsa-44-1"];
        assert_eq!(shape(&own), Some(alone.map(ToOwned::to_owned).to_vec()));
    }

    /// [L-11]: who names another's key does not double it, and takes nothing from who does not.
    #[test]
    fn a_key_that_several_name_counts_once() {
        let named = |rows: &[(&str, &[u8])], quorum| {
            let keys = |(code, keys): &(&str, &[u8])| {
                let keys = keys.iter().flat_map(|n| owned(&witness(*n))).collect();
                (party(code), WitnessKeys { name: name(code), keys })
            };
            Policy { witnesses: rows.iter().map(keys).collect(), quorum, ..policy() }
        };
        let lines = |signed: &[(&str, u8, u64)]| {
            note(&signed.iter().map(|(code, n, at)| cosigned(code, *n, *at * 1000)).collect::<Vec<_>>())
        };
        let since = |policy: &Policy, signed: &[(&str, u8, u64)]| {
            let found = policy.judge(lines(signed).as_bytes()).expect("holds");
            assert_eq!(found.by.len(), signed.len(), "whoever cosigned is told");
            assert_eq!(found.is_met(), found.since().is_some());
            found.since().map(|at| at.0 / 1000)
        };
        // One holder signs under two names.
        let shared = named(&[("XB", &[20]), ("XC", &[20]), ("XD", &[40])], 2);
        assert_eq!(since(&shared, &[("XB", 20, 1), ("XC", 20, 2)]), None);
        assert_eq!(since(&shared, &[("XB", 20, 1), ("XC", 20, 2), ("XD", 40, 3)]), Some(3));
        assert_eq!(since(&shared, &[("XC", 20, 2), ("XD", 40, 1)]), Some(2));
        // XB names the keys of both others beside its own: it stands back, they count.
        let greedy = named(&[("XB", &[20, 30, 40]), ("XC", &[30]), ("XD", &[40])], 2);
        assert_eq!(since(&greedy, &[("XB", 20, 1), ("XC", 30, 2)]), None);
        assert_eq!(since(&greedy, &[("XB", 20, 1), ("XC", 30, 2), ("XD", 40, 3)]), Some(3));
        // One half in common is enough: the other may be broken one day.
        let mut half = named(&[("XB", &[20, 50]), ("XC", &[30])], 2);
        half.witnesses.get_mut(&party("XB")).expect("named").keys.truncate(3);
        half.witnesses.get_mut(&party("XC")).expect("named").keys.push(owned(&witness(50))[0].clone());
        assert_eq!(since(&half, &[("XB", 20, 1), ("XC", 30, 2)]), None);
    }

    /// What the file accepts, [`Policy::judge`] does; where nobody names another's key they are the same.
    #[test]
    fn the_file_demands_keys_apart() {
        let mut shared = policy();
        let of = |policy: &mut Policy, code: &str, n: u8| {
            policy.witnesses.get_mut(&party(code)).expect("assigned").keys.extend(owned(&witness(n)));
        };
        let groups = |policy: &Policy| {
            let lines = shape(policy)?.into_iter();
            Some(lines.filter(|line| line.contains("-or-") || line.contains("group witnesses")).collect::<Vec<_>>())
        };
        of(&mut shared, "XC", 20);
        assert_eq!(
            groups(&shared),
            Some(vec!["group xb-or-xc any xb xc".into(), "group witnesses 2 xb-or-xc xd".into()])
        );
        of(&mut shared, "XC", 40);
        assert_eq!(groups(&shared), Some(vec!["group witnesses 2 xb xd".to_owned()]));
        of(&mut shared, "XB", 40);
        assert_eq!(groups(&shared), None, "no two are apart");
    }

    #[test]
    fn several_keys_stand_for_one_another_and_missing_ones_are_not_hidden() {
        let mut turned = Policy { quorum: 0, witnesses: BTreeMap::new(), ..policy() };
        turned.own.extend(owned(&signer(5)));
        let lines = shape(&turned).expect("expressible");
        assert_eq!(
            lines[4..],
            ["group ledger-ml-dsa-44 any ledger-ml-dsa-44-1 ledger-ml-dsa-44-2", "quorum ledger-ml-dsa-44"]
        );
        let mut unknown = policy();
        unknown.witnesses.values_mut().take(2).for_each(|witness| witness.keys.clear());
        assert_eq!(unknown.to_text(), None);
        assert_eq!(Policy { own: vec![], ..policy() }.to_text(), None);
    }
}
