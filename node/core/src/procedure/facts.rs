//! Reading the facts of an act. A fact that a form makes mandatory and that is not there is a refusal.

use super::{Act, Refusal};
use crate::ids::Time;
use crate::proto::value::Kind;
use crate::rules::Code;

/// The key of one value of a list field.
pub(super) fn listed(key: &str, place: usize) -> String {
    format!("{key}.{place:02}")
}

impl Act {
    fn fact(&self, key: &str) -> Option<&Kind> {
        self.facts.iter().find(|fact| fact.key == key)?.value.as_ref()?.kind.as_ref()
    }

    pub(super) fn code_if_any(&self, key: &str) -> Option<Code> {
        match self.fact(key)? {
            Kind::Code(code) => Code::parse(code),
            Kind::Text(_) | Kind::Integer(_) | Kind::Flag(_) | Kind::TimeMs(_) | Kind::Date(_) => None,
        }
    }

    pub(super) fn time_if_any(&self, key: &str) -> Option<Time> {
        match self.fact(key)? {
            Kind::TimeMs(ms) => Some(Time(*ms)),
            Kind::Text(_) | Kind::Code(_) | Kind::Integer(_) | Kind::Flag(_) | Kind::Date(_) => None,
        }
    }

    /// A whole number that counts something.
    pub(super) fn count(&self, key: &str) -> Result<u64, Refusal> {
        let number = match self.fact(key) {
            Some(Kind::Integer(number)) => u64::try_from(*number).ok(),
            Some(Kind::Text(_) | Kind::Code(_) | Kind::Flag(_) | Kind::TimeMs(_) | Kind::Date(_)) | None => None,
        };
        number.ok_or_else(|| Refusal::MissingFact(key.to_owned()))
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool, Refusal> {
        match self.fact(key) {
            Some(Kind::Flag(flag)) => Ok(*flag),
            Some(Kind::Text(_) | Kind::Code(_) | Kind::Integer(_) | Kind::TimeMs(_) | Kind::Date(_)) | None => {
                Err(Refusal::MissingFact(key.to_owned()))
            }
        }
    }

    pub(super) fn code(&self, key: &str) -> Result<Code, Refusal> {
        self.code_if_any(key).ok_or_else(|| Refusal::MissingFact(key.to_owned()))
    }

    pub(super) fn time(&self, key: &str) -> Result<Time, Refusal> {
        self.time_if_any(key).ok_or_else(|| Refusal::MissingFact(key.to_owned()))
    }

    /// The codes of a list field: its facts are numbered `.00`, `.01` and so on.
    pub(super) fn codes(&self, key: &str) -> Vec<Code> {
        (0..100).map_while(|place| self.code_if_any(&listed(key, place))).collect()
    }

    /// The same, where the form demands at least one.
    pub(super) fn some_codes(&self, key: &str) -> Result<Vec<Code>, Refusal> {
        let codes = self.codes(key);
        if codes.is_empty() { Err(Refusal::MissingFact(key.to_owned())) } else { Ok(codes) }
    }
}
