//! Ten years of a network of 196 Parties, signed: charters month by month, profiles, weekly directories, last heads.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
    thread,
};

use comity_core::{
    crypto::{HybridSigner, Seed, sha256},
    founding::{self, Founder, Office, RoleKeys, sign},
    ids::{Digest, NetworkName, PartyCode, Time},
    profile::{CHARTER_TYPE, DIRECTORY_TYPE, HEAD_TYPE, Kind, PROFILE_TYPE, document_id, node_of},
    proto::{self, Algorithm, KeyRole},
};
use prost::Message as _;

use super::Loose;

pub(super) const START: Time = Time(1_760_000_000_000);
const DAY_MS: u64 = 86_400_000;
const PARTIES: usize = 196;
/// Parties with a third node: 400 nodes in all.
const WITH_THREE: usize = 8;
/// Charters, one every thirty days; of a Party every twelfth changes the root keys.
const MONTHS: u64 = 120;
const INSTRUMENTS: usize = 20;
/// Between two profiles of a Party.
const PROFILE_DAYS: u64 = 121;
const DAYS: u64 = MONTHS * 30;
/// Root keys of a Party, and who signs charters: how many, and how many must.
const ROOT: (usize, usize) = (3, 2);
const SECRETARIAT: (usize, usize) = (5, 3);

/// The last day.
pub(super) const END: Time = START.plus_ms(DAYS * DAY_MS);

/// Where a document lies, and when it was seen.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) seen: Time,
    pub(super) kind: Kind,
    pub(super) party: Option<PartyCode>,
    pub(super) version: u64,
    pub(super) file: usize,
    pub(super) offset: u64,
    pub(super) len: usize,
}

impl Place {
    pub(super) fn line(&self) -> String {
        let party = self.party.as_ref().map_or("-", PartyCode::as_str);
        let Self { seen, kind, version, file, offset, len, .. } = self;
        format!("{} {} {party} {version} {file} {offset} {len}", seen.0, kind.name())
    }

    pub(super) fn read(line: &str) -> Result<Self, Loose> {
        let words: Vec<&str> = line.split(' ').collect();
        let [seen, kind, party, version, file, offset, len] = words[..] else { return Err("no place".into()) };
        Ok(Self {
            seen: Time(seen.parse()?),
            kind: Kind::named(kind).ok_or("no kind")?,
            party: (party != "-").then(|| PartyCode::parse(party)).transpose()?,
            version: version.parse()?,
            file: file.parse()?,
            offset: offset.parse()?,
            len: len.parse()?,
        })
    }
}

/// Documents one after another in a file.
struct Shelf {
    file: BufWriter<File>,
    number: usize,
    at: u64,
    places: Vec<Place>,
}

impl Shelf {
    fn new(folder: &Path, number: usize) -> Result<Self, Loose> {
        let file = BufWriter::new(File::create(folder.join(number.to_string()))?);
        Ok(Self { file, number, at: 0, places: Vec::new() })
    }

    fn put(&mut self, of: (Kind, Option<&PartyCode>, u64), seen: Time, bytes: &[u8]) -> Result<(), Loose> {
        let (kind, party, version) = of;
        let (file, offset, len) = (self.number, self.at, bytes.len());
        self.file.write_all(bytes)?;
        self.at += len as u64;
        self.places.push(Place { seen, kind, party: party.cloned(), version, file, offset, len });
        Ok(())
    }

    fn done(mut self) -> Result<Vec<Place>, Loose> {
        self.file.flush()?;
        Ok(self.places)
    }
}

/// Makes all of it, on two cores, below a folder. Gives the fingerprint of the first charter, and the documents in the
/// order they were seen.
pub(super) fn make(folder: &Path) -> Result<(Digest, Vec<Place>), Loose> {
    let parties: Vec<Nation> = codes().into_iter().enumerate().map(|(n, code)| Nation { n, code }).collect();
    let (one, other) = parties.split_at(PARTIES / 2);
    thread::scope(|scope| {
        let makers: Vec<_> = [one, other]
            .into_iter()
            .enumerate()
            .map(|(n, half)| scope.spawn(move || declared(folder, n + 1, half)))
            .collect();
        let (fingerprint, mut places) = charters(folder, &parties)?;
        for maker in makers {
            places.extend(maker.join().map_err(|_| "a maker failed")??);
        }
        places.sort_by(|a, b| (a.seen, a.kind, &a.party).cmp(&(b.seen, b.kind, &b.party)));
        Ok((fingerprint, places))
    })
}

fn codes() -> Vec<PartyCode> {
    let pairs = ('A'..='Z').flat_map(|one| ('A'..='Z').map(move |other| format!("{one}{other}")));
    pairs.filter_map(|code| PartyCode::parse(&code).ok()).take(PARTIES).collect()
}

fn network() -> Result<NetworkName, Loose> {
    Ok(NetworkName::parse("bench.comity.test")?)
}

fn seed(name: &str) -> Seed {
    Seed::new(*sha256(&[name.as_bytes()]).as_bytes())
}

