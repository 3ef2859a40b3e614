//! The life a procedure follows, as data: its states, and the table of steps that leads from one to another.
//!
//! Decides what such a table may say; what its guards demand is code, in `procedure`, under the names listed here.
//! A table is read whole: each state can be reached, each step leads somewhere, and for one state, step and side
//! there is at most one row. Start at [`Family`].

use super::Side;
use super::rows::{Code, Mark, parsed};
use crate::ids::StepCode;
use crate::proto::ActorKind;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// The state before anything is signed.
pub const DRAFT: &str = "draft";

/// Who takes a step: a side of the request, and in whose name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The authority that asks or issues.
    Requesting,
    /// The authority that is asked or executes.
    Requested,
    /// A service provider on the requested side.
    Provider,
    /// The authority on the requested side that reviews and enforces an order against a provider.
    EnforcingAuthority,
    /// A court, judge or minister on the requesting side.
    RequestingReview,
    /// A court, judge or minister on the requested side.
    RequestedReview,
}

impl Role {
    /// On which side it stands.
    #[must_use]
    pub const fn side(self) -> Side {
        match self {
            Self::Requesting | Self::RequestingReview => Side::Requesting,
            Self::Requested | Self::Provider | Self::EnforcingAuthority | Self::RequestedReview => Side::Requested,
        }
    }

    /// In whose name the header of its events speaks.
    #[must_use]
    pub const fn actor(self) -> ActorKind {
        match self {
            Self::Requesting | Self::Requested | Self::EnforcingAuthority => ActorKind::Authority,
            Self::Provider => ActorKind::Provider,
            Self::RequestingReview | Self::RequestedReview => ActorKind::ReviewBody,
        }
    }

    /// The short name in tables.
    #[must_use]
    pub const fn short(self) -> &'static str {
        match self {
            Self::Requesting => "RQ",
            Self::Requested => "RD",
            Self::Provider => "SP",
            Self::EnforcingAuthority => "EA",
            Self::RequestingReview => "RV of RQ",
            Self::RequestedReview => "RV of RD",
        }
    }
}

/// Where a row of a table leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// The state stays.
    Stays,
    /// To this state.
    State(Code),
    /// To disputed, acknowledged or delivered, as all that was handed over stands.
    Settled,
    /// Back to where the request stood before it came to this state.
    Resumed,
}

/// The states a hand-over settles a request in.
pub(super) const SETTLED: [&str; 3] = ["disputed", "acknowledged", "delivered"];

impl<'de> Deserialize<'de> for To {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        Ok(match text.as_str() {
            "stays" => Self::Stays,
            "settled" => Self::Settled,
            "resumed" => Self::Resumed,
            other => Self::State(Code::parse(other).ok_or_else(|| D::Error::custom("`to` names a state"))?),
        })
    }
}

/// A state of a family.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateRow {
    /// Its name, for example `under_review`.
    pub name: Code,
    /// Whose move is awaited; nobody's if it is left out.
    pub turn: Option<Side>,
    /// The fact that says until when it holds: from then on it is lapsed, which no event says.
    pub until: Option<String>,
}

/// One row: from these states, this step leads there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRow {
    /// From where.
    pub from: Vec<Code>,
    /// The step. Its form is always `<procedure>/<step>`.
    #[serde(deserialize_with = "parsed")]
    pub step: StepCode,
    /// Who may take it.
    pub by: Role,
    /// To where.
    pub to: To,
    /// What must hold, by name.
    #[serde(default)]
    pub guards: Vec<Guard>,
    /// At least one of these steps was taken before.
    #[serde(default)]
    pub needs: Vec<Code>,
    /// None of these steps was taken before.
    #[serde(default)]
    pub bars: Vec<Code>,
    /// The article it follows from, where it is not that of the procedure.
    #[serde(default)]
    pub article: String,
}

impl StepRow {
    /// True if it leads this side on from this state.
    #[must_use]
    pub fn fits(&self, state: &str, side: Side) -> bool {
        self.by.side() == side && self.from.iter().any(|from| from.as_str() == state)
    }
}

/// A life that procedures share.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// For example `assistance`.
    pub code: Code,
    /// In words.
    pub title: String,
    /// Its states; the first is the draft.
    #[serde(rename = "state")]
    pub states: Vec<StateRow>,
    /// All lawful steps. For one state, step and side there is at most one row.
    #[serde(rename = "row")]
    pub rows: Vec<StepRow>,
    /// Steps of the requesting side that give way to all others that were taken at once with them, its withdrawal above all.
    #[serde(default)]
    pub yields: Vec<Code>,
    /// Where it is found.
    pub source: String,
    /// How well the source was seen.
    pub mark: Mark,
}

impl Family {
    /// The steps that open a request; the first is the usual one.
    pub fn openings(&self) -> impl Iterator<Item = &StepCode> {
        let opens = |row: &&StepRow| row.from.iter().any(|state| state.as_str() == DRAFT);
        self.rows.iter().filter(opens).map(|row| &row.step)
    }

