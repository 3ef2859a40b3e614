//! Tests of the rule files and of the reading of them.

use super::sample::{full, shipped};
use super::*;
use crate::proto::{Body, Field, Text, Value, value};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn request_form() -> Form {
    shipped().form_by_id("PRES/request").expect("shipped").clone()
}

fn codes(mistakes: &[FormMistake]) -> Vec<(&str, &'static str)> {
    mistakes.iter().map(|mistake| (mistake.field.as_str(), mistake.code())).collect()
}

#[test]
fn shipped_files_are_all_listed_and_join() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules");
    let mut names = Vec::new();
    let mut folders = vec![folder.clone()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("rules folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                names.push(path.strip_prefix(&folder).expect("below").to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    // What stable codes mean is not law, and the pages are printed from the tables.
    names.retain(|name| name != "codes.toml" && name.ends_with(".toml"));
    assert_eq!(names, SHIPPED.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
    let rules = shipped();
    assert_eq!(rules.alerts(), [50, 80, 95]);
    assert_eq!(rules.offences().count(), 24);
    assert_eq!(rules.outcomes().count(), 16);
    assert!(rules.grounds().count() >= 23);
}

#[test]
fn every_form_can_be_filled_in() {
    for form in shipped().forms() {
        assert_eq!(form.check(&full(form)), [], "{}", form.id());
    }
}

#[test]
fn the_request_asks_for_all_of_article_29_2() {
    let form = request_form();
    for (letter, keys) in [
        ("a", vec!["requesting.authority"]),
        ("b", vec!["offence.codes", "offence.facts", "proceedings.stage"]),
        ("c", vec!["data.description", "data.relation"]),
        ("d", vec!["custodian.name", "system.location"]),
        ("e", vec!["necessity"]),
        ("f", vec!["follow-up.intended", "follow-up.kinds"]),
    ] {
        for key in keys {
            let field = form.field(key).unwrap_or_else(|| panic!("{key}"));
            assert_eq!(field.source, format!("BC 29(2){letter}"), "{key}");
            let bound = field.required == Required::Always || form.one_of().iter().flatten().any(|k| k == key);
            assert!(bound, "{key}");
        }
    }
}

fn check(change: impl Fn(&mut Body), expected: &[(&str, &str)]) {
    let form = request_form();
    let mut body = full(&form);
    change(&mut body);
    assert_eq!(codes(&form.check(&body)), expected);
}

fn set(body: &mut Body, key: &str, kind: value::Kind) {
    let field = body.fields.iter_mut().find(|field| field.key == key).expect("the field is there");
    field.values = vec![Value { kind: Some(kind) }];
}

fn drop_field(body: &mut Body, key: &str) {
    body.fields.retain(|field| field.key != key);
}

fn text(lang: &str, text: &str) -> value::Kind {
    value::Kind::Text(Text { lang: lang.into(), text: text.into() })
}

#[test]
fn each_way_to_fill_in_a_field_wrongly_has_its_code() {
    check(|_| (), &[]);
    check(|b| b.form = "PRES/note".into(), &[("form", "form.wrong-form")]);
    check(|b| b.form_version = 9, &[("form_version", "form.wrong-version")]);
    check(|b| drop_field(b, "necessity"), &[("necessity", "form.missing-field")]);
    check(|b| b.fields.push(Field { key: "zebra".into(), values: vec![] }), &[("zebra", "form.unknown-field")]);
    check(|b| b.fields.swap(0, 1), &[("confidentiality.instruction", "form.out-of-order")]);
    check(|b| b.fields[0].values.clear(), &[("confidentiality.instruction", "form.empty-field")]);
    check(|b| set(b, "necessity", text("en", " \n")), &[("necessity", "form.empty-field")]);
    check(|b| set(b, "necessity", text("English", "x")), &[("necessity", "form.bad-language")]);
    check(|b| set(b, "necessity", text("en", "a\u{7}")), &[("necessity", "form.unprintable")]);
    check(|b| set(b, "necessity", text("en", &"ä".repeat(4000))), &[]);
    check(|b| set(b, "necessity", text("en", &"ä".repeat(4001))), &[("necessity", "form.too-long")]);
    check(|b| set(b, "necessity", value::Kind::Code("x".into())), &[("necessity", "form.wrong-kind")]);
    check(|b| set(b, "offence.codes", value::Kind::Code("CC-99".into())), &[("offence.codes", "form.unknown-code")]);
    check(|b| set(b, "preservation.days", value::Kind::Integer(59)), &[("preservation.days", "form.out-of-range")]);
    check(|b| set(b, "follow-up.intended", value::Kind::Flag(false)), &[("follow-up.intended", "form.not-possible")]);
    check(|b| set(b, "reference.date", value::Kind::Date("2026-02-30".into())), &[("reference.date", "form.bad-date")]);
    check(|b| set(b, "reference.date", value::Kind::Date("20260228".into())), &[("reference.date", "form.bad-date")]);
    check(|b| set(b, "data.until", value::Kind::TimeMs(1)), &[("data.until", "form.wrong-period")]);
    check(
        |b| b.fields.iter_mut().filter(|f| f.key == "necessity").for_each(|f| f.values.push(f.values[0].clone())),
        &[("necessity", "form.too-many")],
    );
    check(
        |b| {
            ["custodian.name", "custodian.address", "system.location", "system.identifiers"]
                .map(|k| drop_field(b, k))
                .into_iter()
                .collect()
        },
        &[("custodian.name", "form.missing-one-of")],
    );
}

#[test]
fn a_translation_names_a_field_for_each_text_and_is_in_one_language() {
    let step = StepCode::parse("translation").expect("step");
    let form = shipped().form(&ProcedureCode::parse("PRES").expect("code"), &step).expect("a common form");
    let check = |change: &dyn Fn(&mut Body), expected: &[(&str, &str)]| {
        let mut body = full(form);
        change(&mut body);
        assert_eq!(codes(&form.check(&body)), expected);
    };
    let second = |body: &mut Body, key: &str| {
        let field = body.fields.iter_mut().find(|field| field.key == key).expect("the field is there");
        field.values.push(field.values[0].clone());
    };
    check(&|_| (), &[]);
    check(&|b| second(b, "translation.texts"), &[("translation.texts", "form.unpaired")]);
    check(&|b| second(b, "translation.fields"), &[("translation.texts", "form.unpaired")]);
    check(&|b| ["translation.fields", "translation.texts"].iter().for_each(|key| second(b, key)), &[]);
    check(&|b| set(b, "translation.texts", text("fr", "x")), &[("translation.texts", "form.other-language")]);
    check(
        &|b| set(b, "translation.fields", value::Kind::Code("Facts".into())),
        &[("translation.fields", "form.unknown-code")],
    );
}

#[test]
fn a_condition_asks_only_when_it_holds() {
    check(
        |b| {
            set(b, "reference.kind", value::Kind::Code("extension".into()));
            drop_field(b, "reference.previous");
        },
        &[("reference.previous", "form.missing-field")],
    );
    check(
        |b| {
            set(b, "reference.kind", value::Kind::Code("new".into()));
            drop_field(b, "reference.previous");
        },
        &[],
    );
    check(|b| drop_field(b, "wish.reason"), &[("wish.reason", "form.missing-field")]);
    check(|b| ["wish.by", "wish.reason"].map(|key| drop_field(b, key)).into_iter().collect(), &[]);
}

#[test]
fn a_mistake_reads_as_code_field_reason_and_article() {
    let form = request_form();
    let mut body = full(&form);
    drop_field(&mut body, "necessity");
    let said = form.check(&body)[0].to_string();
    assert_eq!(said, "form.missing-field: necessity: it is not filled in; fill it in (BC 29(2)e)");
}

#[test]
fn facts_ascend_and_lists_number_their_values() {
    let form = request_form();
    let mut body = full(&form);
    let codes = ["CC-01", "CC-03.1"].map(|code| Value { kind: Some(value::Kind::Code(code.into())) });
    body.fields.iter_mut().filter(|f| f.key == "offence.codes").for_each(|f| f.values = codes.to_vec());
    let facts = form.facts(&body);
    let keys: Vec<&str> = facts.iter().map(|fact| fact.key.as_str()).collect();
    assert!(crate::wire::ascending(&keys), "{keys:?}");
    assert!(keys.contains(&"offence.codes.00") && keys.contains(&"offence.codes.01"));
    assert!(!keys.contains(&"offence.facts") && keys.contains(&"reference.instrument"));
}

fn mistakes(files: &[(&str, &str)]) -> Vec<String> {
    Rules::parse(files).expect_err("mistakes").iter().map(|m| format!("{}:{} {}", m.file, m.line, m.place)).collect()
}

#[test]
fn every_mistake_is_named_at_once_with_its_place() {
    let one = "[alerts]\npercent = [80, 50]\nsource = \"x\"\nmark = \"p\"\n\n[[clock]]\nid = \"D01\"\nspeed = 3\n\n[[zebra]]\nx = 1\n";
    let two = "ground = [\n  { code = \"R-ONE\", title = \"t\", kinds = [\"refuse\"], source = \" \", mark = \"p\" },\n  { code = \"R-TWO\", title = \"t\", kinds = [\"forbid\"], source = \"x\", mark = \"p\" },\n  { code = \"R-ONE\", title = \"t\", kinds = [], source = \"x\", mark = \"z\" },\n]\n";
    let three = "[[form]]\nprocedure = \"PRES\"\nstep = \"note\"\nversion = 1\ntitle = \"t\"\ninclude = [\"nowhere\"]\nsource = \"x\"\nmark = \"p\"\nfield = [\n  { key = \"a\", kind = \"text\", fact = true, required = \"always\", label = \"l\", source = \"s\", mark = \"p\" },\n  { key = \"b\", kind = \"flag\", required = { with = \"c\" }, label = \"l\", source = \"s\", mark = \"p\" },\n  { key = \"d\", kind = \"flg\", required = \"never\", label = \"l\", source = \"s\", mark = \"p\" },\n]\n";
    let found = mistakes(&[("one", one), ("two", two), ("three", three), ("four", "a = [\n")]);
    let expected = [
        "four:1 ",
        "one:1 alerts",
        "one:8 clock[D01]",
        "one:10 zebra",
        "three:10 form[note].field[a]",
        "three:10 form[note].field[a]",
        "three:12 form[note].field[d]",
        "two:2 ground[R-ONE]",
        "two:3 ground[R-TWO]",
        "two:4 ground[R-ONE]",
    ];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{found:#?}");
}

#[test]
fn references_must_lead_somewhere() {
    let text = "[[form]]\nprocedure = \"PRES\"\nstep = \"note\"\nversion = 1\ntitle = \"t\"\ninclude = [\"nowhere\"]\none_of = [[\"q\"]]\nsource = \"x\"\nmark = \"p\"\nfield = [\n  { key = \"b\", kind = \"code\", codes = \"void\", required = { with = \"c\" }, label = \"l\", source = \"s\", mark = \"p\" },\n]\n";
    let found = Rules::parse(&[("f", text)]).expect_err("mistakes");
    let why: Vec<&str> = found.iter().map(|m| m.why.split(';').next().unwrap_or_default()).collect();
    let expected = [
        "the form has no field c",
        "the form has no field q",
        "there is no group nowhere",
        "there is no list void",
        "there is no procedure PRES",
    ];
    assert_eq!(why, expected);
}

fn shipped_with(file: &str, from: &str, to: &str) -> Result<Rules, Vec<RuleMistake>> {
    let spoil = |text: &str| {
        assert!(text.contains(from), "{file} has no {from}");
        text.replacen(from, to, 1)
    };
    let changed: Vec<(&str, String)> = SHIPPED
        .iter()
        .map(|(name, text)| (*name, if *name == file { spoil(text) } else { (*text).to_owned() }))
        .collect();
    Rules::parse(&changed.iter().map(|(name, text)| (*name, text.as_str())).collect::<Vec<_>>())
}

#[test]
fn no_instrument_opens_a_ground_that_is_named_only_to_be_barred() {
    for code in ["R-FISCAL", "R-SECRECY"] {
        let opened = shipped_with("instruments/ets30.toml", "code = \"R-POL\"", &format!("code = \"{code}\""));
        let found = opened.expect_err("a mistake");
        let why = format!("ground {code} is named only to be barred");
        assert!(found.iter().all(|m| m.file == "instruments/ets30.toml" && m.why.starts_with(&why)), "{found:#?}");
        assert_eq!(found.len(), 1);
    }
}

/// Which protocol does without a document is an instrument that the rules know.
#[test]
fn no_document_is_dropped_by_an_unknown_protocol() {
    let (known, unknown) = ("dropped_with = \"ECE-P4\"", "dropped_with = \"ECE-P9\"");
    let found = shipped_with("instruments/ece.toml", known, unknown).expect_err("a mistake");
    assert!(found.iter().all(|mistake| mistake.why.starts_with("there is no instrument ECE-P9")), "{found:#?}");
}

/// Grounds of instruments that are files of their own; until those are shipped nothing opens them.
const ELSEWHERE: [&str; 8] = ["C-ASSUR", "R-3RD", "R-DP", "R-FORM", "R-FR", "R-NATSEC", "R-NOSTORE", "R-TERR"];

#[test]
fn every_ground_is_open_somewhere_or_barred() {
    let rules = shipped();
    let bases = rules.procedures().flat_map(|row| rules.bases(&row.code));
    let opened: BTreeSet<&Code> = bases.flat_map(|basis| &basis.grounds).map(|usage| &usage.code).collect();
    let idle = rules.grounds().filter(|row| !row.is_blocked() && !opened.contains(&row.code));
    let idle: Vec<&str> = idle.map(|row| row.code.as_str()).filter(|code| !ELSEWHERE.contains(code)).collect();
    assert_eq!(idle, Vec::<&str>::new());
}

/// What the provider must not see is told apart by its name, and what it is served with holds none of it.
#[test]
fn supporting_information_is_kept_apart_from_the_order() {
    let form = shipped().form_by_id("GIVE-EFFECT/request").expect("shipped");
    let apart: Vec<&FieldRule> = form.template().filter(|rule| rule.key.starts_with("supporting.")).collect();
    assert!(apart.len() >= 10);
    let kept = |rule: &&FieldRule| {
        rule.help.contains("not to be shown to the provider") || rule.key == "supporting.may-be-shown"
    };
    assert!(apart.iter().all(kept));
    for key in ["offence.facts", "penalty.life", "necessity"] {
        assert!(form.field(key).is_none(), "{key}");
    }
    assert!(form.field("supporting.may-be-shown").is_some_and(|rule| rule.fact && rule.required == Required::Always));
}

#[test]
fn every_procedure_on_offer_says_how_long_it_is_kept() {
    let rules = shipped();
    let forgotten = rules.procedures().filter(|row| row.family.is_some() && rules.retention(&row.code).is_none());
    assert_eq!(forgotten.map(|row| row.code.to_string()).collect::<Vec<_>>(), Vec::<String>::new());
}

/// A condition on a fact nobody says would let go what a clock is to hold.
#[test]
fn what_a_clock_or_a_declaration_looks_at_is_said() {
    let check = |name: &str, right: &str, wrong: &str| {
        let spoil = |(file, text): &(&'static str, &'static str)| {
            let text = if *file == name { text.replacen(right, wrong, 1) } else { (*text).to_owned() };
            (*file, text)
        };
        let spoilt: Vec<(&str, String)> = SHIPPED.iter().map(spoil).collect();
        let files: Vec<(&str, &str)> = spoilt.iter().map(|(file, text)| (*file, text.as_str())).collect();
        let found = Rules::parse(&files).expect_err(wrong);
        assert!(found.iter().any(|m| m.file == name && m.why.contains("as a fact")), "{wrong}: {found:#?}");
    };
    check("instruments/eer.toml", "art8.notified", "art8.notifed");
    check("instruments/eer.toml", "is = [\"emergency\"]", "is = [\"emergence\"]");
    check("instruments/eer.toml", "from = [\"received.at\"]", "from = [\"received\"]");
    check("instruments/eio.toml", "until = \"timing.until\"", "until = \"timing\"");
    check("instruments/2ap-subscriber.toml", "\"notice.made\"", "\"notice.given\"");
}

#[test]
fn unknown_keys_are_refused_in_every_section() {
    for (name, text) in SHIPPED {
        let spoilt = text.replacen("\nsource = ", "\nsauce = 1\nsource = ", 1).replacen(
            ", source = ",
            ", sauce = 1, source = ",
            1,
        );
        let files: Vec<(&str, &str)> =
            SHIPPED.iter().map(|(n, t)| (*n, if n == name { spoilt.as_str() } else { *t })).collect();
        let found = Rules::parse(&files).expect_err(name);
        assert!(found.iter().any(|m| m.file == *name && m.why.contains("sauce")), "{name}: {found:#?}");
    }
}

#[test]
fn every_figure_needs_its_source_and_mark() {
    let mut tried = 0;
    for (name, text) in SHIPPED {
        for key in ["source", "mark"] {
            let said = format!("{key} = \"");
            let starts = text.match_indices(said.as_str()).map(|(start, _)| start);
            for start in starts.filter(|start| matches!(text.as_bytes()[start - 1], b' ' | b'\n')) {
                let spoilt = format!("{}x{}", &text[..start], &text[start..]);
                let found = Rules::parse(&[(name, &spoilt)]).expect_err(name);
                assert!(found.iter().any(|m| m.why.contains(&format!("x{key}"))), "{name} {key}");
                tried += 1;
            }
        }
    }
    assert!(tried > 300, "{tried}");
}

proptest! {
    #[test]
    fn facts_are_never_text(which in 0..100usize, value_text in ".*") {
        for form in shipped().forms() {
            let mut body = full(form);
            let place = which % body.fields.len();
            body.fields[place].values = vec![Value { kind: Some(text("en", &value_text)) }];
            for fact in form.facts(&body) {
                let kind = fact.value.and_then(|value| value.kind);
                prop_assert!(!matches!(kind, None | Some(value::Kind::Text(_))));
            }
        }
    }

    #[test]
    fn reading_never_panics(text in "(\\[|\\]|\\{|\\}|=|\"|[a-z]|\n| |,|\\.|1|form|field|clock|id){0,60}") {
        let _ = Rules::parse(&[("any", &text)]);
    }
}

/// A treaty between two Parties is one file: the instrument, its clocks, and a basis that is like the model.
const BILATERAL: &str = r#"
[[instrument]]
code = "BI-XA-XB"
name = "Treaty on extradition between two States"
number = "none"
status = "in force"
source = "the treaty"
mark = "p"

[[clock]]
id = "BI-X02"
title = "Provisional arrest ends without request and documents"
start_event = "arrest"
duration = 60
unit = "day"
actor = "requested"
on_expiry = "released-by-law"
extendable_by = []
legal_effect = true
instrument = "BI-XA-XB"
source = "the treaty, 10"
mark = "p"

[[basis]]
instrument = "BI-XA-XB"
procedures = ["EXTR", "PROV-ARR"]
like = "UNMT"
instead = { X02-UNMT = "BI-X02" }
articles = "1 to 20"
source = "the treaty"
mark = "p"
"#;

#[test]
fn a_bilateral_treaty_is_one_file() {
    let files = [SHIPPED, &[("instruments/bi-xa-xb.toml", BILATERAL)]].concat();
    let rules = Rules::parse(&files).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let code = |text: &str| Code::parse(text).expect("a code");
    for procedure in ["EXTR", "PROV-ARR"] {
        let procedure = ProcedureCode::parse(procedure).expect("a code");
        let basis = rules.basis(&procedure, &code("BI-XA-XB")).expect("a basis");
        let model = rules.basis(&procedure, &code("UNMT")).expect("a basis");
        let alike = [basis.grounds == model.grounds, basis.documents == model.documents];
        assert!(alike == [true, true] && basis.thresholds == model.thresholds, "{procedure}");
        let clocks: Vec<&str> = basis.clocks.iter().map(|usage| usage.clock.as_str()).collect();
        assert!(clocks.contains(&"BI-X02") && !clocks.contains(&"X02-UNMT"), "{procedure} {clocks:?}");
        assert_eq!(basis.articles, "1 to 20");
    }
    // The model itself binds nobody, whatever a charter says; the treaty takes an ordinary place beside the others.
    let model = |id: &str| rules.instrument(&code(id)).expect("an instrument").model;
    assert_eq!([model("UNMT"), model("BI-XA-XB")], [true, false]);
    let mistaken = BILATERAL.replace("X02-UNMT = ", "X02 = ").replace("\"EXTR\", ", "\"PRES\", ");
    let files = [SHIPPED, &[("instruments/bi-xa-xb.toml", mistaken.as_str())]].concat();
    let found = Rules::parse(&files).expect_err("mistakes");
    assert!(found.iter().any(|mistake| mistake.why.contains("UNMT, on which PRES is not based")), "{found:#?}");
}

/// Equal texts give one digest, whatever their names and order; any change of any text another.
#[test]
fn the_digest_is_of_all_texts_and_of_nothing_else() {
    let digest = |files: &[(&str, &str)]| Rules::parse(files).expect("reads").digest();
    let shipped = digest(SHIPPED);
    let mut turned: Vec<_> = SHIPPED.iter().map(|(_, text)| ("any", *text)).collect();
    turned.reverse();
    assert_eq!(digest(&turned), shipped);
    let with = |text: &str| digest(&[SHIPPED, &[("bi", text)]].concat());
    let treaty = with(BILATERAL);
    assert_ne!(treaty, shipped);
    assert_ne!(with(&BILATERAL.replace("duration = 60", "duration = 45")), treaty);
    assert_ne!(with(&format!("{BILATERAL}\n")), treaty);
    for (name, text) in SHIPPED {
        let longer = format!("{text}# more\n");
        let changed: Vec<_> =
            SHIPPED.iter().map(|file| if file.0 == *name { (*name, longer.as_str()) } else { *file }).collect();
        assert_ne!(super::digest(&changed), *shipped.as_bytes(), "{name}");
    }
}
