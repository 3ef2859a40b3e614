//! Questions of the law before anything is asked: which instruments carry a request between XA, that asks, and XB, that is asked.
//!
//! They are put to the charter and the profiles of a network of these two, founded for each question.

use super::{moment, term};
use crate::founding::tests::{START, code, keys_of, network, payload, root};
use crate::founding::{self, Founder};
use crate::ids::ProcedureCode;
use crate::law::{self, Opinion, Weighed};
use crate::profile::{CHARTER_TYPE, Charter, Profile, Trust, document_id};
use crate::proto::{Declaration, InstrumentStatus, KeyRole};
use crate::rules::sample::shipped;
use crate::rules::{Code, Literal};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// What the answer shows, as a sentence.
    pub(super) name: String,
    /// The article it rests on.
    pub(super) law: String,
    /// The day, and its hour.
    on: String,
    /// The instruments that bind both, and from when on.
    in_force: BTreeMap<String, String>,
    /// The instruments that cease to bind XB, and when.
    #[serde(default)]
    ended: BTreeMap<String, String>,
    /// What XB has declared, and how.
    #[serde(default)]
    declared: BTreeMap<String, String>,
    procedure: String,
    #[serde(default)]
    offences: Vec<String>,
    months: Option<u64>,
    months_in_requested: Option<u64>,
    sentence_months: Option<u64>,
    #[serde(default)]
    life: bool,
    #[serde(default)]
    data: Vec<String>,
    #[serde(default)]
    protocols: Vec<String>,
    emergency: Option<String>,
    /// The instruments that carry the request.
    #[serde(default)]
    offered: Vec<String>,
    /// Those that do not, and a word of the reason.
    #[serde(default)]
    not_offered: BTreeMap<String, String>,
    /// Those in whose place another stands between these Parties, and which.
    #[serde(default)]
    replaced: BTreeMap<String, String>,
    /// The instrument of which the rest is asked: the first that carries the request.
    under: Option<String>,
    #[serde(default)]
    open: Vec<String>,
    /// Grounds that are closed, and a word of the reason.
    #[serde(default)]
    closed: BTreeMap<String, String>,
    /// The clocks that would run, all of them.
    clocks: Option<Vec<String>>,
    /// How many of its units a clock has here by declaration.
    #[serde(default)]
    periods: BTreeMap<String, u32>,
    /// The languages XB takes, by its profile.
    #[serde(default = "english")]
    takes: Vec<String>,
    /// The language the request is in, and those it is translated into.
    #[serde(default)]
    texts: Vec<String>,
    /// The documents that go with it, for a person who is accused.
    documents: Option<Vec<String>>,
    /// What is to be looked after before it is sent, all of it, and a word of each.
    warns: Option<BTreeMap<String, String>>,
}

fn english() -> Vec<String> {
    vec!["en".to_owned()]
}

impl Question {
    /// Asks it; the marks of what the answer rests on.
    pub(super) fn check(&self) -> String {
        let (name, trust) = (&self.name, self.trust());
        let procedure: ProcedureCode = super::code(&self.procedure);
        let (from, to) = (code("XA"), code("XB"));
        let level = if self.emergency.is_some() { "emergency" } else { "normal" };
        let facts = BTreeMap::from([("urgency.level".to_owned(), Literal::Code(level.to_owned()))]);
        let (at, about) = (moment(&self.on), self.about());
        let question = law::Question { from: &from, to: &to, at, procedure: Some(&procedure), about, facts };
        let opinions = law::explain(shipped(), &trust, &question);
        let carry: BTreeSet<&str> =
            opinions.iter().filter(|one| one.is_offered()).map(|one| one.instrument.code.as_str()).collect();
        assert_eq!(carry, self.offered.iter().map(String::as_str).collect(), "{name}");
        for (instrument, because) in &self.not_offered {
            let against = self.of(&opinions, instrument).against.join("; ");
            assert!(!against.is_empty() && against.contains(because.as_str()), "{name}: {instrument}: {against}");
        }
        for (instrument, other) in &self.replaced {
            assert_eq!(self.of(&opinions, instrument).replaced_by, Some(term(other)), "{name}: {instrument}");
        }
        let under = self.under.as_ref().or_else(|| self.offered.first());
        let Some(opinion) = under.map(|instrument| self.of(&opinions, instrument)) else {
            assert!(self.open.is_empty() && self.closed.is_empty() && self.clocks.is_none(), "{name}: under which?");
            return "none".to_owned();
        };
        self.weigh(opinion);
        self.warned(&trust, &opinion.instrument.code);
        self.marks(opinion)
    }

    fn warned(&self, trust: &Trust, instrument: &Code) {
        let Some(warns) = &self.warns else { return };
        let (procedure, between) = (super::code(&self.procedure), ["XA", "XB"].map(code));
        let [from, to] = &between;
        let mut texts = self.texts.iter().map(|text| term(text));
        let sending = law::Sending {
            procedure: &procedure,
            between: [from, to],
            instrument: Some(instrument.clone()),
            urgent: self.emergency.is_some(),
            original: texts.next(),
            translations: texts.collect(),
            person: self.documents.as_ref().map(|_| law::Person { convicted: false, in_absentia: false }),
            sent: self.documents.iter().flatten().map(|code| term(code)).collect(),
            protocols: self.protocols.iter().map(|code| term(code)).collect(),
        };
        let found = law::warnings(shipped(), trust, &sending, moment(&self.on));
        let told: BTreeMap<String, &String> = found.iter().map(|one| (one.code.to_owned(), &one.detail)).collect();
        let name = &self.name;
        assert!(told.keys().eq(warns.keys()), "{name}: {told:?}");
        for (code, word) in warns {
            assert!(told[code].contains(word), "{name}: {told:?}");
        }
    }

