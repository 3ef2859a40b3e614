//! A thread as the index keeps it, laid before the law.
//!
//! Turns rows into acts and asks `procedure` about them: where the request stands, which clocks
//! run, whether a step may be taken. It keeps nothing and decides nothing of its own.

use crate::{
    clock::{Reckoning, Running},
    ids::{AuthorityId, EventId, Malformed, PartyCode, ProcedureCode, StepCode, Time},
    law::{self, Warning},
    procedure::{self, Act, Course, Refusal, Setting, Side, Standing},
    profile::Trust,
    proto::{ActorKind, Body, EventRow, Fact, value::Kind},
    rules::{self, Rules, actor_name},
};
use std::collections::{BTreeMap, BTreeSet};

/// The acts of a thread and who opened it.
#[derive(Debug, Clone, Default)]
pub struct Case {
    opening: Option<(PartyCode, ProcedureCode)>,
    asked: Option<PartyCode>,
    /// Which authority spoke last for each side.
    authorities: BTreeMap<Side, AuthorityId>,
    acts: Vec<Act>,
}

/// A step somebody wants to take.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// The procedure it says it belongs to.
    pub procedure: &'a ProcedureCode,
    /// The step.
    pub step: &'a StepCode,
    /// Who takes it.
    pub author: &'a PartyCode,
    /// In whose name.
    pub actor: ActorKind,
    /// What its author had seen of the thread.
    pub parents: &'a [EventId],
    /// When its author says it is signed.
    pub time: Time,
    /// What its form marks as facts.
    pub facts: &'a [Fact],
    /// What it says in full: both sides hold it while they judge, and never again for the state.
    pub body: &'a Body,
}

impl Case {
    /// Reads the rows of one thread, in ledger order.
    ///
    /// # Errors
    /// When a row holds a name or id that is not well formed.
    pub fn of(rows: &[EventRow]) -> Result<Self, Malformed> {
        let Some(first) = rows.first() else { return Ok(Self::default()) };
        let opener = PartyCode::parse(&first.author)?;
        let acts: Vec<Act> = rows.iter().map(|row| read_act(row, &opener)).collect::<Result<_, _>>()?;
        let asked = first.recipients.first().map(|code| PartyCode::parse(code)).transpose()?;
        let spoke =
            rows.iter().zip(&acts).filter_map(|(row, act)| Some((act.side, AuthorityId::parse(&row.authority).ok()?)));
        let authorities = spoke.collect();
        Ok(Self { opening: Some((opener, ProcedureCode::parse(&first.procedure)?)), asked, authorities, acts })
    }

    /// The side a Party stands on: who opens a request asks.
    #[must_use]
    pub fn side_of(&self, party: &PartyCode) -> Side {
        match &self.opening {
            Some((opener, _)) if opener != party => Side::Requested,
            Some(_) | None => Side::Requesting,
        }
    }

