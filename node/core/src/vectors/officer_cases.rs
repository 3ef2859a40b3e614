//! `officer.json`: who of a Party may approve what leaves it, and which approvals count.

use super::{
    bad, computed, file,
    judge::{Codes, Verdict, out},
    material::{Material, named, raw},
    shapes::{Bytes, Case, File, Input},
};
use crate::{
    founding::tests::START,
    ids::{OfficerId, Time},
    officer::{
        Approval, Fault, Kind, Matter, Office, Passed, Roll, SALT_BYTES, Signed,
        tests::{credential, matter},
    },
    profile::Profile,
    proto,
    rules::{Code, Rules, SHIPPED, Side},
};

const SALT: [u8; SALT_BYTES] = [9; SALT_BYTES];
const HOUR_MS: u64 = 3_600_000;

pub(super) fn files(m: &Material) -> Vec<File> {
    vec![file("officer", "A Party's roll, and the approvals of what leaves it.", [rolls(m), approvals(m)].concat())]
}

fn after(hours: u64) -> u64 {
    START.plus_ms(hours * HOUR_MS).0
}

fn rolls(m: &Material) -> Vec<Case> {
    let open = |envelope: &str, now_ms| Input::OpenRoll {
        profile: named("profile-xa-four-eyes"),
        envelope: named(envelope),
        now_ms,
    };
    vec![
        computed(m, "a roll of three", &["O-1", "O-2"], open("roll", after(0))),
        bad("of another profile", &["O-2"], open("roll-of-another-profile", after(0)), "profile.other-profile", ""),
        bad("signed by a root key", &["O-2"], open("roll-signed-by-root", after(0)), "profile.not-directory-key", ""),
        bad("when its key has ended", &["O-2"], open("roll", after(24 * 365)), "profile.not-directory-key", ""),
        bad("an officer of no authority", &["O-2"], open("roll-of-no-authority", after(0)), "profile.bad-content", ""),
        bad("a directory", &["O-2"], open("directory", after(0)), "profile.wrong-type", ""),
    ]
}

fn signed(of: &Matter, who: &str, kind: Kind, hours: u64) -> Signed {
    let mut approval = Approval::of(of, SALT, OfficerId::parse(who).expect("id"), kind, Time(after(hours)));
    approval.reason = (kind == Kind::BreakGlass).then(|| Code::parse("life-or-safety").expect("a code"));
    approval.sign(&credential(who))
}

fn judged(of: &Matter, approvals: &[Signed], now_ms: u64) -> Input {
    Input::CheckApprovals {
        profile: named("profile-xa-four-eyes"),
        roll: named("roll"),
        matter: raw(Approval::of(of, SALT, OfficerId::parse("one").expect("id"), Kind::First, START).to_wire()),
        body: raw(&of.body),
        requesting: of.side == Side::Requesting,
        emergency: of.emergency,
        approvals: approvals
            .iter()
            .map(|signed| [raw(signed.to_wire().approval), raw(signed.to_wire().signature)])
            .collect(),
        now_ms,
    }
}

