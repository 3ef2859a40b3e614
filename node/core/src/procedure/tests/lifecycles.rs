//! The reference tables of lifecycles, row by row, against the tables that are judged.
//!
//! `tests/scenarios/lifecycles.toml` says for each row of the reference by which of our steps it is fulfilled: from which states to
//! which, in whose name, behind which guards, under which clocks; and where ours differs, why. What it says is held against the
//! tables. A step of ours that no row names stands there as ours only, with a reason, so that no addition comes by itself.

mod claims;
mod page;

use super::*;
use crate::rules::{Family, Rules};
use claims::Claim;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    section: Vec<Section>,
    row: Vec<Row>,
    #[serde(default)]
    ours_only: Vec<Own>,
}

/// A table of the reference.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    number: String,
    title: String,
}

/// A row of such a table: its words as given, and what stands for it here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    section: String,
    /// The families it concerns; all if it is left out.
    #[serde(default)]
    family: Vec<String>,
    from: String,
    to: String,
    by: String,
    /// Its guard or timer.
    #[serde(default)]
    guard: String,
    #[serde(default)]
    steps: Vec<Claim>,
    /// The percents of a period at which the row wants an alert.
    alerts: Option<Vec<u8>>,
    /// Why ours is not what the row says to the letter.
    #[serde(default)]
    because: String,
    /// What of the row is not here, without a reason why it should not be.
    #[serde(default)]
    missing: String,
}

/// Steps of ours that no row of the reference names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    /// Left out for a step that every state of every family accepts.
    #[serde(default = "every_family")]
    family: Vec<String>,
    /// Left out for a family that has no table in the reference.
    #[serde(default)]
    step: Vec<String>,
    #[serde(default)]
    by: Vec<String>,
    /// All states the step is taken from, if it is left out.
    #[serde(default)]
    from: Vec<String>,
    because: String,
}

/// As the places of such steps name it.
fn every_family() -> Vec<String> {
    vec![String::new()]
}

/// A step from a state in a name: what must be named once. Of the steps every state accepts the family is empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    family: String,
    step: String,
    by: String,
    from: String,
}

impl Place {
    fn new(family: &Family, step: &str, by: &str, from: &str) -> Self {
        let family = family.code.to_string();
        Self { family, step: step.to_owned(), by: by.to_owned(), from: from.to_owned() }
    }
}

/// What nobody signs: a state that holds until a moment has lapsed from then on.
const SYSTEM: &str = "SYS";
const LAPSED: &str = drawing::LAPSED;
/// Where the common steps are taken from.
const ANY: &str = "any but draft";

/// All that our tables know.
fn places(rules: &Rules) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    for family in rules.families() {
        for row in &family.rows {
            let of = |from: &Code| Place::new(family, row.step.as_str(), row.by.short(), from.as_str());
            places.extend(row.from.iter().map(of));
        }
        let until = family.states.iter().filter(|state| state.until.is_some());
        places.extend(until.map(|state| Place::new(family, LAPSED, SYSTEM, state.name.as_str())));
    }
    places.extend(common::ROWS.iter().map(claims::common_place));
    places
}

/// Everything that is wrong, in words.
fn mistakes(rules: &Rules, file: &File) -> Vec<String> {
    let (mut named, mut wrong) = (BTreeSet::new(), Vec::new());
    for row in &file.row {
        let mut found = claims::hold(rules, row, &mut named);
        if !file.section.iter().any(|section| section.number == row.section) {
            found.push("no such section".to_owned());
        }
        let place = format!("{} {} -> {} ({})", row.section, row.from, row.to, row.by);
        wrong.extend(found.into_iter().map(|mistake| format!("{place}: {mistake}")));
    }
    for section in file.section.iter().filter(|section| !file.row.iter().any(|row| row.section == section.number)) {
        wrong.push(format!("{} has no row", section.number));
    }
    wrong.extend(unnamed(rules, file, &named));
    wrong
}

