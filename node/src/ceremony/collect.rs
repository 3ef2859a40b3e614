//! Gathering the signatures of all copies into one document.

use std::path::PathBuf;

use super::{Beside, CeremonyFault, Document, Standing, sign::needs_before, standing::is_alone};

/// Merges the signatures of copies with the same content. Every signature of every copy is verified; a key that signed
/// several copies counts once.
///
/// # Errors
/// When a copy says something else, or holds a signature that is wrong or a stranger's.
pub(crate) fn collect(
    proposal: &Document,
    copies: &[Document],
    beside: &Beside,
    out: PathBuf,
) -> Result<(Document, Standing), CeremonyFault> {
    if is_alone(proposal, beside) {
        return Err(needs_before());
    }
    Standing::of(proposal, beside)?;
    let mut merged = proposal.clone().at(out);
    for copy in copies {
        if !copy.says_the_same(proposal) {
            return Err(CeremonyFault::OtherContent(copy.path.clone()));
        }
        Standing::of(copy, beside)?;
        merged = merged.with(&copy.signatures);
    }
    let standing = Standing::of(&merged, beside)?;
    Ok((merged, standing))
}
