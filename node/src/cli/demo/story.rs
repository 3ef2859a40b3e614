//! What happens in the demo: a preservation request under article 29 of the Budapest Convention from Arvia to
//! Belmar, every field of its form, and the answers; then the request for mutual assistance that follows
//! it up, with the evidence it brings.
//!
//! tidy: a table. States are invented, addresses end in `.test`, offices and functions have no names of persons.

use comity_core::ids::Time;
use serde_json::{Value, json};

use crate::{
    cli::request::fresh_id,
    time::{self, rfc3339},
};

const DAY_MS: u64 = 24 * 3_600_000;

/// One act of the story.
pub(in crate::cli) struct Act {
    /// Who signs it: 0 is Arvia, 1 is Belmar.
    pub(in crate::cli) by: usize,
    pub(in crate::cli) step: &'static str,
    pub(in crate::cli) authority: &'static str,
    /// The contents of the form, if signed now.
    pub(in crate::cli) fields: fn(Time) -> Value,
    /// In which state the request stands then, on both sides.
    pub(in crate::cli) leads_to: &'static str,
}

impl Act {
    /// The step as the API takes it, signed now, with more in its form than the story knows.
    pub(in crate::cli) fn body(&self, more: Value) -> Value {
        let mut fields = (self.fields)(time::now());
        if let (Value::Object(fields), Value::Object(more)) = (&mut fields, more) {
            fields.extend(more);
        }
        json!({
            "command_id": fresh_id(), "step": self.step, "authority": self.authority, "lane": "normal",
            "fields": fields,
        })
    }
}

/// The acts of the preservation after the request itself, in their order.
pub(super) const ACTS: [Act; 4] = [
    Act { by: 1, step: "acknowledge", authority: "contact-point", fields: acknowledge, leads_to: "acknowledged" },
    Act { by: 1, step: "preserve", authority: "central", fields: preserve, leads_to: "preserved" },
    Act { by: 0, step: "extend", authority: "central", fields: extend, leads_to: "extension_asked" },
    Act { by: 1, step: "confirm-extension", authority: "central", fields: confirm_extension, leads_to: "preserved" },
];

/// The request for assistance.
pub(in crate::cli) const ASSISTANCE: Act =
    Act { by: 0, step: "request", authority: "central", fields: assistance, leads_to: "issued" };

/// The acts of the assistance up to its execution, in their order.
pub(in crate::cli) const DECISION: [Act; 4] = [
    Act { by: 1, step: "acknowledge", authority: "central", fields: acknowledge, leads_to: "under_review" },
    Act {
        by: 1,
        step: "accept-with-conditions",
        authority: "central",
        fields: conditions,
        leads_to: "conditions_proposed",
    },
    Act { by: 0, step: "accept-conditions", authority: "central", fields: bound, leads_to: "accepted" },
    Act { by: 1, step: "begin-execution", authority: "central", fields: nothing, leads_to: "executing" },
];

/// The hand-over: the node adds what it says of the manifest.
pub(in crate::cli) const DELIVER: Act =
    Act { by: 1, step: "deliver", authority: "central", fields: deliver, leads_to: "delivered" };

/// The answer to it: the caller adds which hand-over is meant.
pub(in crate::cli) const ACCEPT_TERMS: Act =
    Act { by: 0, step: "accept-terms", authority: "central", fields: terms_bound, leads_to: "delivered" };

/// The receipt for it: the node adds what was verified.
pub(super) const TAKE_CUSTODY: Act =
    Act { by: 0, step: "take-custody", authority: "central", fields: custody, leads_to: "acknowledged" };

/// The end.
pub(super) const CLOSE: Act = Act { by: 0, step: "close", authority: "central", fields: nothing, leads_to: "closed" };

/// The act everything begins with.
pub(super) const REQUEST: Act =
    Act { by: 0, step: "request", authority: "central", fields: request, leads_to: "requested" };

fn english(text: &str) -> Value {
    json!({ "lang": "en", "text": text })
}

/// Numbers, addresses and the like: text in no language.
fn plain(text: &str) -> Value {
    json!({ "lang": "zxx", "text": text })
}

fn date(time: Time) -> String {
    rfc3339(time).chars().take("0000-00-00".len()).collect()
}

fn in_days(now: Time, days: u64) -> Time {
    now.plus_ms(days * DAY_MS)
}

fn days_ago(now: Time, days: u64) -> Time {
    Time(now.0.saturating_sub(days * DAY_MS))
}

fn request(now: Time) -> Value {
    let mut fields = json!({});
    for part in [parties(now), offence(now), data(now), end(now)] {
        let (Value::Object(all), Value::Object(part)) = (&mut fields, part) else { continue };
        all.extend(part);
    }
    fields
}

