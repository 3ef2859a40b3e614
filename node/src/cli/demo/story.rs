//! What happens in the demo: one preservation request under article 29 of the Budapest Convention from
//! Arvia to Belmar, every field of its form, and the answers to its end.
//!
//! tidy: a table. States are invented, addresses end in `.test`, offices and functions have no names of persons.

use comity_core::ids::Time;
use serde_json::{Value, json};

use crate::time::rfc3339;

const DAY_MS: u64 = 24 * 3_600_000;

/// One act of the story.
pub(super) struct Act {
    /// Who signs it: 0 is Arvia, 1 is Belmar.
    pub(super) by: usize,
    pub(super) step: &'static str,
    pub(super) authority: &'static str,
    /// The contents of the form, if signed now.
    pub(super) fields: fn(Time) -> Value,
    /// In which state the request stands then, on both sides.
    pub(super) leads_to: &'static str,
}

/// The acts after the request itself, in their order.
pub(super) const ACTS: [Act; 5] = [
    Act { by: 1, step: "acknowledge", authority: "contact-point", fields: acknowledge, leads_to: "acknowledged" },
    Act { by: 1, step: "preserve", authority: "central", fields: preserve, leads_to: "preserved" },
    Act { by: 0, step: "extend", authority: "central", fields: extend, leads_to: "extension_asked" },
    Act { by: 1, step: "confirm-extension", authority: "central", fields: confirm_extension, leads_to: "preserved" },
    Act { by: 0, step: "follow-up", authority: "central", fields: follow_up, leads_to: "followed_up" },
];

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

fn follow_up(now: Time) -> Value {
    json!({
        "follow-up.sent": date(now),
        "follow-up.reference": plain("CA-XA 2026/0417-MLA"),
        "follow-up.elsewhere": true,
        "follow-up.channel": english("By courier between the central authorities"),
    })
}
