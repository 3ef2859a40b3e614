//! One step under judgement: is it in the table, does what it demands hold, what follows from it.
//!
//! The table says who may take a step from where, after which others, and names its guards; the guards are here, each a
//! question about the act and what went before. Nothing here knows a procedure by name.

use super::common::NORMAL;
use super::course::{INSTRUMENT, PROTOCOLS, URGENCY_BASIS};
use super::delivery::id;
use super::windows::Window;
use super::{Act, Course, Delivery, DeliveryState, ManifestRef, Refusal};
use crate::clock::{due_at_the_earliest, due_at_the_latest};
use crate::ids::{Digest, EventId, PartyCode, ProcedureCode, Time};
use crate::law::{Person, Sending, Weighed, closed, lacking, short_of};
use crate::rules::{Basis, Code, Family, Guard, Procedure, Rules, StepRow, To};
use std::collections::BTreeSet;

/// The code of a decision that executes a request in part, in the list `scopes`.
const PART: &str = "part";

/// The code of a person who was convicted, in the list `person-statuses`.
const CONVICTED: &str = "convicted";

/// The parts of the clock in which an authority that was notified may raise a ground: the first holds the data back, the second
/// runs on after they went out.
const REVIEW: &[&str] = &["ea-review", "ea-review-after"];

/// One step under judgement.
#[derive(Debug)]
pub(super) struct Judging<'a> {
    pub(super) family: &'a Family,
    pub(super) course: &'a Course,
    pub(super) act: &'a Act,
    pub(super) rules: &'a Rules,
    pub(super) procedure: &'a Procedure,
}

impl<'a> Judging<'a> {
    /// The course after the step: it is in the table, what it demands holds, and its facts can be read.
    pub(super) fn after(&self) -> Result<Course, Refusal> {
        let row = self.find()?;
        self.follows(row)?;
        for guard in &row.guards {
            if let Some(why) = self.wrong(*guard)? {
                return Err(Refusal::Guard { guard: guard.name(), why });
            }
        }
        let mut course = self.course.clone();
        for guard in &row.guards {
            self.hand_over(*guard, course.deliveries_mut())?;
        }
        let state = self.leads_to(row, &course)?;
        course.go(self.act, &state, self.family.returns_from(&state));
        Ok(course)
    }

    fn wrong_state(&self) -> Refusal {
        Refusal::WrongState { step: self.act.step.clone(), state: self.course.state().clone() }
    }