fn signer(name: &str, role: KeyRole) -> Result<HybridSigner, Loose> {
    Ok(HybridSigner::new(role, &seed(&format!("{name} a")), Algorithm::MlDsa65, &seed(&format!("{name} b")))?)
}

fn holders(name: &str, role: KeyRole, count: usize) -> Result<Vec<HybridSigner>, Loose> {
    (0..count).map(|n| signer(&format!("{name} {n}"), role)).collect()
}

fn quorum(holders: &[HybridSigner], threshold: usize) -> Result<proto::Quorum, Loose> {
    let key = |holder: &HybridSigner| {
        let [ed25519, ml_dsa_65] = holder.public().map(|key| key.bytes.clone());
        proto::HybridKey { ed25519, ml_dsa_65 }
    };
    let mut keys: Vec<proto::HybridKey> = holders.iter().map(key).collect();
    keys.sort_by(|a, b| a.ed25519.cmp(&b.ed25519));
    Ok(proto::Quorum { keys, threshold: u32::try_from(threshold)? })
}

/// One Party.
struct Nation {
    n: usize,
    code: PartyCode,
}

impl Nation {
    /// Which root keys it has in a month.
    fn generation(&self, month: u64) -> u64 {
        (1..=month).filter(|month| *month % 12 == self.n as u64 % 12).count() as u64
    }

    fn root(&self, generation: u64) -> Result<Vec<HybridSigner>, Loose> {
        holders(&format!("{} root {generation}", self.code), KeyRole::Root, ROOT.0)
    }

    fn nodes(&self) -> Result<Vec<proto::Node>, Loose> {
        let count = if self.n < WITH_THREE { 3 } else { 2 };
        let node = |n: usize| Ok(node_of(&network()?, &self.code, &seed(&format!("{} node {n}", self.code)))?);
        let mut nodes = (0..count).map(node).collect::<Result<Vec<_>, Loose>>()?;
        nodes.sort_by(|a, b| a.peer_id.cmp(&b.peer_id));
        Ok(nodes)
    }
}

fn charters(folder: &Path, parties: &[Nation]) -> Result<(Digest, Vec<Place>), Loose> {
    let secretariat = holders("secretariat", KeyRole::Charter, SECRETARIAT.0)?;
    let mut roots = parties.iter().map(|party| party.root(0)).collect::<Result<Vec<_>, _>>()?;
    let mut draft = first(parties, &roots, &secretariat)?;
    let mut shelf = Shelf::new(folder, 0)?;
    let mut fingerprint = None;
    for month in 0..MONTHS {
        let issued = START.plus_ms(month * 30 * DAY_MS);
        let mut agreed = Vec::new();
        if month > 0 {
            draft.previous = document_id(CHARTER_TYPE, &draft.encode_to_vec()).as_bytes().to_vec();
            draft.version += 1;
            (draft.issued_ms, draft.expires_ms) = (issued.0, issued.plus_ms(730 * DAY_MS).0);
            for (row, status) in draft.instruments.iter_mut().enumerate() {
                let (instrument, party) = (row / PARTIES, row % PARTIES);
                if instrument as u64 == month % 20 && (party as u64 + month).is_multiple_of(20) {
                    status.in_force_ms = issued.0;
                }
            }
            for party in parties.iter().filter(|party| party.generation(month) > party.generation(month - 1)) {
                let new = party.root(party.generation(month))?;
                draft.parties[party.n].root = Some(quorum(&new, ROOT.1)?);
                agreed.extend(std::mem::replace(&mut roots[party.n], new).into_iter().take(ROOT.1));
            }
        }
        let signers: Vec<&HybridSigner> = secretariat.iter().take(SECRETARIAT.1).chain(&agreed).collect();
        let payload = draft.encode_to_vec();
        fingerprint = fingerprint.or(Some(document_id(CHARTER_TYPE, &payload)));
        shelf.put((Kind::Charter, None, draft.version), issued, &sign(CHARTER_TYPE, payload, &signers)?)?;
    }
    Ok((fingerprint.ok_or("no charter")?, shelf.done()?))
}