    /// A state by its name.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<&StateRow> {
        self.states.iter().find(|state| state.name.as_str() == name)
    }

    /// True if no step of the table changes this state any more.
    #[must_use]
    pub fn is_final(&self, state: &str) -> bool {
        let leaves = |row: &&StepRow| row.from.iter().any(|from| from.as_str() == state) && row.to != To::Stays;
        !self.rows.iter().any(|row| leaves(&row))
    }

    /// True if a step of this table leads back from a state to where the request stood before.
    #[must_use]
    pub fn returns_from(&self, state: &Code) -> bool {
        self.rows.iter().any(|row| row.to == To::Resumed && row.from.contains(state))
    }

    /// True if the table has the step at all.
    #[must_use]
    pub fn knows(&self, step: &StepCode) -> bool {
        self.rows.iter().any(|row| row.step == *step)
    }

    /// The names of the states a row can lead to from one of its own.
    #[must_use]
    pub fn ends<'f>(&'f self, row: &'f StepRow, from: &'f Code) -> Vec<&'f str> {
        match &row.to {
            To::Stays => vec![from.as_str()],
            To::State(state) => vec![state.as_str()],
            To::Settled => SETTLED.to_vec(),
            To::Resumed => self.resumable(from),
        }
    }

    /// From where a state that is left again by `resumed` was come to.
    fn resumable(&self, state: &Code) -> Vec<&str> {
        let leads = |row: &&StepRow| row.to == To::State(state.clone());
        self.rows.iter().filter(leads).flat_map(|row| &row.from).map(Code::as_str).collect()
    }
}

/// In whose name somebody acts, in a word.
#[must_use]
pub const fn actor_name(actor: ActorKind) -> &'static str {
    match actor {
        ActorKind::Unspecified => "nobody",
        ActorKind::Authority => "authority",
        ActorKind::Provider => "provider",
        ActorKind::ReviewBody => "review-body",
        ActorKind::Oversight => "oversight",
    }
}

/// What must hold beside state, role and earlier steps. Each is a function of `procedure::guard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// The request names an instrument of the procedure.
    BasedOnInstrument,
    /// The offence, the penalty and the data asked for reach the thresholds of the instrument.
    ReachesThreshold,
    /// The measure was taken by now and holds at least as long as the instrument demands.
    HoldsLongEnough,
    /// What the state holds has not lapsed when the step is signed.
    StillHolds,
    /// It has not lapsed, and more time is asked for than there is.
    AsksForLonger,
    /// The new end lies after the present one.
    EndsLater,
    /// The ground is open in this procedure, to this Party, for these offences.
    GroundIsOpen,
    /// What is not executed is refused on a ground that is open.
    PartNamesGround,
    /// The conditions it names are open under the instrument.
    ConditionsAreOpen,
    /// Where the instrument demands it, the two sides have consulted.
    ConsultedWhereDue,
    /// Each document the instrument or the requested side demands is named as sent.
    DocumentsComplete,
    /// What the person is charged with is what the person was surrendered for, or speciality does not stand against it.
    WithinSpeciality,
    /// It names the manifest of what is handed over.
    NamesManifest,
    /// The terms on which it is handed over are open under the instrument.
    TermsAreOpen,
    /// It names a manifest, and the disputed hand-over it replaces.
    ReplacesDisputed,
    /// The hand-over it names waits for its terms to be accepted.
    OffersTerms,
    /// The hand-over it names may still be accepted, taken or disputed.
    IsOpen,
    /// What was verified is the manifest of a hand-over whose terms are accepted.
    VerifiedWhole,
    /// The receipt it states lies between the sending and the signature.
    ReceivedByNow,
    /// Nobody may hold the data back any more, or nobody may at all.
    WindowIsOver,
    /// The period to answer is over.
    AnswerIsOverdue,
    /// The window in which the data may be held back or barred is open.
    WithinReview,
    /// The window in which an objection may be raised is open.
    WithinObjection,
    /// It has not lapsed, and the new end lies later, by no more than the instrument allows.
    ExtendsByRule,
}

