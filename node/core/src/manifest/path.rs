//! Where an item lay: names as the file system had them, and safe to make again below any folder.

use std::fmt::{self, Write as _};

use crate::ids::unhex;

/// All names of one path together: what Linux takes as one path.
pub(super) const PATH_BYTES_MAX: usize = 4096;
/// One name: what all common file systems take.
const NAME_BYTES_MAX: usize = 255;

/// Names from the folder that was put under seal down to the item. Bytes, not text: a name need not be
/// valid in any encoding. None of them is empty, `.` or `..`, or holds `/` or a zero byte, so that
/// a path leads nowhere but down (SPEC `[M-2]`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ItemPath(Vec<Vec<u8>>);

impl ItemPath {
    /// Takes the names, outermost first.
    ///
    /// # Errors
    /// What is wrong with one of them, as the end of a sentence.
    pub fn new(names: Vec<Vec<u8>>) -> Result<Self, &'static str> {
        if names.is_empty() {
            return Err("has no name");
        }
        if names.iter().map(|name| name.len() + 1).sum::<usize>() > PATH_BYTES_MAX {
            return Err("is longer than 4096 bytes");
        }
        names.iter().try_for_each(|name| check_name(name))?;
        Ok(Self(names))
    }

    /// The names, outermost first.
    #[must_use]
    pub fn names(&self) -> &[Vec<u8>] {
        &self.0
    }

    /// True if the other path is the same, or lies below this one as if this were a folder.
    #[must_use]
    pub fn holds(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// Reads what [`fmt::Display`] writes.
    ///
    /// # Errors
    /// As [`Self::new`], or when an escape does not read.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        Self::new(text.split('/').map(unescape).collect::<Result<_, _>>()?)
    }
}

fn check_name(name: &[u8]) -> Result<(), &'static str> {
    match name {
        [] => Err("has an empty name"),
        b"." | b".." => Err("leads out of its folder"),
        _ if name.contains(&b'/') || name.contains(&0) => Err("has a name with a stroke or a zero byte"),
        _ if name.len() > NAME_BYTES_MAX => Err("has a name longer than 255 bytes"),
        _ => Ok(()),
    }
}

/// Joined by `/`. Whatever a terminal or page would not show as it is - bytes that are no UTF-8, control
/// characters, marks that turn the direction of writing, the backslash itself - stands as `\xNN`.
impl fmt::Display for ItemPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_char('/')?;
            }
            f.write_str(&show_name(name))?;
        }
        Ok(())
    }
}

/// One name, or the target of a link, as people can read it; [`unescape`] reads it back.
#[must_use]
pub fn show_name(name: &[u8]) -> String {
    let mut shown = String::with_capacity(name.len());
    let escape = |shown: &mut String, bytes: &[u8]| {
        bytes.iter().for_each(|byte| write!(shown, "\\x{byte:02x}").expect("writing to a string does not fail"));
    };
    for part in name.utf8_chunks() {
        for one in part.valid().chars() {
            if is_hidden(one) { escape(&mut shown, one.encode_utf8(&mut [0; 4]).as_bytes()) } else { shown.push(one) }
        }
        escape(&mut shown, part.invalid());
    }
    shown
}

/// Characters that are not seen as what they are (Unicode: general categories Cc, Zl, Zp and the
/// format characters that change the order or joining of others).
fn is_hidden(shown: char) -> bool {
    shown.is_control()
        || matches!(shown, '\\' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{2060}'..='\u{206f}')
        || matches!(shown, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{fff9}'..='\u{fffb}')
        || matches!(shown, '\u{e0000}'..='\u{e007f}')
}

/// Reads what [`show_name`] writes.
///
/// # Errors
/// When an escape does not read.
pub fn unescape(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        name.extend_from_slice(plain.as_bytes());
        let digits = escaped.strip_prefix('x').and_then(|hex| hex.get(..2));
        let byte = digits.and_then(|digits| unhex(digits, "escape").ok());
        name.extend(byte.ok_or("has an escape that does not read")?);
        rest = &escaped[3..];
    }
    name.extend_from_slice(rest.as_bytes());
    Ok(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(names: &[&[u8]], shown: Option<&str>) {
        let path = ItemPath::new(names.iter().map(|name| name.to_vec()).collect());
        assert_eq!(path.as_ref().ok().map(ToString::to_string).as_deref(), shown, "{names:?}");
        if let Ok(path) = path {
            assert_eq!(ItemPath::parse(&path.to_string()), Ok(path));
        }
    }

    /// SPEC `[M-2]`.
    #[test]
    fn a_path_leads_down_and_shows_what_it_is() {
        check(&[b"a b", "日本".as_bytes(), "шум".as_bytes()], Some("a b/日本/шум"));
        check(&[b"line\nbreak"], Some("line\\x0abreak"));
        check(&[b"\xff\xfe"], Some("\\xff\\xfe"));
        check(&[b"back\\slash"], Some("back\\x5cslash"));
        check(&["fdp.\u{202e}exe".as_bytes()], Some("fdp.\\xe2\\x80\\xaeexe"));
        check(&[b"...", b".hidden", b"~"], Some(".../.hidden/~"));
        check(&[], None);
        check(&[b"a", b".."], None);
        for bad in ["", ".", "..", "a/b", "/etc", "nul\0"] {
            check(&[bad.as_bytes()], None);
        }
        check(&[&[b'x'; 256]], None);
        check(&[&[b'x'; 200][..]; 21], None);
        assert!(ItemPath::parse("a\\x").is_err() && ItemPath::parse("a\\é1").is_err());
        assert!(ItemPath::parse("\\x2e\\x2e/a").is_err(), "an escape hides nothing");
    }

    #[test]
    fn a_folder_holds_what_lies_below_it() {
        let path = |text: &str| ItemPath::parse(text).expect("path");
        assert!(path("a/b").holds(&path("a/b/c")) && path("a").holds(&path("a")));
        assert!(!path("a/b").holds(&path("a/bc")) && !path("a/b/c").holds(&path("a/b")));
    }

    proptest! {
        #[test]
        fn every_path_reads_back(names in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6)) {
            if let Ok(path) = ItemPath::new(names) {
                let shown = path.to_string();
                prop_assert!(!shown.chars().any(char::is_control));
                prop_assert_eq!(ItemPath::parse(&shown), Ok(path));
            }
        }
    }
}
