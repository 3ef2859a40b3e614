//! The Parties as they are known here: membership, who speaks for each, who is on duty.

use comity_core::{
    ids::{PartyCode, Time},
    profile::{Freshness, News, claimed},
    rules::actor_name,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{fault::ApiFault, problem::Problem},
    duty::{self, Office},
    handle::View,
    time::rfc3339,
    warnings::{self, Warning},
};

/// Something to look after before it hurts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Warning)]
pub(in crate::api) struct WarningView {
    /// A stable code.
    code: &'static str,
    /// Whose; null if it is the network's.
    party: Option<String>,
    /// What there is.
    detail: String,
}

/// What there is to look after now.
pub(in crate::api) fn warnings(view: &View, now: Time) -> Vec<WarningView> {
    warnings::all(view, now).into_iter().map(WarningView::from).collect()
}

impl From<Warning> for WarningView {
    fn from(Warning { code, party, detail }: Warning) -> Self {
        Self { code, party: party.map(|party| party.to_string()), detail }
    }
}

/// A Party.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Party)]
pub(in crate::api) struct PartyView {
    /// Its code.
    party: String,
    /// Its name in the charter.
    name: String,
    /// Whether it may act now.
    acts: bool,
    /// Since when it belongs to the network.
    joined: String,
    /// From when on the charter suspends it.
    suspended: Option<String>,
    /// From when on it is withdrawn.
    withdrawn: Option<String>,
    /// The version of its newest profile.
    profile: Option<u64>,
    /// The document id of that profile: to be compared with a file or by voice.
    profile_id: Option<String>,
    /// The version of its newest directory.
    directory: Option<u64>,
    /// When it was heard of last.
    heard: Option<String>,
    /// `fresh`, `stale` after 48 hours, `frozen` after 14 days.
    freshness: &'static str,
    /// Whether somebody is on duty there now; null if it has published no hours.
    on_duty: Option<bool>,
}

/// The Parties.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Parties)]
pub(in crate::api) struct PartiesView {
    schema: &'static str,
    /// By code.
    parties: Vec<PartyView>,
}

/// One Party in full.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PartyInFull)]
pub(in crate::api) struct PartyInFullView {
    schema: &'static str,
    /// The Party.
    party: PartyView,
    /// Its authorities.
    authorities: Vec<AuthorityView>,
    /// Its offices, those on duty first.
    offices: Vec<OfficeView>,
    /// What there is to look after.
    warnings: Vec<WarningView>,
}

/// An authority.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PartyAuthority)]
struct AuthorityView {
    /// Its id within the Party.
    id: String,
    /// Its name.
    name: String,
    /// In whose name it acts: `authority`, `provider`, `review-body`, `oversight`; in any if none is said.
    acts_as: Vec<&'static str>,
    /// In which procedures it may act now, and on which side.
    powers: Vec<PowerView>,
}

/// A power, and the languages it is exercised in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PartyPower)]
struct PowerView {
    /// The procedure.
    procedure: String,
    /// `requesting` or `requested`.
    side: &'static str,
    /// Languages accepted, most preferred first.
    languages: Vec<String>,
    /// The same when it is urgent.
    urgent_languages: Vec<String>,
}

/// An office of an authority.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Office)]
pub(in crate::api) struct OfficeView {
    /// The authority.
    authority: String,
    /// A role, never a person.
    office: String,
    /// Whether somebody is there now.
    on_duty: bool,
    /// When it is staffed.
    hours: String,
    /// The time on its wall.
    local: String,
    /// What is spoken there.
    languages: Vec<String>,
    /// How it is reached.
    phone: String,
    /// How it is reached.
    email: String,
}

/// How a Party is reached now about one procedure.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reach)]
pub(in crate::api) struct ReachView {
    /// The Party.
    party: String,
    /// Languages it accepts, most preferred first.
    languages: Vec<String>,
    /// The same when it is urgent.
    urgent_languages: Vec<String>,
    /// Its offices, those on duty first; none if it has published no hours.
    offices: Vec<OfficeView>,
}

/// Reads how a Party is reached about a procedure.
pub(in crate::api) fn reach(view: &View, party: &PartyCode, procedure: &str, now: Time) -> ReachView {
    let trust = view.trust();
    let languages =
        |urgent| trust.declared(party).map(|held| held.languages(procedure, urgent).to_vec()).unwrap_or_default();
    ReachView {
        party: party.to_string(),
        languages: languages(false),
        urgent_languages: languages(true),
        offices: duty::offices(&trust, party, now).into_iter().map(OfficeView::from).collect(),
    }
}

