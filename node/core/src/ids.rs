//! Names for things: small types that cannot be swapped by mistake.
//!
//! Each is parsed once, at the edge, and is right from then on. Text forms are lower-case
//! hexadecimal for digests and random ids; `short()` gives the first eight digits for people.

use std::fmt;

/// Why some text or bytes are not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} is not well formed: {why}")]
pub struct Malformed {
    /// What was being read.
    pub kind: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
}

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Wraps bytes that are already of the right length.
            #[must_use]
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Reads exactly the right number of bytes.
            ///
            /// # Errors
            /// When the length differs.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, Malformed> {
                bytes.try_into().map(Self).map_err(|_| Malformed {
                    kind: $kind,
                    why: concat!("it must have ", $len, " bytes"),
                })
            }

            /// The first eight hexadecimal digits, for logs and tables.
            #[must_use]
            pub fn short(&self) -> String {
                hex(&self.0[..4])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl std::str::FromStr for $name {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<Self, Malformed> {
                Self::from_slice(&unhex(text, $kind)?)
            }
        }
    };
}

bytes_id!(
    /// SHA-256 over the pre-authentication encoding of an event's header; never over signatures.
    EventId, 32, "event id"
);
bytes_id!(
    /// 128 random bits chosen by the author of a request before it is first stored.
    RequestId, 16, "request id"
);
bytes_id!(
    /// A request together with its fixed set of members (SPEC `[E-4]`).
    ThreadId, 32, "thread id"
);
bytes_id!(
    /// One piece of evidence: 128 random bits drawn by the node that seals it.
    ItemId, 16, "item id"
);
bytes_id!(
    /// SHA-256 of something: a document, a body, a set of signatures.
    Digest, 32, "digest"
);
bytes_id!(
    /// SHA-256 over role, algorithm and public key: a hint for look-up, never a proof (SPEC `[K-2]`).
    KeyId, 32, "key id"
);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal, $ok:expr, $why:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Reads the text form.
            ///
            /// # Errors
            /// When a character or the length is not allowed.
            pub fn parse(text: &str) -> Result<Self, Malformed> {
                let fits = !text.is_empty() && text.len() <= $max && $ok(text);
                fits.then(|| Self(text.to_owned()))
                    .ok_or(Malformed { kind: $kind, why: $why })
            }

            /// The text form.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<Self, Malformed> {
                Self::parse(text)
            }
        }
    };
}

text_id!(
    /// A State bound by the instruments of a network: ISO 3166-1 alpha-2, upper case.
    PartyCode, "Party code", 2,
    |t: &str| t.len() == 2 && t.bytes().all(|b| b.is_ascii_uppercase()),
    "it must be two capital letters (ISO 3166-1)"
);
text_id!(
    /// A network's name: lower-case labels joined by dots, part of every ledger origin.
    NetworkName, "network name", 100, is_dotted,
    "it must be lower-case letters, digits and hyphens in labels joined by dots"
);
text_id!(
    /// A competent body within a Party, as its profile names it.
    AuthorityId, "authority id", 64, is_dotted,
    "it must be lower-case letters, digits and hyphens in labels joined by dots"
);
text_id!(
    /// An officer on its Party's roll: a post, such as `duty-2`; no person's name.
    OfficerId, "officer id", 64, is_dotted,
    "it must be lower-case letters, digits and hyphens in labels joined by dots"
);
text_id!(
    /// The kind of demand, for example `PRES` or `MLA-STORED`.
    ProcedureCode, "procedure code", 24,
    |t: &str| t.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-'),
    "it must be capital letters, digits and hyphens"
);
text_id!(
    /// One act a procedure knows, for example `request` or `preserve`.
    StepCode, "step code", 40,
    |t: &str| t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
    "it must be lower-case letters, digits and hyphens"
);
text_id!(
    /// A ledger's name in its checkpoints: `<party>.<network>/ledger/<n>`, lower case. That of an audit tree,
    /// `<party>.<network>/audit`, is read in checkpoints only: by [`Origin::of_tree`].
    Origin, "ledger origin", 160,
    |t: &str| t.split_once("/ledger/").is_some_and(|(host, n)| {
        is_dotted(host) && !n.is_empty() && !n.starts_with('0') && n.bytes().all(|b| b.is_ascii_digit())
    }),
    "it must read <party>.<network>/ledger/<number>"
);