/// What no row names and no reason excuses, and reasons for what is named.
fn unnamed(rules: &Rules, file: &File, named: &BTreeSet<Place>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut left: BTreeSet<Place> = places(rules).difference(named).cloned().collect();
    for own in &file.ours_only {
        let of = format!("ours only {:?} {:?}", own.family, own.step);
        if own.because.is_empty() {
            wrong.push(format!("{of}: no reason"));
        }
        if own.step.is_empty() && file.row.iter().any(|row| row.family.iter().any(|code| own.family.contains(code))) {
            wrong.push(format!("{of}: the reference has a table for it"));
        }
        for family in &own.family {
            let mut excuse = |step: Option<&String>| {
                let fits = |place: &Place| {
                    place.family == *family
                        && step.is_none_or(|step| place.step == *step)
                        && (own.by.is_empty() || own.by.contains(&place.by))
                        && (own.from.is_empty() || own.from.contains(&place.from))
                };
                let before = left.len();
                left.retain(|place| !fits(place));
                if left.len() == before {
                    wrong.push(format!("{of}: {family} has no such step that no row names"));
                }
                for from in own.from.iter().filter(|from| !places(rules).iter().any(|p| fits(p) && p.from == **from)) {
                    wrong.push(format!("{of}: not from {from}"));
                }
            };
            if own.step.is_empty() {
                excuse(None);
            }
            own.step.iter().for_each(|step| excuse(Some(step)));
        }
    }
    let unnamed = |place: Place| {
        let Place { family, step, by, from } = place;
        format!("{family}: {step} ({by}) from {from} is in no row of the reference and not listed as ours only")
    };
    wrong.extend(left.into_iter().map(unnamed));
    wrong
}

fn text() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios/lifecycles.toml");
    std::fs::read_to_string(path).expect("reads")
}

fn file() -> File {
    toml::from_str(&text()).unwrap_or_else(|bad| panic!("{bad}"))
}