fn parties(now: Time) -> Value {
    json!({
        "reference.case": plain("CA-XA 2026/0417"),
        "reference.date": date(now),
        "reference.kind": "new",
        "reference.instrument": "BC",
        "reference.article": plain("29 and 30"),
        "requesting.authority": english("Central Authority of Arvia, Ministry of Justice"),
        "requesting.role": english("Duty officer, international cooperation"),
        "requesting.address": english("1 Treaty Square, Arvia City, Arvia"),
        "requesting.phone": [plain("+00 1 555 0100"), plain("+00 1 555 0101")],
        "requesting.email": [plain("central-authority@justice.arvia.test")],
        "requesting.hours": plain("Mo-Fr 08:00-18:00"),
        "requesting.time-zone": "Europe/Vienna",
        "requesting.languages": ["en", "fr"],
        "requesting.reply-by": ["this-node", "telephone"],
        "second.authority": english("24/7 Contact Point of Arvia"),
        "second.role": english("Officer on duty"),
        "second.phone": [plain("+00 1 555 0124")],
        "second.email": [plain("contact-point@police.arvia.test")],
        "requested.authority": english("Central Authority of Belmar"),
        "requested.authority-id": "central",
        "requested.address": english("Palace of Justice, Belmar Harbour, Belmar"),
        "investigating.authority": english("Cybercrime Prosecution Office of Arvia"),
        "investigating.role": english("Prosecutor in charge"),
        "investigating.phone": [plain("+00 1 555 0177")],
        "investigating.email": [plain("registry@prosecution.arvia.test")],
        "investigating.reference": plain("PO 88/26"),
        "proceedings.stage": "investigation",
    })
}

fn offence(now: Time) -> Value {
    json!({
        "offence.codes": ["CC-01", "CC-03.1"],
        "offence.modifiers": ["organised-group"],
        "offence.provisions": [english("Criminal Code of Arvia, sections 118a and 126b")],
        "penalty.life": false,
        "penalty.least-months": 6,
        "penalty.most-months": 120,
        "offence.from": date(days_ago(now, 21)),
        "offence.until": date(days_ago(now, 3)),
        "offence.place": english("Arvia City, Arvia"),
        "offence.facts": english(
            "Unknown persons entered the network of a regional hospital in Arvia, encrypted its patient files \
             and demanded payment. The programs were controlled from a rented server at a hosting company in Belmar."
        ),
        "urgency.level": "urgent",
        "urgency.reason": english("The hosting contract ends in five days; the company then deletes server and logs."),
        "wish.by": rfc3339(in_days(now, 2)),
        "wish.reason": english("So that the company can be reached before the contract ends."),
    })
}

fn data(now: Time) -> Value {
    json!({
        "data.description": english(
            "Connection logs, subscriber information and an image of the virtual server with the address named below."
        ),
        "data.categories": ["subscriber", "traffic", "content"],
        "data.relation": english("The programs that encrypted the files received their commands from this server."),
        "data.identifiers": [plain("192.0.2.44 port 8443, 2026-03-02T04:10:00Z"), plain("customer 77-1040")],
        "data.whole-period": false,
        "data.from": rfc3339(days_ago(now, 30)),
        "data.until": rfc3339(now),
        "custodian.name": english("Harbour Hosting Company"),
        "custodian.address": english("12 Quay Road, Belmar Harbour, Belmar"),
        "custodian.contact": plain("legal@harbour-hosting.belmar.test"),
        "system.location": english("Data centre 2, Belmar Harbour"),
        "system.identifiers": [plain("vm-1040.harbour-hosting.belmar.test"), plain("192.0.2.44")],
        "necessity": english("Nobody but the hosting company holds these data, and it will delete them."),
        "preservation.days": 90,
        "follow-up.intended": true,
        "follow-up.kinds": ["disclosure", "seizure"],
        "follow-up.expected": date(in_days(now, 45)),
        "path.wanted": true,
    })
}

fn end(_: Time) -> Value {
    json!({
        "confidentiality.level": "confidential",
        "confidentiality.instruction": english("The customer of the hosting company must not learn of this request."),
        "confidentiality.user-may-be-told": false,
        "data-protection.class": "ordinary",
        "language.original": "en",
        "language.translations": ["fr"],
        "signatory.role": english("Head of international cooperation"),
        "signatory.legal-authority": english("Act on International Cooperation of Arvia, section 4"),
        "remarks": english("This is an exercise."),
    })
}

fn acknowledge(now: Time) -> Value {
    json!({
        "handling.reference": plain("CP-XB 2026-311"),
        "handling.role": english("Officer on duty"),
        "handling.phone": [plain("+00 2 555 0124")],
        "handling.email": [plain("contact-point@police.belmar.test")],
        "handling.hours": plain("24/7"),
        "handling.expected": rfc3339(in_days(now, 1)),
    })
}