    fn find(&self) -> Result<&'a StepRow, Refusal> {
        let (step, side) = (&self.act.step, self.act.side);
        let rows = || self.family.rows.iter().filter(|row| row.step == *step);
        if rows().next().is_none() {
            return Err(Refusal::UnknownStep(step.clone()));
        }
        if !rows().any(|row| row.by.side() == side) {
            return Err(Refusal::WrongSide { step: step.clone(), side });
        }
        rows().find(|row| row.fits(self.course.state().as_str(), side)).ok_or_else(|| self.wrong_state())
    }

    /// The steps that must have come before, and those that must not.
    fn follows(&self, row: &StepRow) -> Result<(), Refusal> {
        let article = if row.article.is_empty() { &self.procedure.source } else { &row.article };
        if !has_what_it_needs(row, self.course) {
            let needs = row.needs.iter().map(Code::as_str).collect::<Vec<_>>().join(" or ");
            let why = format!("{needs} must come before it ({article}). Take that step first");
            return Err(Refusal::Guard { guard: "needs", why });
        }
        match barred_by(row, self.course) {
            None => Ok(()),
            Some(bar) => {
                let why = format!("{bar} was taken before, which rules it out ({article}). Choose another step");
                Err(Refusal::Guard { guard: "bars", why })
            }
        }
    }

    fn leads_to(&self, row: &StepRow, course: &Course) -> Result<Code, Refusal> {
        Ok(match &row.to {
            To::Stays => course.state().clone(),
            To::State(state) => state.clone(),
            To::Settled => settled(course.deliveries()),
            To::Resumed => course.resumes().cloned().ok_or_else(|| self.wrong_state())?,
        })
    }

    /// What an act about a hand-over makes of it.
    fn hand_over(&self, guard: Guard, deliveries: &mut Vec<Delivery>) -> Result<(), Refusal> {
        let mut mark = |state: DeliveryState| -> Result<(), Refusal> {
            let event: EventId = id(self.act, "delivery")?;
            let named = deliveries.iter_mut().find(|delivery| delivery.event == event);
            named.ok_or_else(|| self.wrong_state())?.state = state;
            Ok(())
        };
        match guard {
            Guard::ReplacesDisputed => {
                mark(DeliveryState::Replaced { by: self.act.id })?;
                deliveries.push(self.read_delivery()?);
            }
            Guard::NamesManifest => deliveries.push(self.read_delivery()?),
            Guard::OffersTerms => mark(DeliveryState::TermsAccepted { acceptance: self.act.id })?,
            Guard::IsOpen => mark(DeliveryState::Disputed { reasons: self.act.some_codes("dispute.reasons")? })?,
            Guard::VerifiedWhole => mark(DeliveryState::InCustody { event: self.act.id })?,
            Guard::BasedOnInstrument
            | Guard::ReachesThreshold
            | Guard::HoldsLongEnough
            | Guard::StillHolds
            | Guard::AsksForLonger
            | Guard::EndsLater
            | Guard::GroundIsOpen
            | Guard::PartNamesGround
            | Guard::ConditionsAreOpen
            | Guard::TermsAreOpen
            | Guard::ConsultedWhereDue
            | Guard::DocumentsComplete
            | Guard::WithinSpeciality
            | Guard::ReceivedByNow
            | Guard::WindowIsOver
            | Guard::AnswerIsOverdue
            | Guard::WithinReview
            | Guard::WithinObjection
            | Guard::ExtendsByRule => {}
        }
        Ok(())
    }

    fn read_delivery(&self) -> Result<Delivery, Refusal> {
        Ok(Delivery {
            event: self.act.id,
            manifest: ManifestRef::read(self.act)?,
            terms: self.act.codes("terms.codes"),
            state: DeliveryState::Offered,
        })
    }

    /// What is wrong with the step, in words, as far as a guard looks at it.
    fn wrong(&self, guard: Guard) -> Result<Option<String>, Refusal> {
        Ok(match guard {
            Guard::BasedOnInstrument => self.basis().map(|_| None)?,
            Guard::ReachesThreshold => self.below_threshold()?,
            Guard::HoldsLongEnough => self.wrong_measure()?,
            Guard::StillHolds => self.lapsed(),
            Guard::AsksForLonger => {
                let asked = self.act.time("extension.until")?;
                self.lapsed().or_else(|| self.not_later(asked))
            }
            Guard::EndsLater => self.not_later(self.act.time("measure.until")?),
            Guard::GroundIsOpen => self.wrong_ground()?,
            Guard::PartNamesGround => self.wrong_part()?,
            Guard::ConditionsAreOpen => self.wrong_condition(&self.act.some_codes("conditions")?)?,
            Guard::TermsAreOpen => self.wrong_condition(&self.act.codes("terms.codes"))?,
            Guard::ConsultedWhereDue => self.not_consulted()?,
            Guard::DocumentsComplete => self.lacks_documents()?,
            Guard::WithinSpeciality => self.outside_speciality()?,
            Guard::NamesManifest => ManifestRef::read(self.act).map(|_| None)?,
            Guard::ReplacesDisputed => {
                ManifestRef::read(self.act)?;
                self.unless(Delivery::is_disputed, "it names no hand-over that is disputed. Name the one to replace")?
            }
            Guard::OffersTerms => {
                self.unless(Delivery::is_offered, "it names no hand-over whose terms wait. Name one that is offered")?
            }
            Guard::IsOpen => self.unless(Delivery::is_open, "it names no hand-over that is open. Name one that is")?,
            Guard::VerifiedWhole => self.unverified()?,
            Guard::ReceivedByNow => self.wrong_receipt()?,
            Guard::WindowIsOver => self.held_back()?,
            Guard::AnswerIsOverdue => self.not_overdue()?,
            Guard::WithinReview => self.too_late(REVIEW, "no authority may raise a ground here, or none any more")?,
            Guard::WithinObjection => {
                self.too_late(&["objection"], "no objection can be raised here, or none any more")?
            }
            Guard::ExtendsByRule => self.wrong_extension()?,
        })
    }

    /// What the instrument of the request says of the procedure.
    fn basis(&self) -> Result<&'a Basis, Refusal> {
        let instrument = match (self.act.code_if_any(INSTRUMENT), self.course.code(INSTRUMENT)) {
            (Some(said), _) | (None, Some(said)) => said,
            (None, None) => return Err(Refusal::MissingFact(INSTRUMENT.to_owned())),
        };
        self.rules.basis(&self.procedure.code, &instrument).ok_or_else(|| Refusal::Guard {
            guard: Guard::BasedOnInstrument.name(),
            why: format!("{instrument} is no basis for {}. Name another instrument", self.procedure.code),
        })
    }

    /// What the request is about: what it said, or says now.
    fn about(&self) -> Weighed {
        weighed(&self.course.saying(self.act))
    }

    fn below_threshold(&self) -> Result<Option<String>, Refusal> {
        let short = short_of(self.basis()?, &self.about()).into_iter().next();
        Ok(short.map(|why| format!("{why}. Name another basis")))
    }

    fn wrong_measure(&self) -> Result<Option<String>, Refusal> {
        let (taken, until) = (self.act.time("measure.taken")?, self.act.time("measure.until")?);
        if taken > self.act.time {
            return Ok(Some("the measure lies after the signature. Say when it was taken".to_owned()));
        }
        let usage = self.basis()?.playing(&["holds"]).next();
        let Some((usage, rule)) = usage.and_then(|usage| Some((usage, self.rules.clock(&usage.clock)?))) else {
            return Ok(Some("the rules name no period for its instrument. Add its clock".to_owned()));
        };
        // From what the clock counts from, as far as this act says it.
        let start = usage.from.iter().find_map(|key| self.act.time_if_any(key)).unwrap_or(taken);
        let short = until < due_at_the_earliest(start, rule);
        Ok(short.then(|| {
            let (count, unit) = (rule.duration, rule.unit.as_str());
            format!("{} demands at least {count} times a {unit} ({}). Name a later end", rule.id, rule.source)
        }))
    }

    fn lapsed(&self) -> Option<String> {
        let until = holds_until(self.family, self.course).filter(|until| self.act.time >= *until);
        until.map(|_| "what it holds has lapsed. Send a new request".to_owned())
    }

    fn not_later(&self, until: Time) -> Option<String> {
        let later = self.course.time("measure.until").is_some_and(|present| until > present);
        (!later).then(|| "the end does not lie after the present one. Name a later end".to_owned())
    }

    fn wrong_ground(&self) -> Result<Option<String>, Refusal> {
        let code = self.act.code("ground")?;
        let basis = self.basis()?;
        let Some(usage) = basis.ground(&code) else {
            let why = format!("{code} is no ground in {} under {}", self.procedure.code, basis.instrument);
            return Ok(Some(format!("{why}. Choose one of its grounds")));
        };
        let named = self.act.code_if_any("ground.reservation");
        Ok(closed(self.rules, usage, &self.about(), named.as_ref()))
    }

    /// A decision on a part names the ground for the rest; one on the whole may name none.
    fn wrong_part(&self) -> Result<Option<String>, Refusal> {
        let in_part = self.act.code("accept.scope")?.as_str() == PART;
        if in_part || self.act.code_if_any("ground").is_some() { self.wrong_ground() } else { Ok(None) }
    }

    /// What is supplied may depend on no other conditions than those the instrument knows.
    fn wrong_condition(&self, named: &[Code]) -> Result<Option<String>, Refusal> {
        let (basis, about) = (self.basis()?, self.about());
        let relied_on = self.act.code_if_any("ground.reservation");
        Ok(named.iter().find_map(|code| match basis.ground(code) {
            Some(usage) => closed(self.rules, usage, &about, relied_on.as_ref()),
            None => {
                let why = format!("{code} is no condition in {} under {}", self.procedure.code, basis.instrument);
                Some(format!("{why}. Choose one of its conditions"))
            }
        }))
    }

    /// Some instruments let no request be refused before the two sides have consulted.
    fn not_consulted(&self) -> Result<Option<String>, Refusal> {
        let consulted =
            ["answer-consultation", "end-consultation"].iter().any(|step| self.course.taken(step).is_some());
        let article = self.basis()?.consulted_by.as_ref().filter(|_| !consulted);
        Ok(article.map(|article| format!("the two sides have not consulted ({article}). Take the step consult first")))
    }

    /// The documents that are named as sent are those the instrument demands, and those the requested side asked for.
    fn lacks_documents(&self) -> Result<Option<String>, Refusal> {
        let basis = self.basis()?;
        let said = self.course.saying(self.act);
        let person = person(&said).ok_or_else(|| Refusal::MissingFact("person.status".to_owned()))?;
        let sent = self.act.codes("documents.sent");
        let needed = lacking(basis, person, &sent, &said.codes(PROTOCOLS)).0;
        let by_law = needed.into_iter().map(|document| &document.code);
        let asked = said.codes("documents.wanted");
        let lacks: BTreeSet<&Code> = by_law.chain(asked.iter().filter(|code| !sent.contains(code))).collect();
        let named = lacks.iter().map(|code| code.as_str()).collect::<Vec<_>>().join(", ");
        Ok((!lacks.is_empty()).then(|| format!("it is not accompanied by {named} ({}). Add it", basis.source)))
    }

    /// A charge for other acts than those of the surrender, or for other offences, needs consent or an end of speciality.
    fn outside_speciality(&self) -> Result<Option<String>, Refusal> {
        let charged = self.act.some_codes("charge.codes")?;
        let outside = |scope: Vec<Code>| charged.iter().find(|code| !scope.contains(code));
        let surrendered_for = self.course.codes("speciality.scope");
        let within = self.act.flag("charge.same-acts")? && outside(surrendered_for).is_none();
        if within || outside(self.course.codes("speciality.consented")).is_none() || self.is_free_of_speciality()? {
            return Ok(None);
        }
        let charged = charged.iter().map(Code::as_str).collect::<Vec<_>>().join(", ");
        let why = "is not what the person was surrendered for, and no consent covers it";
        Ok(Some(format!("{charged} {why}. Ask the surrendering Party for its consent")))
    }

    /// The person renounced it, came back, or stayed for the time of the instrument though free to leave.
    fn is_free_of_speciality(&self) -> Result<bool, Refusal> {
        let course = self.course;
        if course.flag("speciality.renounced") || course.flag("speciality.returned") {
            return Ok(true);
        }
        Ok(self.window(&["speciality"])?.is_some_and(|window| window.is_over(self.act.time)))
    }

    /// A window of the request's instrument that plays one of these parts and applies to it.
    fn window(&self, parts: &'a [&str]) -> Result<Option<Window<'a>>, Refusal> {
        Ok(Window::of(self.rules, self.basis()?, self.course, parts))
    }

    fn wrong_receipt(&self) -> Result<Option<String>, Refusal> {
        let received = self.act.time("received.at")?;
        // What was sent before may have been answered in another way meanwhile; it came once.
        let sent = self.course.first_in(&self.find()?.from).unwrap_or(self.course.since());
        let between = sent <= received && received <= self.act.time;
        Ok((!between).then(|| "receipt lies before the sending or after the signature. Say when it came".to_owned()))
    }

    /// Data are held back while the authority that was notified may still raise a ground.
    fn held_back(&self) -> Result<Option<String>, Refusal> {
        let window = self.window(&["ea-review"])?;
        Ok(window.filter(|window| !window.is_over(self.act.time)).map(|window| {
            format!("{}. Wait for the notified authority's word or for the end of its period", window.says())
        }))
    }

    fn not_overdue(&self) -> Result<Option<String>, Refusal> {
        Ok(match self.window(&["answer"])? {
            None => Some("the rules name no period to answer. Add its clock".to_owned()),
            Some(window) if window.is_over(self.act.time) => None,
            Some(window) => Some(format!("{}, which is not over. Wait for its end", window.says())),
        })
    }

    fn too_late(&self, parts: &'a [&str], none: &str) -> Result<Option<String>, Refusal> {
        Ok(match self.window(parts)? {
            None => Some(format!("{none}. Choose another step")),
            Some(window) if window.is_over(self.act.time) => {
                Some(format!("{}, which is over. Choose another step", window.says()))
            }
            Some(_) => None,
        })
    }

    fn wrong_extension(&self) -> Result<Option<String>, Refusal> {
        let until = self.act.time("measure.until")?;
        let early = self.lapsed().or_else(|| self.not_later(until));
        let rule = self.basis()?.clock("extends").and_then(|id| self.rules.clock(id));
        let (Some(rule), Some(present)) = (rule, self.course.time("measure.until")) else {
            return Ok(
                early.or_else(|| Some("the rules name no extension for its instrument. Add its clock".to_owned()))
            );
        };
        let far = (until > due_at_the_latest(present, rule)).then(|| {
            let (count, unit) = (rule.duration, rule.unit.as_str());
            format!("{} allows {count} times a {unit} more ({}). Name an earlier end", rule.id, rule.source)
        });
        Ok(early.or(far))
    }

    /// The hand-over this step names.
    fn named(&self) -> Result<Option<&Delivery>, Refusal> {
        let event: EventId = id(self.act, "delivery")?;
        Ok(self.course.deliveries().iter().find(|delivery| delivery.event == event))
    }

    fn unless(&self, fits: fn(&Delivery) -> bool, why: &str) -> Result<Option<String>, Refusal> {
        Ok((!self.named()?.is_some_and(fits)).then(|| why.to_owned()))
    }

    fn unverified(&self) -> Result<Option<String>, Refusal> {
        let verified: Digest = id(self.act, "custody.manifest")?;
        let _record: Digest = id(self.act, "custody.record")?;
        self.act.count("custody.items")?;
        self.act.count("custody.bytes")?;
        let named = self.named()?.filter(|delivery| delivery.is_accepted());
        Ok(match named {
            None => Some("it names no hand-over whose terms are accepted. Name one".to_owned()),
            Some(delivery) if delivery.manifest.digest != verified => {
                Some("what was verified is not the manifest of that hand-over. Verify it again".to_owned())
            }
            Some(_) => None,
        })
    }
}