fn approvals(m: &Material) -> Vec<Case> {
    let of = matter();
    let by = |who: &str, kind| signed(&of, who, kind, 0);
    let (one, two) = (by("one", Kind::First), by("two", Kind::Second));
    let refused =
        |name: &str, approvals: &[Signed], code: &str| bad(name, &["O-4"], judged(&of, approvals, after(1)), code, "");
    let emergency = Matter { emergency: true, ..of.clone() };
    let other = Matter { body: b"something else".to_vec(), ..of.clone() };
    let again = Matter { command_id: [7; 16], ..of.clone() };
    let mut forged = two.to_wire();
    forged.signature[7] ^= 1;
    let forged = Signed::from_wire(&forged).expect("reads");
    let glass = by("one", Kind::BreakGlass);
    let bytes = one.to_wire().approval;
    let cut = raw(&bytes[..bytes.len() - 1]);
    vec![
        computed(m, "an approval", &["O-3"], Input::ReadApproval { bytes: raw(&bytes) }),
        bad(
            "one cut short",
            &["O-3", "W-1"],
            Input::ReadApproval { bytes: cut },
            "approval.malformed",
            "wire.undecodable",
        ),
        computed(m, "two officers", &["O-3", "O-4"], judged(&of, &[one.clone(), two.clone()], after(1))),
        computed(
            m,
            "one that does not count beside two that do",
            &["O-4"],
            judged(&of, &[forged.clone(), one.clone(), by("three", Kind::Second)], after(1)),
        ),
        refused("nobody", &[], "approval.needed"),
        refused("one", std::slice::from_ref(&one), "approval.needed"),
        refused("one twice", &[one.clone(), by("one", Kind::Second)], "approval.same-officer"),
        refused("somebody else", &[one.clone(), by("stranger", Kind::Second)], "approval.not-on-roll"),
        refused("a signature forged", &[one.clone(), forged], "approval.bad-signature"),
        refused("of another body", &[one.clone(), signed(&other, "two", Kind::Second, 0)], "approval.other-body"),
        refused("of another command", &[one.clone(), signed(&again, "two", Kind::Second, 0)], "approval.other-body"),
        refused("five minutes ahead and more", &[one.clone(), signed(&of, "two", Kind::Second, 2)], "approval.expired"),
        refused("a later one before anything went out", &[one.clone(), by("two", Kind::Later)], "approval.wrong-kind"),
        bad("a day later", &["O-4"], judged(&of, &[one, two], after(24)), "approval.expired", ""),
        computed(m, "one in an emergency", &["O-5"], judged(&emergency, std::slice::from_ref(&glass), after(1))),
        bad("one without an emergency", &["O-5"], judged(&of, &[glass], after(1)), "approval.no-emergency", ""),
    ]
}

impl From<Fault> for Codes {
    fn from(fault: Fault) -> Self {
        let cause = if let Fault::Wire(wire) = &fault { Some(wire.code()) } else { None };
        Self(fault.code(), cause)
    }
}

/// Judges one case's input.
pub(super) fn judge(m: &Material, input: &Input) -> Verdict {
    let profile = |bytes: &Bytes| Profile::open(&m.bytes(bytes), m.trust().charter(), START);
    match input {
        Input::OpenRoll { profile: of, envelope, now_ms } => {
            let profile = profile(of)?;
            let roll = Roll::open(&m.bytes(envelope), &profile, Time(*now_ms))?;
            let officers: Vec<&str> = roll.officers().map(OfficerId::as_str).collect();
            out([
                ("id", roll.id().to_string()),
                ("version", roll.version.to_string()),
                ("officers", officers.join(" ")),
                ("required", profile.requires_four_eyes().to_string()),
            ])
        }
        Input::ReadApproval { bytes } => {
            let read = Approval::from_wire(&m.bytes(bytes))?;
            out([
                ("officer", read.officer.to_string()),
                ("kind", read.kind.as_str().to_owned()),
                ("digest", read.digest.to_string()),
            ])
        }
        Input::CheckApprovals { profile: of, roll, matter, body, requesting, emergency, approvals, now_ms } => {
            let profile = profile(of)?;
            let roll = Roll::open(&m.bytes(roll), &profile, START)?;
            let about = Approval::from_wire(&m.bytes(matter))?;
            let side = if *requesting { Side::Requesting } else { Side::Requested };
            let matter = Matter {
                network: about.network,
                party: about.party,
                command_id: about.command_id,
                request: about.request,
                authority: about.authority,
                procedure: about.procedure,
                step: about.step,
                recipients: about.recipients,
                body: m.bytes(body),
                side,
                emergency: *emergency,
            };
            let read = |[approval, signature]: &[Bytes; 2]| {
                let wire = proto::SignedApproval { approval: m.bytes(approval), signature: m.bytes(signature) };
                Signed::from_wire(&wire)
            };
            let approvals = approvals.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            let rules = Rules::parse(SHIPPED).expect("the shipped rules read");
            let office = Office { roll: Some(&roll), profile: &profile, rules: &rules, now: Time(*now_ms) };
            match office.passes(&matter, &approvals)? {
                Passed::Both([one, two]) => out([("by", format!("{one} {two}"))]),
                Passed::BreakGlass(one) => out([("break_glass", one.to_string())]),
            }
        }
        _ => unreachable!("sorted by judge"),
    }
}