impl From<Office> for OfficeView {
    fn from(office: Office) -> Self {
        Self {
            authority: office.authority.to_string(),
            office: office.office,
            on_duty: office.on_duty,
            hours: office.hours,
            local: office.local,
            languages: office.languages,
            phone: office.phone,
            email: office.email,
        }
    }
}

/// What became of a document.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TakenDocument)]
pub(in crate::api) struct TakenView {
    schema: &'static str,
    /// `charter`, `profile`, `directory`, `suspension` or `head`.
    kind: &'static str,
    /// Whose; null if it is a charter.
    party: Option<String>,
    /// Its number; of a head the time it was issued.
    version: u64,
    /// The document id.
    id: String,
    /// Whether anything was not known before.
    news: bool,
    /// Parties whose root keys it changes without them.
    refounded: Vec<String>,
}

impl TakenView {
    pub(in crate::api) fn new(envelope: &[u8], news: &News) -> Result<Self, Problem> {
        let named = claimed(envelope).map_err(|fault| Problem::new(fault.code(), &fault.to_string()))?;
        let refounded = match news {
            News::Charter { refounded, .. } => refounded.iter().map(PartyCode::to_string).collect(),
            _ => Vec::new(),
        };
        Ok(Self {
            schema: "comity/document/v1",
            kind: named.kind.name(),
            party: named.party.map(|party| party.to_string()),
            version: named.version,
            id: named.id.to_string(),
            news: *news != News::Known,
            refounded,
        })
    }
}

/// Reads the Parties.
pub(in crate::api) fn parties(view: &View, now: Time) -> PartiesView {
    let trust = view.trust();
    let parties = trust.charter().parties().keys().filter_map(|party| row(view, party, now)).collect();
    PartiesView { schema: "comity/parties/v1", parties }
}

fn row(view: &View, party: &PartyCode, now: Time) -> Option<PartyView> {
    let trust = view.trust();
    let named = trust.charter().parties().get(party)?;
    let (suspended, withdrawn) = named.leaves();
    let offices = duty::offices(&trust, party, now);
    Some(PartyView {
        party: party.to_string(),
        name: named.name.clone(),
        acts: trust.profile(party, now).is_some(),
        joined: rfc3339(named.joined()),
        suspended: suspended.map(rfc3339),
        withdrawn: withdrawn.map(rfc3339),
        profile: trust.declared(party).map(|profile| profile.version),
        profile_id: trust.declared(party).map(|profile| profile.id().to_string()),
        directory: trust.directory(party).map(|directory| directory.version),
        heard: trust.heard(party).map(rfc3339),
        freshness: match trust.freshness(party, now) {
            Freshness::Fresh => "fresh",
            Freshness::Stale => "stale",
            Freshness::Frozen => "frozen",
        },
        on_duty: (!offices.is_empty()).then(|| offices.iter().any(|office| office.on_duty)),
    })
}

/// Reads one Party in full.
pub(in crate::api) fn party(view: &View, party: &PartyCode, now: Time) -> Result<PartyInFullView, Problem> {
    let trust = view.trust();
    let row = row(view, party, now).ok_or(ApiFault::UnknownParty)?;
    let profile = trust.declared(party);
    let authority = |authority: &comity_core::proto::Authority| {
        let may = |power: &&comity_core::proto::Power| {
            power.from_ms <= now.0 && (power.until_ms == 0 || now.0 < power.until_ms)
        };
        let languages = |procedure: &str, urgent| {
            profile.map(|profile| profile.languages(procedure, urgent).to_vec()).unwrap_or_default()
        };
        let power = |power: &comity_core::proto::Power| PowerView {
            procedure: power.procedure.clone(),
            side: super::side(power.side),
            languages: languages(&power.procedure, false),
            urgent_languages: languages(&power.procedure, true),
        };
        AuthorityView {
            id: authority.id.clone(),
            name: authority.name.clone(),
            acts_as: authority.actors().map(actor_name).collect(),
            powers: authority.powers.iter().filter(may).map(power).collect(),
        }
    };
    Ok(PartyInFullView {
        schema: "comity/party/v1",
        party: row,
        authorities: profile.into_iter().flat_map(|profile| profile.authorities().values()).map(authority).collect(),
        offices: duty::offices(&trust, party, now).into_iter().map(OfficeView::from).collect(),
        warnings: warnings::of(view, party, now).into_iter().map(WarningView::from).collect(),
    })
}