impl Guard {
    /// All guards.
    pub const ALL: &'static [Self] = &[
        Self::BasedOnInstrument,
        Self::ReachesThreshold,
        Self::HoldsLongEnough,
        Self::StillHolds,
        Self::AsksForLonger,
        Self::EndsLater,
        Self::GroundIsOpen,
        Self::PartNamesGround,
        Self::ConditionsAreOpen,
        Self::ConsultedWhereDue,
        Self::DocumentsComplete,
        Self::WithinSpeciality,
        Self::NamesManifest,
        Self::TermsAreOpen,
        Self::ReplacesDisputed,
        Self::OffersTerms,
        Self::IsOpen,
        Self::VerifiedWhole,
        Self::ReceivedByNow,
        Self::WindowIsOver,
        Self::AnswerIsOverdue,
        Self::WithinReview,
        Self::WithinObjection,
        Self::ExtendsByRule,
    ];

    /// The name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BasedOnInstrument => "based-on-instrument",
            Self::ReachesThreshold => "reaches-threshold",
            Self::HoldsLongEnough => "holds-long-enough",
            Self::StillHolds => "still-holds",
            Self::AsksForLonger => "asks-for-longer",
            Self::EndsLater => "ends-later",
            Self::GroundIsOpen => "ground-is-open",
            Self::PartNamesGround => "part-names-ground",
            Self::ConditionsAreOpen => "conditions-are-open",
            Self::ConsultedWhereDue => "consulted-where-due",
            Self::DocumentsComplete => "documents-complete",
            Self::WithinSpeciality => "within-speciality",
            Self::NamesManifest => "names-manifest",
            Self::TermsAreOpen => "terms-are-open",
            Self::ReplacesDisputed => "replaces-disputed",
            Self::OffersTerms => "offers-terms",
            Self::IsOpen => "is-open",
            Self::VerifiedWhole => "verified-whole",
            Self::ReceivedByNow => "received-by-now",
            Self::WindowIsOver => "window-is-over",
            Self::AnswerIsOverdue => "answer-is-overdue",
            Self::WithinReview => "within-review",
            Self::WithinObjection => "within-objection",
            Self::ExtendsByRule => "extends-by-rule",
        }
    }

    /// What it demands, for people.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::BasedOnInstrument => "the request names an instrument of the procedure that binds both Parties",
            Self::ReachesThreshold => {
                "offence, penalty and categories of data reach what the instrument demands of such a request"
            }
            Self::HoldsLongEnough => {
                "the measure was taken by now and holds at least the period of the instrument (BC 29(7))"
            }
            Self::StillHolds => "what it holds has not lapsed when the step is signed",
            Self::AsksForLonger => "it has not lapsed, and more time is asked for than there is",
            Self::EndsLater => "the new end lies after the present one",
            Self::GroundIsOpen => {
                "the ground is open under the instrument; with the reservation it needs; not for offences it is closed to"
            }
            Self::PartNamesGround => "what is not executed is refused on a ground that is open under the instrument",
            Self::ConditionsAreOpen => {
                "the conditions it names are open under the instrument; with the reservation they need"
            }
            Self::ConsultedWhereDue => "where the instrument demands it, the two sides have consulted before",
            Self::DocumentsComplete => {
                "each document the instrument demands for such a person, and each the requested side asked for, is named as sent"
            }
            Self::WithinSpeciality => {
                "the charge lies within what the person was surrendered for, or was consented to; or the person renounced speciality, came back, or stayed though free to leave"
            }
            Self::NamesManifest => "it names the manifest of what is handed over",
            Self::TermsAreOpen => "the terms on which it is handed over are open under the instrument",
            Self::ReplacesDisputed => "it names a manifest, and the hand-over it replaces, which is disputed",
            Self::OffersTerms => "the hand-over it names is offered and its terms are not accepted yet",
            Self::IsOpen => "the hand-over it names is neither in custody, nor disputed, nor replaced",
            Self::VerifiedWhole => {
                "the terms of the hand-over it names are accepted, and what was verified is its manifest"
            }
            Self::ReceivedByNow => "the receipt it states lies between the sending and the signature",
            Self::WindowIsOver => {
                "the authority that was notified has raised no ground and its period is over, it has said that there is none, or no such review holds the data back"
            }
            Self::AnswerIsOverdue => "the period to answer is over",
            Self::WithinReview => {
                "an authority was notified, it has not yet said that there is no ground, and its period is not over"
            }
            Self::WithinObjection => "an objection can be raised, and the period to raise it is not over",
            Self::ExtendsByRule => {
                "it has not lapsed, and the new end lies after the present one by no more than the instrument allows"
            }
        }
    }

    /// The facts it reads of a step: the form of the step must mark them so.
    #[must_use]
    pub const fn reads(self) -> &'static [&'static str] {
        const MANIFEST: &[&str] =
            &["manifest.item", "manifest.digest", "manifest.root", "manifest.size", "manifest.items", "manifest.bytes"];
        match self {
            Self::BasedOnInstrument => &["reference.instrument"],
            Self::ReachesThreshold => &["reference.instrument", "offence.codes"],
            Self::HoldsLongEnough => &["measure.taken", "measure.until"],
            Self::AsksForLonger => &["extension.until"],
            Self::EndsLater | Self::ExtendsByRule => &["measure.until"],
            Self::GroundIsOpen => &["ground"],
            Self::PartNamesGround => &["accept.scope", "ground"],
            Self::ConditionsAreOpen => &["conditions"],
            Self::DocumentsComplete => &["documents.sent"],
            Self::WithinSpeciality => &["charge.codes", "charge.same-acts"],
            Self::NamesManifest => MANIFEST,
            Self::TermsAreOpen => &["terms.codes"],
            Self::ReplacesDisputed | Self::OffersTerms => &["delivery"],
            Self::IsOpen => &["delivery", "dispute.reasons"],
            Self::VerifiedWhole => {
                &["delivery", "custody.manifest", "custody.record", "custody.items", "custody.bytes"]
            }
            Self::ReceivedByNow => &["received.at"],
            Self::ConsultedWhereDue
            | Self::StillHolds
            | Self::WindowIsOver
            | Self::AnswerIsOverdue
            | Self::WithinReview
            | Self::WithinObjection => &[],
        }
    }
}