/// Until when what its state holds lasts, if its state ends with time.
pub(super) fn holds_until(family: &Family, course: &Course) -> Option<Time> {
    family.state(course.state().as_str())?.until.as_ref().and_then(|key| course.time(key))
}

pub(super) fn has_what_it_needs(row: &StepRow, course: &Course) -> bool {
    row.needs.is_empty() || row.needs.iter().any(|step| course.taken(step.as_str()).is_some())
}

pub(super) fn barred_by<'r>(row: &'r StepRow, course: &Course) -> Option<&'r Code> {
    row.bars.iter().find(|step| course.taken(step.as_str()).is_some())
}

/// True if a guard can hold now, whatever the act says.
pub(super) fn can_hold(guard: Guard, course: &Course, lapsed: bool) -> bool {
    let any = |fits: fn(&Delivery) -> bool| course.deliveries().iter().any(fits);
    match guard {
        Guard::StillHolds | Guard::AsksForLonger => !lapsed,
        Guard::ReplacesDisputed => any(Delivery::is_disputed),
        Guard::OffersTerms => any(Delivery::is_offered),
        Guard::IsOpen => any(Delivery::is_open),
        Guard::VerifiedWhole => any(Delivery::is_accepted),
        Guard::BasedOnInstrument
        | Guard::ReachesThreshold
        | Guard::HoldsLongEnough
        | Guard::EndsLater
        | Guard::GroundIsOpen
        | Guard::PartNamesGround
        | Guard::ConditionsAreOpen
        | Guard::TermsAreOpen
        | Guard::ConsultedWhereDue
        | Guard::DocumentsComplete
        | Guard::WithinSpeciality
        | Guard::NamesManifest
        | Guard::ReceivedByNow
        | Guard::WindowIsOver
        | Guard::AnswerIsOverdue
        | Guard::WithinReview
        | Guard::WithinObjection
        | Guard::ExtendsByRule => true,
    }
}

