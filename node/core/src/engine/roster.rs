//! Documents of charter and Parties: judged when they come, counted once they are on disk.
//!
//! They are taken one after another, each judged against a book that no other changes meanwhile. A head is no record:
//! it says nothing that lasts, and the one after it says more. Two of one number are kept as proof of a fork, once for
//! each kind and Party, so that nobody fills a ledger with contradictions of its own; whoever has such a proof hands it
//! on at once, and since each keeps one only, that ends by itself.

use std::sync::Arc;

use super::{Engine, EngineFault, Job, NotDone, Output, Step, Ticket, own::not_done};
use crate::{
    index::Pairs,
    profile::{Document, Judged, Kind, News, ProfileFault, Trust},
    proto::RecordKind,
    record::document,
    wire::DOCUMENT_MAX,
};

/// Documents waiting for the one before them: more than a peer hands over at once.
const DOCUMENTS_MAX: usize = 64;
/// Their bytes together: a few of the largest.
const DOCUMENT_BYTES_MAX: usize = 4 * DOCUMENT_MAX;

/// A document somebody handed over.
pub(super) struct Offered {
    ticket: Ticket,
    envelope: Vec<u8>,
}

/// A document on its way to the disk.
pub(super) struct Entering {
    ticket: Ticket,
    envelope: Arc<[u8]>,
    /// What it changes, or what it proves against its author.
    judged: Result<Judged, ProfileFault>,
}

/// What a document has changed.
#[derive(Debug, Clone)]
pub struct Change {
    /// What is new.
    pub news: News,
    /// Which document it is.
    pub document: Document,
    /// The document as it came.
    pub envelope: Arc<[u8]>,
    /// All that is known from now on.
    pub trust: Arc<Trust>,
}

impl Engine {
    /// All that is known of charter and Parties.
    #[must_use]
    pub fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    pub(super) fn on_document<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        ticket: Ticket,
        envelope: Vec<u8>,
    ) -> Result<(), EngineFault> {
        let waiting: usize = self.offered.iter().map(|offered| offered.envelope.len()).sum();
        if self.offered.len() >= DOCUMENTS_MAX || waiting + envelope.len() > DOCUMENT_BYTES_MAX {
            let busy = not_done("engine.busy", "too many documents are waiting; hand this one over again");
            step.out.push(Output::Documented(ticket, Err(busy)));
            return Ok(());
        }
        self.offered.push_back(Offered { ticket, envelope });
        self.next_document(step)
    }

    /// Takes up documents until one of them has to be written.
    fn next_document<P: Pairs>(&mut self, step: &mut Step<'_, P>) -> Result<(), EngineFault> {
        while !self.jobs.values().any(|job| matches!(job, Job::Document(_))) {
            let Some(Offered { ticket, envelope }) = self.offered.pop_front() else { break };
            let seen = self.last_recorded.max(step.now); // as it would be recorded
            match self.book.judge(&envelope, seen) {
                Ok(None) => step.out.push(Output::Documented(ticket, Ok(News::Known))),
                Ok(Some(judged)) if judged.document().kind == Kind::Head => {
                    self.entered(step, ticket, judged, envelope.into())?;
                }
                Ok(Some(judged)) if self.names_another_ledger(&judged) => {
                    let detail = "the profile names another ledger than the one that is written here; put it into charter/profiles and start the node again";
                    step.out.push(Output::Documented(ticket, Err(not_done("ledger.succession-at-start", detail))));
                }
                Ok(Some(judged)) => self.write_document(step, ticket, envelope, Ok(judged)),
                Err(fault) => self.refuse_document(step, ticket, fault, envelope)?,
            }
        }
        Ok(())
    }

    /// True for a profile of our own under which this ledger would have to go on by another name: only a start does that.
    fn names_another_ledger(&self, judged: &Judged) -> bool {
        judged
            .profile()
            .is_some_and(|profile| profile.party == self.us.party && profile.ledger().origin != self.us.origin)
    }

    fn refuse_document<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        ticket: Ticket,
        fault: ProfileFault,
        envelope: Vec<u8>,
    ) -> Result<(), EngineFault> {
        if let ProfileFault::Fork(document) = &fault
            && step.index.documents(document.kind, document.party.as_ref(), 0, true)?.is_empty()
        {
            self.write_document(step, ticket, envelope, Err(fault));
            return Ok(());
        }
        step.out.push(Output::Documented(ticket, Err(refused(&fault))));
        Ok(())
    }

    fn write_document<P>(
        &mut self,
        step: &mut Step<'_, P>,
        ticket: Ticket,
        envelope: Vec<u8>,
        judged: Result<Judged, ProfileFault>,
    ) {
        let (kind, named) = match &judged {
            Ok(judged) => (RecordKind::RosterChange, judged.document()),
            Err(ProfileFault::Fork(named)) => (RecordKind::ForkProof, &**named),
            Err(fault) => return step.out.push(Output::Documented(ticket, Err(refused(fault)))),
        };
        let trust = self.trust.clone();
        match document(&self.moment(&trust, step), kind, named, &envelope) {
            Ok(record) => {
                let entering = Entering { ticket, envelope: envelope.into(), judged };
                self.append(step, Job::Document(Box::new(entering)), record);
            }
            Err(fault) => step.out.push(Output::Documented(ticket, Err(refused(&fault.into())))),
        }
    }

    /// It is on disk: from now on it counts.
    pub(super) fn document_appended<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        entering: Entering,
    ) -> Result<(), EngineFault> {
        let Entering { ticket, envelope, judged } = entering;
        match judged {
            Ok(judged) => {
                let owner = judged.profile().map(|profile| profile.party.clone());
                self.entered(step, ticket, judged, envelope)?;
                if let Some(party) = owner {
                    // It may name a ledger that has lost what was delivered to it.
                    self.outbox.look_again(&party);
                    self.pump(step, &party)?;
                }
            }
            Err(fault) => {
                step.out.push(Output::Documented(ticket, Err(refused(&fault))));
                if let ProfileFault::Fork(document) = fault {
                    step.out.push(Output::Contradicted(document, envelope));
                }
            }
        }
        self.next_document(step)
    }

    pub(super) fn document_failed<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        entering: &Entering,
        code: &'static str,
    ) -> Result<(), EngineFault> {
        let detail = "the document was not recorded and does not count; hand it over again";
        step.out.push(Output::Documented(entering.ticket, Err(not_done(code, detail))));
        self.next_document(step)
    }

    fn entered<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        ticket: Ticket,
        judged: Judged,
        envelope: Arc<[u8]>,
    ) -> Result<(), EngineFault> {
        let document = judged.document().clone();
        let news = self.book.enter(judged);
        self.trust = Arc::new(self.book.trust());
        let change = Change { news: news.clone(), document, envelope, trust: self.trust.clone() };
        let recounted = match &news {
            News::Profile(party) | News::Directory(party) => self.count_anew(step, party),
            News::Known | News::Charter { .. } | News::Head(..) | News::Suspended(_) => Ok(()),
        };
        step.out.push(Output::Trust(Box::new(change)));
        step.out.push(Output::Documented(ticket, Ok(news)));
        recounted
    }
}

fn refused(fault: &ProfileFault) -> NotDone {
    not_done(fault.code(), &fault.to_string())
}
