//! Where a long run or a benchmark of whole nodes finds the program and has its files. Everything there goes with this
//! process, also when that is killed.

use std::{fs, path::PathBuf};

use crate::{
    lan::Janitor,
    rig::{FOLDER, PROGRAM},
};

/// Sets both, the program to `comity` beside this one unless another is named; whoever removes the files is returned.
pub(crate) fn prepare(
    name: &str,
    program: Option<PathBuf>,
    dir: Option<PathBuf>,
) -> Result<Janitor, Box<dyn std::error::Error + Send + Sync>> {
    let beside = std::env::current_exe()?.with_file_name("comity");
    let program = program.unwrap_or(beside);
    let program = fs::canonicalize(&program).map_err(|why| format!("no program {}: {why}", program.display()))?;
    let folder = dir.unwrap_or_else(std::env::temp_dir).join(format!("comity-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let folder = fs::canonicalize(folder)?;
    let quoted = folder.display().to_string().replace('\'', "'\\''");
    // Nodes that are still stopping may make files meanwhile.
    let janitor = Janitor::new(&format!("until rm -rf '{quoted}'; do sleep 1; done"));
    PROGRAM.set(program).expect("set once");
    FOLDER.set(folder).expect("set once");
    Ok(janitor)
}