#[test]
fn every_row_of_the_reference_is_fulfilled_or_says_why_not() {
    let wrong = mistakes(shipped(), &file());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_reference_is_printed_with_what_fulfils_it() {
    printed("LIFECYCLES.md", &page::page(&file()));
}

/// One word of the file is turned, and what is then said of it.
#[test]
fn a_wrong_word_is_found() {
    let text = text();
    let check = |word: &str, other: &str, said: &str| {
        assert!(text.contains(word), "{word} stands nowhere");
        let file: File = toml::from_str(&text.replacen(word, other, 1)).expect("still reads");
        let wrong = mistakes(shipped(), &file);
        assert!(wrong.iter().any(|mistake| mistake.contains(said)), "{word}: {other}: {wrong:#?}");
    };
    let accept = r#"step = "accept-conditions", by = "RQ", from = ["conditions_proposed"], to = ["accepted"]"#;
    check(accept, &accept.replace("accept-conditions", "accede"), "assistance has no step accede");
    check(accept, &accept.replace("RQ", "RD"), "RD does not take accept-conditions in assistance");
    check(accept, &accept.replace("conditions_proposed", "proposed"), "assistance has no state proposed");
    check(
        accept,
        &accept.replace("conditions_proposed", "executing"),
        "accept-conditions does not lead on from executing",
    );
    check(accept, &accept.replace(r#"["accepted"]"#, r#"["agreed"]"#), "assistance has no state agreed");
    check(accept, &accept.replace(r#"["accepted"]"#, r#"["executing"]"#), "leads from conditions_proposed to accepted");
    check(accept, &accept.replace(r#"["accepted"]"#, r#"["accepted", "executing"]"#), "does not lead to executing");
    check(accept, &accept.replace(r#"["accepted"]"#, r#"["stays"]"#), "leads from conditions_proposed to accepted");
    check(r#"guards = ["verified-whole"]"#, r#"guards = ["is-whole"]"#, "there is no guard is-whole");
    check(r#"guards = ["verified-whole"]"#, r#"guards = ["is-open"]"#, "is-open does not stand on take-custody");
    check(r#"runs = ["D16"]"#, r#"runs = ["D61"]"#, "there is no clock D61");
    check(r#"runs = ["D16"]"#, r#"runs = ["D18"]"#, "no instrument runs D18 in production-order");
    check(r#"runs = ["D16"]"#, r#"runs = ["D15"]"#, "D15 does not run in nonexecution_filed");
    check(r#"starts = ["D16"]"#, r#"starts = ["D17"]"#, "file-nonexecution does not start D17");
    check(r#"pauses = ["D09""#, r#"pauses = ["D12""#, "D12 does not stand still in nonexecution_filed");
    check(r#"says = ["court", "court.reference"]"#, r#"says = ["judge"]"#, "does not say judge");
    check(r#"after = ["contact-issuer"]"#, r#"after = ["receive"]"#, "does not ask for receive before it");
    check(r#"not_after = ["extend"]"#, r#"not_after = ["preserve"]"#, "is not barred by preserve");
    check(r#"grounds = ["R-POL""#, r#"grounds = ["R-AGE""#, "R-AGE is not open");
    check("alerts = [50, 80, 95]", "alerts = [50, 80, 90]", "the alerts are");
    check(r#"by = "SYS", from = ["preserved""#, r#"by = "SYS", from = ["released""#, "released does not lapse");
    check(
        "[[ours_only]]",
        "[[row]]\nsection = \"0\"\nfrom = \"a\"\nto = \"b\"\nby = \"c\"\n\n[[ours_only]]",
        "says nothing of",
    );
    check(
        "[[ours_only]]",
        "[[row]]\nsection = \"0\"\nfrom = \"a\"\nto = \"b\"\nby = \"c\"\n\n[[ours_only]]",
        "no such section",
    );
    check(r#"step = ["cannot-execute"]"#, r#"step = ["accept"]"#, "has no such step that no row names");
    check(r#"step = ["cannot-execute"]"#, r#"step = []"#, "the reference has a table for it");
}

/// Without its reason a row that differs is a mistake, and so is a step that is ours only.
#[test]
fn what_differs_says_why() {
    let mut file = file();
    let differs = file.row.iter().filter(|row| !row.because.is_empty()).count();
    file.row.iter_mut().for_each(|row| {
        row.because.clear();
        row.missing.clear();
    });
    file.ours_only.iter_mut().for_each(|own| own.because.clear());
    let wrong = mistakes(shipped(), &file);
    let of = |said: &str| wrong.iter().filter(|mistake| mistake.contains(said)).count();
    assert!(of("and does not say why") + of("says nothing of") >= differs, "{differs} rows say why: {wrong:#?}");
    assert_eq!(of("no reason"), file.ours_only.len());
}

/// A row that a table wins or loses is found.
#[test]
fn a_table_that_changes_is_found() {
    let with = |name: &str, row: &str, other: &str| {
        let change = |(path, text): &(&'static str, &'static str)| {
            assert!(*path != name || text.contains(row), "{row} stands nowhere in {name}");
            (*path, if *path == name { text.replacen(row, other, 1) } else { (*text).to_owned() })
        };
        let changed: Vec<(&str, String)> = crate::rules::SHIPPED.iter().map(change).collect();
        let files: Vec<(&str, &str)> = changed.iter().map(|(path, text)| (*path, text.as_str())).collect();
        mistakes(&Rules::parse(&files).unwrap_or_else(|wrong| panic!("{wrong:#?}")), &file())
    };
    let check = |name: &str, row: &str, other: &str, said: &str| {
        let wrong = with(name, row, other);
        assert!(wrong.iter().any(|mistake| mistake.contains(said)), "{row}: {wrong:#?}");
    };
    let assistance = "families/assistance.toml";
    let begin = r#"{ from = ["accepted"], step = "begin-execution""#;
    check(
        assistance,
        begin,
        &begin.replace(r#""]"#, r#"", "under_review"]"#),
        "begin-execution (RD) from under_review is in no row",
    );
    let close = r#"{ from = ["acknowledged"], step = "close", by = "requested", to = "closed" },"#;
    check(assistance, close, "", "RD does not take close in assistance");
    let verified = r#"{ from = ["delivered", "disputed"], step = "take-custody", by = "requesting", to = "settled", guards = ["verified-whole"] }"#;
    check(
        assistance,
        verified,
        &verified.replace(r#", guards = ["verified-whole"]"#, ""),
        "verified-whole does not stand on take-custody",
    );
    let served = r#"clock = "D06", from = ["served.at"], during = ["executing", "partially_executed"]"#;
    check(
        "instruments/2ap.toml",
        served,
        &served.replace(r#"from = ["served.at"]"#, r#"after = ["begin-execution"]"#),
        "serve does not start D06",
    );
    check("instruments/2ap.toml", served, &served.replace(r#""executing", "#, ""), "D06 does not run in executing");
}