    /// The Party that asks and the one that is asked, of two members. Who would open a request asks.
    #[must_use]
    pub fn between<'m>(
        &'m self,
        members: &'m BTreeSet<PartyCode>,
        author: &'m PartyCode,
    ) -> Option<[&'m PartyCode; 2]> {
        let asks = self.opening.as_ref().map_or(author, |(opener, _)| opener);
        Some([asks, members.iter().find(|member| *member != asks)?])
    }

    /// The acts.
    #[must_use]
    pub fn acts(&self) -> &[Act] {
        &self.acts
    }

    /// True if a member refused every event, the opening among them: the request never came about.
    #[must_use]
    pub fn is_void(&self) -> bool {
        !self.acts.is_empty() && self.acts.iter().all(|act| act.void)
    }

    /// Where the request stands; nothing before its first event.
    ///
    /// # Errors
    /// When there is no table for the procedure.
    pub fn standing(&self, rules: &Rules, now: Time) -> Result<Option<Standing>, Refusal> {
        let Some((_, procedure)) = &self.opening else { return Ok(None) };
        procedure::fold(rules, procedure, &self.acts, now).map(Some)
    }

    /// The latest events: the parents of whatever is signed next.
    ///
    /// # Errors
    /// As [`Self::standing`].
    pub fn heads(&self, rules: &Rules) -> Result<Vec<EventId>, Refusal> {
        Ok(self.standing(rules, Time(0))?.map(|standing| standing.heads).unwrap_or_default())
    }

    /// Whether a step is lawful from where its causal past leaves the request.
    ///
    /// # Errors
    /// The first reason why it is not.
    pub fn permits(&self, rules: &Rules, wish: &Wish<'_>, setting: &Setting) -> Result<(), Refusal> {
        let procedure = self.opening.as_ref().map_or(wish.procedure, |(_, procedure)| procedure);
        if procedure != wish.procedure {
            return Err(Refusal::UnknownStep(wish.step.clone()));
        }
        let side = self.side_of(wish.author);
        if wish.actor != procedure::actor_of(rules, procedure, wish.step, side)? {
            return Err(Refusal::WrongActor { step: wish.step.clone(), actor: actor_name(wish.actor) });
        }
        let act = Act {
            id: EventId::new([0; 32]), // the event has none yet, and no event's digest is zero
            step: wish.step.clone(),
            author: wish.author.clone(),
            side,
            parents: wish.parents.to_vec(),
            time: wish.time,
            recorded: wish.time,
            facts: wish.facts.to_vec(),
            void: false,
        };
        procedure::permits(rules, procedure, &self.acts, &act, setting)?;
        self.renders_texts(rules, procedure, wish)
    }

    /// A translation names fields of the act it translates that hold text.
    fn renders_texts(&self, rules: &Rules, procedure: &ProcedureCode, wish: &Wish<'_>) -> Result<(), Refusal> {
        let values = |key: &str| {
            let field = wish.body.fields.iter().find(|field| field.key == key);
            field.into_iter().flat_map(|field| &field.values).filter_map(|value| match &value.kind {
                Some(Kind::Code(code)) => Some(code.clone()),
                Some(Kind::Text(_) | Kind::Integer(_) | Kind::Flag(_) | Kind::TimeMs(_) | Kind::Date(_)) | None => None,
            })
        };
        let original = values("translation.of").next().and_then(|id| id.parse::<EventId>().ok());
        let original = original.and_then(|id| self.acts.iter().find(|act| act.id == id));
        let Some(form) = original.and_then(|act| rules.form(procedure, &act.step)) else { return Ok(()) };
        let text = |key: &String| form.field(key).is_some_and(|rule| rule.kind == rules::Kind::Text);
        match values("translation.fields").find(|key| !text(key)) {
            None => Ok(()),
            Some(key) => {
                let why = format!("{key} is no text of {}. Name the fields whose texts are translated", form.id());
                Err(Refusal::Guard { guard: procedure::TRANSLATES_AN_OWN_ACT, why })
            }
        }
    }

    /// How the two sides count: where their authorities sit, and what they declared.
    #[must_use]
    pub fn reckoning(&self, rules: &Rules, trust: &Trust, now: Time) -> Reckoning {
        let Some(((opener, procedure), asked)) = self.opening.as_ref().zip(self.asked.as_ref()) else {
            return Reckoning::utc();
        };
        let calendar = |party, side, declared: &BTreeMap<_, _>| {
            law::calendar(trust, party, procedure, self.authorities.get(&side), declared, now)
        };
        let declared = law::declared(rules, trust, asked, now);
        Reckoning {
            requesting: calendar(opener, Side::Requesting, &law::declared(rules, trust, opener, now)),
            requested: calendar(asked, Side::Requested, &declared),
            periods: law::periods(rules, &declared),
        }
    }

    /// What speaks against the request as it stands, though nothing forbids it.
    #[must_use]
    pub fn warnings(&self, rules: &Rules, trust: &Trust, standing: &Standing, now: Time) -> Vec<Warning> {
        let Some(((opener, procedure), asked)) = self.opening.as_ref().zip(self.asked.as_ref()) else {
            return Vec::new();
        };
        let text = standing.common.text.and_then(|id| standing.common.signed.get(&id));
        let translations = text.map(|text| text.translations.keys().cloned().collect()).unwrap_or_default();
        let sending = procedure::sending(procedure, [opener, asked], &standing.course, translations);
        law::warnings(rules, trust, &sending, now)
    }

    /// The clocks that run.
    #[must_use]
    pub fn clocks(&self, rules: &Rules, reckoning: &Reckoning, now: Time) -> Vec<Running> {
        let standing = self.standing(rules, now).ok().flatten();
        standing.map(|standing| procedure::clocks(rules, &standing, reckoning)).unwrap_or_default()
    }
}

/// What speaks against a draft of a request, though nothing forbids it. `facts` are those of its form, as far as it is filled in.
#[must_use]
pub fn warnings(
    rules: &Rules,
    trust: &Trust,
    (procedure, between): (&ProcedureCode, [&PartyCode; 2]),
    facts: &[Fact],
    now: Time,
) -> Vec<Warning> {
    let drafted = Course::drafted(facts, now);
    // A translation is an act of its own, so that a draft has none.
    law::warnings(rules, trust, &procedure::sending(procedure, between, &drafted, Vec::new()), now)
}

/// What must be known of the two sides to judge a step: which instruments bind them, and what the Party that is asked
/// declared in charter and profile, as far as the law lets it.
#[must_use]
pub fn setting(rules: &Rules, trust: &Trust, between: Option<[&PartyCode; 2]>, now: Time) -> Setting {
    let Some([requesting, requested]) = between else { return Setting::default() };
    Setting {
        in_force: law::in_force(rules, trust.charter(), [requesting, requested], now),
        reservations: law::declared(rules, trust, requested, now).into_keys().collect(),
    }
}

fn read_act(row: &EventRow, opener: &PartyCode) -> Result<Act, Malformed> {
    let author = PartyCode::parse(&row.author)?;
    Ok(Act {
        id: EventId::from_slice(&row.event_id)?,
        step: StepCode::parse(&row.step)?,
        side: if author == *opener { Side::Requesting } else { Side::Requested },
        author,
        parents: row.parents.iter().map(|id| EventId::from_slice(id)).collect::<Result<_, _>>()?,
        time: Time(row.time_ms),
        recorded: Time(row.recorded_ms),
        facts: row.facts.clone(),
        void: row.void,
    })
}
