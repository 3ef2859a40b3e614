//! What is handed to checkers that share no code with us: a whole ledger, the proof of one record, and the fingerprint
//! that stands on paper, in the forms that `tests/outside/verify.py` reads.

use std::{fs, path::Path};

use indicatif::ProgressBar;

use super::{Node, found};
use crate::{
    ceremony::Document,
    cli::{fault::CliFault, ledger, show::text},
};

/// Writes a node's ledger and the proof of its record at `index` into `folder`, anew each time.
pub(super) async fn export(node: &Node, index: u64, network: &Path, folder: &Path) -> Result<(), CliFault> {
    let charter = network.join(node.name.to_ascii_lowercase()).join("charter").join("charter.dsse");
    let fingerprint = Document::read(&charter)?.id();
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(found::disk("remove", folder))?;
    }
    found::folder(folder)?;
    ledger::export(&node.client, ledger::Tree::Ledger, &folder.join("ledger"), &ProgressBar::hidden()).await?;
    let record = node.client.get(&format!("/v1/ledger/{index}")).await?;
    let proof = node.client.bytes(&format!("/v1/ledger/{index}/tlog-proof")).await?;
    found::write(&folder.join(format!("{}.tlog-proof", text(&record, "/record_id"))), &proof)?;
    found::write(&folder.join("fingerprint"), format!("{fingerprint}\n").as_bytes())
}