    /// The marks of what the answer rests on: the basis, the clocks and the grounds that are named.
    fn marks(&self, opinion: &Opinion<'_>) -> String {
        let named = |code: &Code| self.open.iter().chain(self.closed.keys()).any(|ground| ground == code.as_str());
        let basis = (&opinion.instrument.code, opinion.basis.mark);
        let clocks = opinion.clocks.iter().filter(|_| self.clocks.is_some());
        let clocks = clocks.map(|deadline| (&deadline.rule.id, deadline.rule.mark));
        let grounds = opinion.grounds.iter().map(|view| (&view.ground.code, view.mark)).filter(|(code, _)| named(code));
        let all = [basis].into_iter().chain(clocks).chain(grounds);
        all.map(|(code, mark)| format!("{code} [{}]", mark.as_str())).collect::<Vec<_>>().join(", ")
    }

    fn of<'o, 'r>(&self, opinions: &'o [Opinion<'r>], instrument: &str) -> &'o Opinion<'r> {
        let found = opinions.iter().find(|one| one.instrument.code.as_str() == instrument);
        found.unwrap_or_else(|| panic!("{}: {instrument} is no basis for {}", self.name, self.procedure))
    }

    fn weigh(&self, opinion: &Opinion<'_>) {
        let name = &self.name;
        let why = |ground: &str| {
            let view = opinion.grounds.iter().find(|view| view.ground.code.as_str() == ground);
            view.map_or(Some("the instrument does not know it"), |view| view.closed.as_deref())
        };
        for ground in &self.open {
            assert_eq!(why(ground), None, "{name}: {ground}");
        }
        for (ground, because) in &self.closed {
            let why = why(ground).unwrap_or_default();
            assert!(!why.is_empty() && why.contains(because.as_str()), "{name}: {ground}: {why}");
        }
        if let Some(clocks) = &self.clocks {
            let run: Vec<&str> = opinion.clocks.iter().map(|clock| clock.rule.id.as_str()).collect();
            assert_eq!(&run, clocks, "{name}");
        }
        for (clock, count) in &self.periods {
            let found = opinion.clocks.iter().find(|deadline| deadline.rule.id.as_str() == clock);
            assert_eq!(found.and_then(|deadline| deadline.declared), Some(*count), "{name}: {clock}");
        }
    }

    fn about(&self) -> Weighed {
        let codes = |texts: &[String]| texts.iter().map(|text| term(text)).collect::<Vec<Code>>();
        Weighed {
            offences: codes(&self.offences),
            life: self.life,
            penalty_months: self.months,
            penalty_months_requested: self.months_in_requested,
            sentence_months: self.sentence_months,
            categories: codes(&self.data),
            protocols: codes(&self.protocols),
            emergency: self.emergency.as_deref().map(term),
        }
    }

    /// The network of XA and XB, that declared this, and whom these instruments bind.
    fn trust(&self) -> Trust {
        let (parties, secretariat) = (["XA", "XB"], root("secretariat", KeyRole::Charter));
        let founder = |party: &str| {
            let root = root(party, KeyRole::Root).public().map(Clone::clone);
            Founder { code: code(party), name: party.to_owned(), root }
        };
        let founders = parties.map(founder);
        let mut draft = founding::charter(&network(), true, secretariat.public(), &founders, &[], START);
        let row = |(instrument, since): (&String, &String), party: &str| InstrumentStatus {
            instrument: instrument.clone(),
            party: party.to_owned(),
            in_force_ms: moment(since).0,
            until_ms: self.ended.get(instrument).filter(|_| party == "XB").map_or(0, |until| moment(until).0),
            ..InstrumentStatus::default()
        };
        draft.instruments = self.in_force.iter().flat_map(|rows| parties.map(|party| row(rows, party))).collect();
        let signed = founding::sign_charter(&draft, &[&secretariat]).expect("signed");
        let charter = Charter::open(&signed, document_id(CHARTER_TYPE, &payload(&signed))).expect("a charter");
        let profiles = parties.map(|party| self.profile(party, &charter));
        Trust::new(charter, profiles.into()).expect("trust")
    }

    fn profile(&self, party: &str, charter: &Charter) -> Profile {
        let public = keys_of(party).public(&network(), &code(party)).expect("public keys");
        let takes: Vec<&str> = self.takes.iter().map(String::as_str).collect();
        let mut draft = founding::profile(&network(), &code(party), &[], &takes, &public, START);
        if party == "XB" {
            let row = |(code, value): (&String, &String)| Declaration { code: code.clone(), value: value.clone() };
            draft.declarations = self.declared.iter().map(row).collect();
            let unknown = self.declared.keys().find(|code| shipped().declaration(&term(code)).is_none());
            assert_eq!(unknown, None, "{}", self.name);
        }
        let signed = founding::sign_profile(&draft, &[&root(party, KeyRole::Root)]).expect("signed");
        Profile::open(&signed, charter, START).expect("a profile")
    }
}
