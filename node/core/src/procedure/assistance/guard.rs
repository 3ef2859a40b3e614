//! What must hold besides state and side, by name and in words.

/// What must hold besides state and side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Nothing.
    None,
    /// The request names an instrument of the procedure.
    BasedOnInstrument,
    /// It is, and the two sides have consulted, or a court has spoken.
    ConsultedBefore,
    /// A part that is not executed is refused on an open ground.
    PartNamesGround,
    /// It names a manifest.
    NamesManifest,
    /// It names a manifest and a disputed hand-over.
    ReplacesDisputed,
    /// The hand-over it names is offered.
    OffersTerms,
    /// The hand-over it names is open.
    IsOpen,
    /// The hand-over it names was verified whole.
    VerifiedWhole,
}

/// All guards.
pub const GUARDS: &[Guard] = &[
    Guard::None,
    Guard::BasedOnInstrument,
    Guard::ConsultedBefore,
    Guard::PartNamesGround,
    Guard::NamesManifest,
    Guard::ReplacesDisputed,
    Guard::OffersTerms,
    Guard::IsOpen,
    Guard::VerifiedWhole,
];

impl Guard {
    /// The name in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::BasedOnInstrument => "based-on-instrument",
            Self::ConsultedBefore => "consulted-before",
            Self::PartNamesGround => "part-names-ground",
            Self::NamesManifest => "names-manifest",
            Self::ReplacesDisputed => "replaces-disputed",
            Self::OffersTerms => "offers-terms",
            Self::IsOpen => "is-open",
            Self::VerifiedWhole => "verified-whole",
        }
    }

    /// What it demands, for people.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::None => "always",
            Self::BasedOnInstrument => "the request names an instrument of the procedure",
            Self::ConsultedBefore => {
                "the ground is open in the procedure, and the two sides have consulted (BC 27(6)) or a court has suspended execution"
            }
            Self::PartNamesGround => "what is not executed is refused on a ground that is open in the procedure",
            Self::NamesManifest => "it names the manifest of what is handed over",
            Self::ReplacesDisputed => "it names a manifest, and the hand-over it replaces, which is disputed",
            Self::OffersTerms => "the hand-over it names is offered and its terms are not accepted yet",
            Self::IsOpen => "the hand-over it names is neither in custody, nor disputed, nor replaced",
            Self::VerifiedWhole => {
                "the terms of the hand-over it names are accepted, and what was verified is its manifest"
            }
        }
    }
}
