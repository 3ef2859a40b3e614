//! The steps that every state of every procedure accepts, and what they leave behind. They change no state.

use super::course::URGENCY_BASIS;
use super::{Act, Course, Refusal, Side};
use crate::ids::{EventId, StepCode, Time};
use crate::rules::Code;
use std::collections::BTreeMap;

/// What every request has beside the state of its procedure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Common {
    /// How urgent it is; `None` before the request.
    pub urgency: Option<Code>,
    /// Until when the requesting side wishes an answer.
    pub wish_by: Option<Time>,
    /// The level of confidentiality asked for.
    pub confidentiality: Option<Code>,
    /// Questions not yet answered, and who asked them.
    pub open_questions: BTreeMap<EventId, Side>,
    /// The latest word of the requested side on its progress.
    pub progress: Option<Code>,
    /// The act whose texts say what is asked: the latest that named its language.
    pub text: Option<EventId>,
    /// Every act that took effect, and what its side has translated it into.
    pub signed: BTreeMap<EventId, Signed>,
}

/// An act as a text: who signed it, and its translations, each an act of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The side that signed it.
    pub by: Side,
    /// The latest translation into each language.
    pub translations: BTreeMap<Code, EventId>,
}

/// What a common step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Note,
    Question,
    Answer,
    StatusReport,
    UrgencyChange,
    Translation,
}

impl Step {
    fn parse(code: &StepCode) -> Option<Self> {
        [Self::Note, Self::Question, Self::Answer, Self::StatusReport, Self::UrgencyChange, Self::Translation]
            .into_iter()
            .find(|step| step.code() == code.as_str())
    }

    const fn code(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Question => "question",
            Self::Answer => "answer",
            Self::StatusReport => "status-report",
            Self::UrgencyChange => "urgency-change",
            Self::Translation => "translation",
        }
    }

    const fn guard(self) -> &'static str {
        match self {
            Self::Answer => ANSWERS_A_QUESTION,
            Self::UrgencyChange => URGENCY_MAY_CHANGE,
            Self::Translation => TRANSLATES_AN_OWN_ACT,
            Self::Note | Self::Question | Self::StatusReport => "none",
        }
    }
}

/// An answer names an open question of the other side.
const ANSWERS_A_QUESTION: &str = "answers-a-question";
/// The level of a request that is not urgent, in the list `urgency`.
pub(super) const NORMAL: &str = "normal";
/// The act it translates stands in the request and is of the same side; the fields it names hold text there.
pub(crate) const TRANSLATES_AN_OWN_ACT: &str = "translates-an-own-act";
/// The instrument does not leave it to the order itself how urgent it is, or the level stays.
const URGENCY_MAY_CHANGE: &str = "urgency-may-change";

/// True if the step says how urgent a request is.
pub(super) fn changes_urgency(step: &StepCode) -> bool {
    Step::parse(step) == Some(Step::UrgencyChange)
}

/// One of these steps, and which side may take it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) step: &'static str,
    pub(super) side: Side,
    pub(super) guard: &'static str,
}

const fn row(step: Step, side: Side) -> Row {
    Row { step: step.code(), side, guard: step.guard() }
}

/// Which side may take which of these steps.
pub(super) const ROWS: &[Row] = &[
    row(Step::Note, Side::Requesting),
    row(Step::Note, Side::Requested),
    row(Step::Question, Side::Requesting),
    row(Step::Question, Side::Requested),
    row(Step::Answer, Side::Requesting),
    row(Step::Answer, Side::Requested),
    row(Step::StatusReport, Side::Requested),
    row(Step::UrgencyChange, Side::Requesting),
    row(Step::Translation, Side::Requesting),
    row(Step::Translation, Side::Requested),
];

/// True if the step is one of these.
pub(super) fn knows(step: &StepCode) -> bool {
    Step::parse(step).is_some()
}

/// The steps open to a side.
pub(super) fn open_rows(common: &Common, side: Side) -> impl Iterator<Item = &'static str> + use<> {
    let asked = common.open_questions.values().any(|asker| *asker == side.other());
    let open = ROWS.iter().filter(move |row| row.side == side && (asked || row.guard != ANSWERS_A_QUESTION));
    open.map(|row| row.step)
}

impl Common {
    /// True if it is urgent or an emergency.
    pub(super) fn is_urgent(&self) -> bool {
        self.urgency.as_ref().is_some_and(|level| level.as_str() != NORMAL)
    }

    /// Takes one of the common steps. `fixed` is the article by which the order itself says how urgent it is, as the course
    /// has it.
    pub(super) fn take(&mut self, act: &Act, fixed: Option<&str>, course: &Course) -> Result<(), Refusal> {
        let step = Step::parse(&act.step).ok_or_else(|| Refusal::UnknownStep(act.step.clone()))?;
        if !ROWS.iter().any(|row| row.step == step.code() && row.side == act.side) {
            return Err(Refusal::WrongSide { step: act.step.clone(), side: act.side });
        }
        match step {
            Step::Note => {}
            Step::Question => {
                self.open_questions.insert(act.id, act.side);
            }
            Step::Answer => self.close_question(act)?,
            Step::StatusReport => self.progress = Some(act.code("report.progress")?),
            Step::UrgencyChange => {
                let level = act.code("urgency.level")?;
                let stays = self.urgency.as_ref() == Some(&level)
                    && course.code(URGENCY_BASIS) == act.code_if_any(URGENCY_BASIS);
                if let Some(article) = fixed.filter(|_| !stays) {
                    let why =
                        format!("the order itself says how urgent it is ({article}). Withdraw it and issue another");
                    return Err(Refusal::Guard { guard: URGENCY_MAY_CHANGE, why });
                }
                self.urgency = Some(level);
                self.wish_by = act.time_if_any("wish.by");
            }
            Step::Translation => self.translate(act)?,
        }
        Ok(())
    }

    /// Keeps that an act took effect.
    pub(super) fn note_signed(&mut self, act: &Act) {
        self.signed.insert(act.id, Signed { by: act.side, translations: BTreeMap::new() });
    }

    fn translate(&mut self, act: &Act) -> Result<(), Refusal> {
        let (of, language) = (act.code("translation.of")?, act.code("translation.language")?);
        let original = of.as_str().parse::<EventId>().ok().and_then(|id| self.signed.get_mut(&id));
        let Some(original) = original.filter(|original| original.by == act.side) else {
            let why = format!("{of} is no act of this side in the request. Name the one that is translated");
            return Err(Refusal::Guard { guard: TRANSLATES_AN_OWN_ACT, why });
        };
        original.translations.insert(language, act.id);
        Ok(())
    }

    /// What the envelope of a request says; other steps of a family carry none of it.
    pub(super) fn note_envelope(&mut self, act: &Act) {
        if act.code_if_any("language.original").is_some() {
            self.text = Some(act.id);
        }
        if let Some(urgency) = act.code_if_any("urgency.level") {
            self.urgency = Some(urgency);
            self.wish_by = act.time_if_any("wish.by");
            self.confidentiality = act.code_if_any("confidentiality.level");
        }
    }

    fn close_question(&mut self, act: &Act) -> Result<(), Refusal> {
        let to = act.code("answer.to")?;
        let question = to.as_str().parse::<EventId>().ok();
        let open = question.filter(|id| self.open_questions.get(id) == Some(&act.side.other()));
        let Some(id) = open else {
            let why = format!("{to} is no open question of the other side");
            return Err(Refusal::Guard { guard: ANSWERS_A_QUESTION, why });
        };
        self.open_questions.remove(&id);
        Ok(())
    }
}
