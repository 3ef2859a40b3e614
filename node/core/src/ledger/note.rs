//! The form of a signed note (C2SP signed-note): text, blank line, signature lines.
//!
//! Decides what bytes are a note and how a line names its key. Never checks a signature, and never
//! looks into the text or a signature. Start with [`Note::parse`].

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::LedgerFault;
use crate::{crypto::sha256, ids::hex};

/// The longest note read: room for 18 ML-DSA-44 lines (3.4 KiB each in base64) besides the text.
pub const NOTE_MAX: usize = 64 << 10;
/// The most signature lines read: signed-note asks for at least 16; seven witnesses with two
/// algorithms, and the ledger's own pair beside that of the keys before, make 18.
pub const LINES_MAX: usize = 32;
/// What a signature line begins with: an em dash and a space.
const LINE_START: &str = "\u{2014} ";

/// A note that is well formed and not yet checked.
pub(super) struct Note<'n> {
    /// The text, without the newline that ends its last line. It holds no empty line.
    pub(super) text: &'n str,
    lines: Vec<Line<'n>>,
}

/// One signature line.
pub(super) struct Line<'n> {
    /// In whose name the line is.
    pub(super) name: &'n str,
    /// The signature, in the form its algorithm gives it; never empty.
    pub(super) signature: Vec<u8>,
    key_id: [u8; 4],
}

impl<'n> Note<'n> {
    /// Reads a note; limits come before any work.
    pub(super) fn parse(note: &'n [u8]) -> Result<Self, LedgerFault> {
        if note.len() > NOTE_MAX {
            return Err(LedgerFault::NoteTooLarge);
        }
        let note = std::str::from_utf8(note).map_err(|_| LedgerFault::NoteMalformed("not UTF-8"))?;
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(LedgerFault::NoteMalformed("control character"));
        }
        let (text, lines) = note.split_once("\n\n").ok_or(LedgerFault::NoteMalformed("no blank line"))?;
        let lines = lines.strip_suffix('\n').ok_or(LedgerFault::NoteMalformed("no final newline"))?;
        if lines.split('\n').count() > LINES_MAX {
            return Err(LedgerFault::TooManySignatures);
        }
        Ok(Self { text, lines: lines.split('\n').map(Line::parse).collect::<Result<_, _>>()? })
    }

    /// The one line by the key of this name and id, if there is one.
    pub(super) fn line_by(&self, name: &str, key_id: [u8; 4]) -> Result<Option<&Line<'n>>, LedgerFault> {
        let mut named = self.lines.iter().filter(|line| line.name == name && line.key_id == key_id);
        match (named.next(), named.next()) {
            (_, Some(_)) => Err(LedgerFault::RepeatedSignature),
            (line, None) => Ok(line),
        }
    }
}

impl<'n> Line<'n> {
    fn parse(line: &'n str) -> Result<Self, LedgerFault> {
        let read = || {
            let (name, encoded) = line.strip_prefix(LINE_START)?.split_once(' ')?;
            let bytes = STANDARD.decode(encoded).ok()?;
            let (key_id, signature) = bytes.split_first_chunk::<4>()?;
            let named = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+');
            (named && !signature.is_empty()).then(|| Self { name, signature: signature.to_vec(), key_id: *key_id })
        };
        read().ok_or(LedgerFault::NoteMalformed("signature line"))
    }
}

/// The id of a key under a name and signature type: a hint that finds the key, never a proof.
pub(super) fn key_id(name: &str, kind: u8, key: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = *sha256(&[name.as_bytes(), b"\n", &[kind], key]).as_bytes();
    [a, b, c, d]
}

/// A verifier key (vkey): name, key id, and type and key in base64.
pub(super) fn verifier_key(name: &str, kind: u8, key: &[u8]) -> String {
    let id = hex(&key_id(name, kind, key));
    format!("{name}+{id}+{}", STANDARD.encode([&[kind], key].concat()))
}

/// A signature line with its newline.
pub(super) fn line(name: &str, key_id: [u8; 4], signature: &[u8]) -> String {
    format!("{LINE_START}{name} {}\n", STANDARD.encode([&key_id[..], signature].concat()))
}
