//! What a generation of a role's keys is: which keys, of which algorithms. Where it lies is said in `line`, which
//! generation signs in `keyring`.

use std::path::{Path, PathBuf};

use comity_core::{
    crypto::{HybridSigner, MlDsaSigner, PublicKey, Seed},
    proto::{Algorithm, KeyRole},
};
use zeroize::Zeroizing;

use super::{
    KeyFault, Passphrase, encoding,
    file::Content,
    folder::{self, Entry, Slot},
    line::Line,
    token::{self, Token},
};

/// The keys of one role: how they are called on disk, and the algorithm of each half.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) role: KeyRole,
    pub(super) name: &'static str,
    halves: &'static [(&'static str, Algorithm)],
}

const ED25519: (&str, Algorithm) = ("ed25519", Algorithm::Ed25519);
/// Over checkpoints, of which there are many, the smaller parameters that C2SP tlog-cosignature names.
const NOTES: &[(&str, Algorithm)] = &[ED25519, ("ml-dsa-44", Algorithm::MlDsa44)];
const LASTING: &[(&str, Algorithm)] = &[ED25519, ("ml-dsa-65", Algorithm::MlDsa65)];

/// The roles a running node holds keys of, never shared between roles; hybrid where a signature must last.
pub(super) const NODE: [Family; 6] = [
    Family { role: KeyRole::Transport, name: "transport", halves: &[ED25519] },
    Family { role: KeyRole::Record, name: "record", halves: LASTING },
    Family { role: KeyRole::Checkpoint, name: "checkpoint", halves: NOTES },
    Family { role: KeyRole::Witness, name: "witness", halves: NOTES },
    Family { role: KeyRole::Directory, name: "directory", halves: LASTING },
    Family { role: KeyRole::Seal, name: "seal", halves: &[("mlkem768-x25519", Algorithm::Mlkem768X25519)] },
];
pub(super) const ROOT: Family = Family { role: KeyRole::Root, name: "root", halves: LASTING };
pub(super) const CHARTER: Family = Family { role: KeyRole::Charter, name: "charter", halves: LASTING };
/// Opens what is sealed to it, and signs nothing.
pub(super) const RECOVERY: Family =
    Family { role: KeyRole::Recovery, name: "recovery", halves: &[("mlkem768-x25519", Algorithm::Mlkem768X25519)] };

/// Signs approvals; the officer's own, and in no folder of a node.
pub(super) const OFFICER: Family = Family { role: KeyRole::Officer, name: "officer", halves: &[ED25519] };

impl Family {
    /// The family of a role that a node holds keys of.
    pub(super) fn of(role: KeyRole) -> Option<&'static Self> {
        NODE.iter().find(|family| family.role == role)
    }

    /// How the algorithm of each half is called.
    pub(super) fn algorithms(&self) -> impl Iterator<Item = &'static str> {
        self.halves.iter().map(|(name, _)| *name)
    }

    /// Where its generations lie.
    pub(super) fn line(&self) -> Line {
        let endings = self.algorithms().map(|half| format!("-{half}"));
        Line::new(self.name, endings.collect(), Content::PrivateKey)
    }

    /// The place of each half.
    pub(super) fn slots(&self, number: u32) -> Vec<Slot> {
        self.line().slots(number)
    }

    /// Fresh keys for a generation, as they are written.
    pub(super) fn draw(&self, number: u32) -> Result<Vec<Entry>, KeyFault> {
        let draw = |(slot, (_, algorithm)): (Slot, &(&str, Algorithm))| {
            let seed = Seed::new(*folder::random()?);
            Ok((slot, encoding::to_pkcs8(*algorithm, &seed).expect("the tables name real algorithms only")))
        };
        self.slots(number).into_iter().zip(self.halves).map(draw).collect()
    }

    /// The seeds of a generation out of what its files hold, in order.
    pub(super) fn seeds(
        &self,
        dir: &Path,
        number: u32,
        plaintexts: &mut impl Iterator<Item = Zeroizing<Vec<u8>>>,
    ) -> Result<Vec<Seed>, KeyFault> {
        let read = |(slot, (_, algorithm)): (Slot, &(&str, Algorithm))| {
            let plaintext = plaintexts.next().unwrap_or_default();
            let wrong = || slot.damaged(dir, "holds a key of another algorithm than its name says");
            encoding::from_pkcs8(*algorithm, &plaintext).ok_or_else(wrong)
        };
        self.slots(number).into_iter().zip(self.halves).map(read).collect()
    }

    /// The public half of each seed.
    pub(super) fn public(&self, seeds: &[Seed]) -> Vec<PublicKey> {
        let public = |(seed, (_, algorithm)): (&Seed, &(&str, Algorithm))| {
            PublicKey::of(self.role, *algorithm, seed).expect("every seed has a public half under these algorithms")
        };
        seeds.iter().zip(self.halves).map(public).collect()
    }

    /// The pair that signs, if this role signs.
    pub(super) fn pair(&self, seeds: &[Seed]) -> Option<HybridSigner> {
        let ([classical, quantum], [_, (_, ml_dsa)]) = (seeds, self.halves) else { return None };
        HybridSigner::new(self.role, classical, *ml_dsa, quantum).ok()
    }

    /// The last half alone, out of what its file holds: the one before it is in a token.
    pub(super) fn quantum(&self, dir: &Path, number: u32, plaintext: &[u8]) -> Result<MlDsaSigner, KeyFault> {
        let (slot, (_, algorithm)) = self.slots(number).pop().zip(self.halves.last()).ok_or(KeyFault::UnknownRole)?;
        let seed = encoding::from_pkcs8(*algorithm, plaintext);
        let seed = seed.ok_or_else(|| slot.damaged(dir, "holds a key of another algorithm than its name says"))?;
        MlDsaSigner::new(self.role, *algorithm, &seed).map_err(|_| KeyFault::CannotSign)
    }

    /// Adds a generation under a number that was never used, its classical half in this token if one is named.
    pub(super) fn add(&self, dir: &Path, passphrase: &Passphrase, token: Option<&Token>) -> Result<u32, KeyFault> {
        let _held = folder::hold(dir)?;
        let line = self.line();
        let number = line.fresh(dir)?;
        let (entries, within) = (self.draw(number)?, line.within(number));
        match token {
            None => folder::add(dir, passphrase, &within, &entries, &[])?,
            Some(_) if self.halves.len() < 2 => return Err(KeyFault::NotForTokens),
            Some(token) => token.create(self.role, |text| {
                folder::add(dir, passphrase, &within, &entries[1..], &[(token::FILE, text)])
            })?,
        }
        Ok(number)
    }

    /// The folder of a generation that says its classical half is in a token.
    pub(super) fn token_folder(&self, dir: &Path, number: u32) -> Option<PathBuf> {
        let place = dir.join(self.line().within(number));
        (number > 1 && token::is_named_in(&place)).then_some(place)
    }
}