/// Where everything that was handed over leaves a request whose last hand-over was made.
fn settled(deliveries: &[Delivery]) -> Code {
    let state = if deliveries.iter().any(Delivery::is_disputed) {
        "disputed"
    } else if deliveries.iter().all(Delivery::is_done) {
        "acknowledged"
    } else {
        "delivered"
    };
    Code::parse(state).expect("a code")
}

/// What a request said of the person sought, as far as documents depend on it.
fn person(course: &Course) -> Option<Person> {
    let convicted = course.code("person.status")?.as_str() == CONVICTED;
    Some(Person { convicted, in_absentia: course.flag("person.in-absentia") })
}

/// What a request said that warnings look at.
pub(crate) fn sending<'a>(
    procedure: &'a ProcedureCode,
    between: [&'a PartyCode; 2],
    course: &Course,
    translations: Vec<Code>,
) -> Sending<'a> {
    Sending {
        procedure,
        between,
        instrument: course.code(INSTRUMENT),
        urgent: course.code("urgency.level").is_some_and(|level| level.as_str() != NORMAL),
        original: course.code("language.original"),
        translations,
        person: person(course),
        sent: course.codes("documents.sent"),
        protocols: course.codes(PROTOCOLS),
    }
}

/// What a request said that the law weighs.
fn weighed(course: &Course) -> Weighed {
    use crate::proto::value::Kind;
    let count = |key: &str| match course.said(key).map(|said| &said.value) {
        Some(Kind::Integer(number)) => u64::try_from(*number).ok(),
        Some(Kind::Text(_) | Kind::Code(_) | Kind::Flag(_) | Kind::TimeMs(_) | Kind::Date(_)) | None => None,
    };
    Weighed {
        offences: course.codes("offence.codes"),
        life: course.flag("penalty.life"),
        penalty_months: count("penalty.most-months"),
        penalty_months_requested: count("penalty.requested-months"),
        sentence_months: count("sentence.months"),
        categories: course.codes("data.categories"),
        protocols: course.codes(PROTOCOLS),
        emergency: course.code(URGENCY_BASIS),
    }
}