fn preserve(now: Time) -> Value {
    json!({
        "outcome": "executed_full",
        "measure.taken": rfc3339(now),
        "measure.until": rfc3339(in_days(now, 90)),
        "measure.scope": "whole",
        "measure.legal-basis": english("Code of Criminal Procedure of Belmar, article 16"),
        "measure.custodian": english("Harbour Hosting Company"),
        "measure.reference": plain("CP-XB 2026-311/P1"),
        "remarks": english("Quote this reference in the request for mutual assistance."),
    })
}

fn extend(now: Time) -> Value {
    json!({
        "extension.until": rfc3339(in_days(now, 150)),
        "extension.reason": english("The request for mutual assistance needs a court's order first."),
        "follow-up.expected": date(in_days(now, 100)),
    })
}

fn confirm_extension(now: Time) -> Value {
    json!({
        "measure.until": rfc3339(in_days(now, 150)),
        "measure.renewed": rfc3339(now),
    })
}

fn assistance(now: Time) -> Value {
    let mut fields = json!({});
    for part in [parties(now), offence(now), sought(now), end(now)] {
        let (Value::Object(all), Value::Object(part)) = (&mut fields, part) else { continue };
        all.extend(part);
    }
    fields["reference.case"] = plain("CA-XA 2026/0417-MLA");
    fields["reference.article"] = plain("31");
    fields
}

fn sought(now: Time) -> Value {
    json!({
        "assistance.kinds": ["seizure", "disclosure"],
        "assistance.purpose": english("To identify who controlled the server, and as evidence in the trial."),
        "assistance.procedure": english("Please record SHA-256 digests and have a second officer witness the copying."),
        "proceedings.subject": english("Investigation against unknown persons, led by the Cybercrime Prosecution Office."),
        "data.description": english("The image, logs and traffic preserved under the reference quoted in this request."),
        "data.categories": ["subscriber", "traffic", "content"],
        "data.relation": english("The server sent the commands by which the hospital's files were encrypted."),
        "data.identifiers": [plain("192.0.2.44 port 8443"), plain("customer 77-1040")],
        "data.whole-period": false,
        "data.from": rfc3339(days_ago(now, 30)),
        "data.until": rfc3339(now),
        "custodian.name": english("Harbour Hosting Company"),
        "system.identifiers": [plain("vm-1040.harbour-hosting.belmar.test")],
        "expedited.reason": "vulnerable",
        "linked.reference": plain("CP-XB 2026-311/P1"),
    })
}

fn conditions(_: Time) -> Value {
    json!({
        "conditions": ["C-USE", "C-CONF"],
        "conditions.text": english("Use only in the proceedings named in the request; keep confidential until trial."),
    })
}

fn bound(_: Time) -> Value {
    json!({ "conditions.bound": true })
}

fn nothing(_: Time) -> Value {
    json!({})
}

/// What is put under seal.
pub(in crate::cli) fn seal(now: Time) -> Value {
    json!({
        "exhibit.number": plain("XB-2026-311-01"),
        "exhibit.kind": "mixed",
        "exhibit.description": english("Copy of the virtual server's disk, its logs, mail and network traffic."),
        "source.description": english("Virtual server vm-1040 of customer 77-1040."),
        "source.provider": english("Harbour Hosting Company"),
        "source.location": english("Data centre 2, Belmar Harbour"),
        "seizure.time": rfc3339(now),
        "seizure.place": english("Belmar Harbour"),
        "seizure.authority": english("Cybercrime Unit of the Police of Belmar"),
        "seizure.legal-basis": english("Order of the Investigating Court of Belmar Harbour"),
        "data.categories": ["subscriber", "traffic", "content"],
        "acquisition.by": english("Forensic examiner, digital laboratory of the police"),
        "acquisition.from": rfc3339(now),
        "acquisition.until": rfc3339(now),
        "acquisition.method": "logical",
        "acquisition.tool": english("Copy of files by the node, SHA-256 of each"),
        "acquisition.witness": english("Second examiner"),
        "encryption": "none",
        "privileged": false,
    })
}

fn deliver(now: Time) -> Value {
    json!({
        "outcome": "executed_with_conditions",
        "terms.codes": ["C-CONF", "C-USE"],
        "terms.text": english("Use only in the proceedings named in the request; keep confidential until trial."),
        "terms.retention-until": date(in_days(now, 3650)),
        "certificate": english("The custodian certifies that these records were kept in the ordinary course of business."),
    })
}

fn terms_bound(_: Time) -> Value {
    json!({ "terms.bound": true })
}

fn custody(_: Time) -> Value {
    json!({ "custody.place": english("Evidence store of the Central Authority of Arvia") })
}