text_id!(
    /// The name under which a Party's witness signs: `<party>.<network>/witness`, as a C2SP signed note has it.
    WitnessName, "witness name", 160,
    |t: &str| t.strip_suffix("/witness").is_some_and(is_dotted),
    "it must read <party>.<network>/witness"
);

impl WitnessName {
    /// That of a Party in a network.
    #[must_use]
    pub fn of(party: &PartyCode, network: &NetworkName) -> Self {
        let party = party.as_str().to_ascii_lowercase();
        Self(format!("{party}.{network}/witness"))
    }
}

/// Bytes of an origin, as of a witness's name.
const ORIGIN_MAX: usize = 160;

impl Origin {
    /// The `number`-th ledger of a Party in a network; numbers start at 1.
    #[must_use]
    pub fn of(party: &PartyCode, network: &NetworkName, number: u32) -> Self {
        let party = party.as_str().to_ascii_lowercase();
        Self(format!("{party}.{network}/ledger/{number}"))
    }

    /// The audit tree of a Party in a network.
    #[must_use]
    pub fn audit(party: &PartyCode, network: &NetworkName) -> Self {
        let party = party.as_str().to_ascii_lowercase();
        Self(format!("{party}.{network}/audit"))
    }

    /// Reads the name of a ledger or of an audit tree.
    ///
    /// # Errors
    /// When it is neither.
    pub fn of_tree(text: &str) -> Result<Self, Malformed> {
        match text.strip_suffix("/audit") {
            Some(host) if is_dotted(host) && text.len() <= ORIGIN_MAX => Ok(Self(text.to_owned())),
            Some(_) | None => Self::parse(text),
        }
    }

    /// Which of its Party's ledgers it is, from 1. None has more than [`u32`] holds, which is also what an audit tree says.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.0.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or(u32::MAX)
    }
}

/// Milliseconds of a day.
pub const DAY_MS: u64 = 24 * 3_600_000;

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

impl Time {
    /// This moment and `ms` milliseconds.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment, or zero.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A position in a ledger, counted from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LedgerIndex(pub u64);

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

/// Reads lower-case hexadecimal.
///
/// # Errors
/// On an odd length or any other character: capitals too, so that one value has one text.
pub fn unhex(text: &str, kind: &'static str) -> Result<Vec<u8>, Malformed> {
    let bad = Malformed { kind, why: "it must be lower-case hexadecimal digits, two per byte" };
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    if !text.len().is_multiple_of(2) {
        return Err(bad);
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect::<Option<Vec<u8>>>()
        .ok_or(bad)
}

fn is_dotted(text: &str) -> bool {
    text.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: std::str::FromStr>(text: &str, good: bool) {
        assert_eq!(text.parse::<T>().is_ok(), good, "{text:?}");
    }

    #[test]
    fn text_forms_are_strict() {
        check::<PartyCode>("XA", true);
        check::<PartyCode>("xa", false);
        check::<PartyCode>("XAA", false);
        check::<NetworkName>("demo.comity.test", true);
        check::<NetworkName>("demo..test", false);
        check::<NetworkName>("-demo.test", false);
        check::<Origin>("xa.demo.test/ledger/1", true);
        check::<Origin>("xa.demo.test/ledger/01", false);
        check::<Origin>("xa.demo.test", false);
        check::<Origin>("xa.demo.test/audit", false);
        check::<RequestId>("000102030405060708090a0b0c0d0e0f", true);
        check::<RequestId>("000102030405060708090A0B0C0D0E0F", false);
        check::<RequestId>("0001", false);
        check::<StepCode>("cannot-preserve", true);
        check::<StepCode>("Preserve", false);
    }

    #[test]
    fn origin_of_a_party_parses() {
        let party = PartyCode::parse("XA").expect("code");
        let network = NetworkName::parse("demo.test").expect("name");
        check::<Origin>(Origin::of(&party, &network, 2).as_str(), true);
        let tree = |text: &str, good: bool| assert_eq!(Origin::of_tree(text).is_ok(), good, "{text}");
        tree(Origin::audit(&party, &network).as_str(), true);
        tree("xa.demo.test/ledger/1", true);
        tree("/audit", false);
        tree("xa.demo.test/audit/1", false);
        tree(&format!("{}/audit", "x".repeat(160)), false);
    }
}
