//! Reads a log at a start: of each closed segment its outline if that holds, of all others every frame.
//!
//! Decides nothing of its own: what an outline must show is in `outline`, what frames must show in `scan`. Outlines that
//! are missing or do not hold are written anew once their segment was read; beside damage nothing is written. Start
//! with [`read`].

use std::path::{Path, PathBuf};

use super::{
    DamageKind, StoreFault,
    frame::Mark,
    outline::Outline,
    scan::{Scan, Visit},
};
use crate::disk::Disk;

/// Goes through the files of a log.
///
/// # Errors
/// When a file cannot be read. Wrong content is not an error but the scan's damage.
pub(super) fn read(
    disk: &Disk,
    files: &[(u32, PathBuf)],
    mark: Mark,
    visit: &mut dyn Visit,
) -> Result<Scan, StoreFault> {
    let mut scan = Scan::of(files, mark)?;
    let mut next = 0;
    // Of the segment read last: it is written once the log is seen to go on behind it.
    let mut draft: Option<(&Path, Outline)> = None;
    for (at, (number, path)) in files.iter().enumerate() {
        if *number != next {
            scan.note(DamageKind::Segment, (next, 0));
        }
        next = number + 1;
        let later = &files[at + 1..];
        if !later.is_empty() && skip(&mut scan, *number, path, mark, visit) {
            write(disk, draft.take());
            continue;
        }
        let goes_on = scan.file(*number, path, later, visit)?;
        if scan.damage.is_some() {
            draft = None;
        } else if scan.end.0 == *number && scan.chapters.last().is_some() {
            write(disk, draft.take());
            draft = visit.outlined().and_then(|tree| scan.outline(tree)).map(|outline| (path.as_path(), outline));
        }
        if !goes_on {
            break;
        }
    }
    Ok(scan)
}

/// True if the segment need not be read.
fn skip(scan: &mut Scan, number: u32, path: &Path, mark: Mark, visit: &mut dyn Visit) -> bool {
    if scan.damage.is_some() {
        return false; // beyond damage everything is read, to tell how far it goes
    }
    let Some(outline) = Outline::found(path, number, mark, &scan.standing()) else { return false };
    if !visit.resume(&outline.at, &outline.tree) {
        return false;
    }
    scan.skip(&outline);
    true
}

fn write(disk: &Disk, draft: Option<(&Path, Outline)>) {
    if let Some((segment, outline)) = draft {
        outline.write(disk, segment);
    }
}
