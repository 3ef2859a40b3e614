//! Names and paths as people, files and peers write them.

use std::{fmt::Display, str::FromStr};

use comity_core::{
    ids::{
        AuthorityId, Digest, EventId, ItemId, NetworkName, Origin, PartyCode, ProcedureCode, RequestId, StepCode, hex,
        unhex,
    },
    manifest::{ItemPath, show_name, unescape},
    rules::Code,
};

/// Whatever reads as a name is written again as it was read; a path leads down, and shows nothing hidden.
pub(crate) fn names(data: &[u8]) {
    let shown = show_name(data);
    assert!(!shown.chars().any(char::is_control), "{shown:?} shows a control character");
    assert_eq!(unescape(&shown).as_deref(), Ok(data), "a shown name reads back");
    path(ItemPath::new(data.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect()));
    let Ok(text) = std::str::from_utf8(data) else { return };
    path(ItemPath::parse(text));
    one::<PartyCode>(text);
    one::<NetworkName>(text);
    one::<AuthorityId>(text);
    one::<ProcedureCode>(text);
    one::<StepCode>(text);
    one::<Origin>(text);
    one::<EventId>(text);
    one::<RequestId>(text);
    one::<ItemId>(text);
    one::<Digest>(text);
    if let Ok(bytes) = unhex(text, "text") {
        assert_eq!(hex(&bytes), text);
    }
    if let Some(code) = Code::parse(text) {
        assert_eq!(code.to_string(), text);
    }
}

fn one<T: FromStr + Display>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        assert_eq!(read.to_string(), text);
    }
}

fn path(path: Result<ItemPath, &'static str>) {
    let Ok(path) = path else { return };
    let leads_down = |name: &Vec<u8>| {
        !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/') && !name.contains(&0)
    };
    assert!(!path.names().is_empty() && path.names().iter().all(leads_down), "{path} leads down");
    assert_eq!(ItemPath::parse(&path.to_string()).as_ref(), Ok(&path), "a shown path reads back");
}
