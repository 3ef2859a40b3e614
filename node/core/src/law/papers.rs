//! Which documents a request must be accompanied by, as its instrument says for an accused or a convicted person.
//!
//! Asked by the guard of a table, which does not let a request go without what is always needed, and by whoever drafts one and
//! wants to be warned of what else belongs to it.

use crate::rules::{Basis, Code, Document, Needed};

/// What of the person sought decides which documents are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// The person was convicted, not only accused.
    pub convicted: bool,
    /// The person was tried in absence.
    pub in_absentia: bool,
}

impl Person {
    const fn needs(self, document: &Document) -> bool {
        match document.needed {
            Needed::Always => true,
            Needed::Convicted => self.convicted,
            Needed::InAbsentia => self.in_absentia,
            Needed::IfAny => false,
        }
    }
}

/// The documents that are not among those given: first those without which the request does not go, then those whose absence
/// only warns. What a protocol does without, on which the request rests as well, is not missed.
#[must_use]
pub fn lacking<'b>(
    basis: &'b Basis,
    person: Person,
    given: &[Code],
    protocols: &[Code],
) -> (Vec<&'b Document>, Vec<&'b Document>) {
    let dropped = |row: &Document| row.dropped_with.as_ref().is_some_and(|code| protocols.contains(code));
    let absent = basis.documents.iter().filter(|row| !given.contains(&row.code) && !dropped(row));
    let (must, rest): (Vec<_>, Vec<_>) = absent.partition(|document| person.needs(document));
    (must, rest.into_iter().filter(|document| document.needed == Needed::IfAny).collect())
}
