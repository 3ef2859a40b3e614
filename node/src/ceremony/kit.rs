//! The founding kit: the newest documents of a network in one file, each to be judged after those before it.

use std::path::Path;

use comity_core::{
    ids::Time,
    profile::{Book, ProfileFault},
    proto::Bundle,
    wire::strict,
};
use prost::Message as _;

use super::{CeremonyFault, Document, Paper, files};

/// A document that does not hold, and why.
pub(crate) type LeftOut = (Document, ProfileFault);

/// 200 Parties with a charter, profiles and directories are below 20 MiB.
const KIT_MAX: usize = 64 << 20;

/// Puts a charter and what was found beside it into one file, if all of it holds.
///
/// # Errors
/// When a document does not hold under the charter or one before it.
pub(crate) fn kit(charter: Document, mut others: Vec<Document>, now: Time) -> Result<Vec<u8>, CeremonyFault> {
    charter.charter()?;
    others.sort_by_key(|document| rank(&document.paper));
    let all: Vec<Document> = [vec![charter], others].concat();
    let (_, left_out) = judge(&all, now)?;
    if let Some((document, source)) = left_out.into_iter().next() {
        return Err(document.fault(source));
    }
    Ok(Bundle { envelopes: all.iter().map(Document::envelope).collect() }.encode_to_vec())
}

/// A profile before what is signed by its keys, and the head last, which names them all.
fn rank(paper: &Paper) -> u8 {
    match paper {
        Paper::Charter(_) => 0,
        Paper::Profile(_) => 1,
        Paper::Directory(_) => 2,
        Paper::Suspension(_) => 3,
        Paper::Head(_) => 4,
    }
}

/// Judges the documents of a kit in their order, and gives those of Parties that do not hold by themselves any more: for
/// example a profile from before its Party's root keys were changed. Who joins does without them until they are signed anew.
pub(super) fn judge(all: &[Document], now: Time) -> Result<(Book, Vec<LeftOut>), CeremonyFault> {
    let [charter, others @ ..] = all else { return Err(empty(Path::new("the kit"))) };
    let mut book = Book::found(&charter.envelope(), charter.id()).map_err(|source| charter.fault(source))?;
    let mut left_out = Vec::new();
    for document in others {
        match book.accept(&document.envelope(), now) {
            Ok(_) => {}
            Err(source) if matches!(document.paper, Paper::Charter(_)) => return Err(document.fault(source)),
            Err(source) => left_out.push((document.clone(), source)),
        }
    }
    Ok((book, left_out))
}

/// True if a file is a kit and no single document.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn is_kit(path: &Path) -> Result<bool, CeremonyFault> {
    let bytes = files::read(path, KIT_MAX)?;
    let kit = strict::<Bundle>(&bytes, KIT_MAX).is_ok_and(|bundle| !bundle.envelopes.is_empty());
    // One text of a bundle could also be the type of an envelope; no document has such a type.
    Ok(kit && matches!(Document::parse(path, &bytes), Err(CeremonyFault::NoDocument(_))))
}

/// Reads the documents of a kit, the charter first; they are not judged yet.
///
/// # Errors
/// When the file is no kit.
pub(crate) fn read_kit(path: &Path) -> Result<Vec<Document>, CeremonyFault> {
    let why = "is no kit: it does not read as one";
    let bundle: Bundle =
        strict(&files::read(path, KIT_MAX)?, KIT_MAX).map_err(|_| CeremonyFault::Kit { path: path.to_owned(), why })?;
    let documents = bundle.envelopes.iter().map(|envelope| Document::parse(path, envelope));
    let documents = documents.collect::<Result<Vec<_>, _>>()?;
    match documents.first().map(|document| &document.paper) {
        Some(Paper::Charter(_)) => Ok(documents),
        _ => Err(empty(path)),
    }
}

/// Reads and judges a kit; gives its documents, and those of them that do not hold.
///
/// # Errors
/// When the file is no kit, or its charters do not hold.
pub(crate) fn check_kit(path: &Path, now: Time) -> Result<(Vec<Document>, Vec<LeftOut>), CeremonyFault> {
    let documents = read_kit(path)?;
    let (_, left_out) = judge(&documents, now)?;
    Ok((documents, left_out))
}

fn empty(path: &Path) -> CeremonyFault {
    CeremonyFault::Kit { path: path.to_owned(), why: "does not begin with a charter" }
}