fn first(
    parties: &[Nation],
    roots: &[Vec<HybridSigner>],
    secretariat: &[HybridSigner],
) -> Result<proto::Charter, Loose> {
    let founder = |(party, root): (&Nation, &Vec<HybridSigner>)| Founder {
        code: party.code.clone(),
        name: format!("The Republic of {}", party.code),
        root: root[0].public().map(Clone::clone),
    };
    let founders: Vec<Founder> = parties.iter().zip(roots).map(founder).collect();
    let names: Vec<String> = (0..INSTRUMENTS).map(|n| format!("I{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut draft = founding::charter(&network()?, true, secretariat[0].public(), &founders, &names, START);
    draft.signers = Some(quorum(secretariat, SECRETARIAT.1)?);
    for (row, root) in draft.parties.iter_mut().zip(roots) {
        row.root = Some(quorum(root, ROOT.1)?);
    }
    Ok(draft)
}

/// What these Parties declare.
fn declared(folder: &Path, number: usize, parties: &[Nation]) -> Result<Vec<Place>, Loose> {
    let mut shelf = Shelf::new(folder, number)?;
    for party in parties {
        declares(party, &mut shelf)?;
    }
    shelf.done()
}

fn declares(party: &Nation, shelf: &mut Shelf) -> Result<(), Loose> {
    let directory_key = signer(&format!("{} directory", party.code), KeyRole::Directory)?;
    let nodes = party.nodes()?;
    let mut profile = draft(party, &directory_key, &nodes)?;
    let (mut named, mut week) = (None, 0);
    for day in 0..DAYS {
        let now = START.plus_ms(day * DAY_MS);
        // A late joiner takes no profile that other root keys have signed than those that count.
        let month = day / 30;
        let turned = day % 30 == 0 && month > 0 && party.generation(month) > party.generation(month - 1);
        if turned || day % PROFILE_DAYS == 0 {
            profile.version += 1;
            (profile.issued_ms, profile.previous) =
                (now.0, named.map_or(Vec::new(), |id: Digest| id.as_bytes().to_vec()));
            let payload = profile.encode_to_vec();
            named = Some(document_id(PROFILE_TYPE, &payload));
            let root = party.root(party.generation(month))?;
            let signers: Vec<&HybridSigner> = root.iter().take(ROOT.1).collect();
            let bytes = sign(PROFILE_TYPE, payload, &signers)?;
            shelf.put((Kind::Profile, Some(&party.code), profile.version), now, &bytes)?;
        }
        if day % 7 == 2
            && let Some(of) = named
        {
            week += 1;
            let payload = directory(party, week, now, of, &nodes)?;
            let id = document_id(DIRECTORY_TYPE, &payload);
            let bytes = sign(DIRECTORY_TYPE, payload, &[&directory_key])?;
            shelf.put((Kind::Directory, Some(&party.code), week), now, &bytes)?;
            if day + 7 >= DAYS {
                let head = proto::ProfileHead {
                    network: network()?.to_string(),
                    party: party.code.to_string(),
                    issued_ms: END.0,
                    profile_version: profile.version,
                    profile: of.as_bytes().to_vec(),
                    directory_version: week,
                    directory: id.as_bytes().to_vec(),
                };
                let bytes = sign(HEAD_TYPE, head.encode_to_vec(), &[&directory_key])?;
                shelf.put((Kind::Head, Some(&party.code), END.0), END, &bytes)?;
            }
        }
    }
    Ok(())
}

/// A profile but for its version.
fn draft(party: &Nation, directory: &HybridSigner, nodes: &[proto::Node]) -> Result<proto::Profile, Loose> {
    let office = |n: usize| Office {
        id: format!("office-{n}"),
        name: format!("Central Authority {n} of {}", party.code),
        time_zone: "Europe/Zurich".to_owned(),
        procedures: ["EIO", "EXTR", "JIT", "MLA", "PRES"].map(str::to_owned).to_vec(),
    };
    let offices = [0, 1, 2].map(office);
    let keys =
        RoleKeys::from_seeds(|name| seed(&format!("{} {name}", party.code)))?.public(&network()?, &party.code)?;
    let mut draft = founding::profile(&network()?, &party.code, &offices, &["en", "fr"], &keys, START);
    draft.keys.extend(directory.public().map(|key| proto::RoleKey {
        role: key.role as i32,
        algorithm: key.algorithm as i32,
        public_key: key.bytes.clone(),
        not_before_ms: START.0,
        not_after_ms: START.plus_ms(2 * DAYS * DAY_MS).0,
    }));
    let id = |key: &proto::RoleKey| {
        let (role, algorithm, bytes) = (key.role(), key.algorithm(), key.public_key.clone());
        comity_core::crypto::PublicKey { role, algorithm, bytes }.id()
    };
    draft.keys.sort_by_key(id);
    draft.nodes = nodes.to_vec();
    draft.version = 0;
    Ok(draft)
}

fn directory(party: &Nation, version: u64, now: Time, of: Digest, nodes: &[proto::Node]) -> Result<Vec<u8>, Loose> {
    let contact = |n: usize| proto::Contact {
        authority: format!("office-{n}"),
        office: "duty".to_owned(),
        email: format!("duty-{n}@justice.{}.test", party.code),
        phone: format!("+000 {version:04} {n}"),
        hours: "24/7".to_owned(),
        languages: vec!["en".to_owned(), "fr".to_owned()],
    };
    let address = |(n, node): (usize, &proto::Node)| proto::Address {
        node: node.peer_id.clone(),
        multiaddrs: vec![format!("/dns4/node-{n}.justice.{}.test/tcp/4001", party.code.as_str().to_lowercase())],
    };
    let directory = proto::Directory {
        network: network()?.to_string(),
        party: party.code.to_string(),
        version,
        issued_ms: now.0,
        profile: of.as_bytes().to_vec(),
        contacts: [0, 1, 2].map(contact).to_vec(),
        addresses: nodes.iter().enumerate().map(address).collect(),
        holidays: (1..=12).map(|month| format!("2026-{month:02}-01")).collect(),
    };
    Ok(directory.encode_to_vec())
}
