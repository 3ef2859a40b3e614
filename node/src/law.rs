//! The rule files of this node: those shipped with the build, and those in the folder `rules/` of its data, where a treaty of
//! two Parties is added as one file.
//!
//! Reads and joins them, all or nothing; what they may say and mean is for core to judge. Both Parties of a request need the
//! same files: what one does not know it refuses. Start at [`rules`].

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use comity_core::rules::{RuleMistake, Rules, SHIPPED};

/// The folder of own rule files, below the data folder.
pub const FOLDER: &str = "rules";
/// A file of rules is some hundred lines; 1 MiB is no rule file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// As many treaties as one State has, several times over.
const FILES_MAX: usize = 1_000;

/// The rules of this build alone, read once.
static OF_THE_BUILD: LazyLock<Rules> = LazyLock::new(|| Rules::parse(SHIPPED).expect("a test reads what is shipped"));

/// Why there are no rules to go by.
#[derive(Debug, thiserror::Error)]
pub enum LawFault {
    /// A file or the folder cannot be read.
    #[error(
        "rules.unreadable: the rules were not read; {path} cannot be read: {why}. Correct its permissions, or take it out"
    )]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// Files contradict themselves or each other.
    #[error("rules.bad-file: the rules were not read; nothing of them counts until all is right:{}", listed(.0))]
    Bad(Vec<RuleMistake>),
}

impl LawFault {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "rules.unreadable",
            Self::Bad(_) => "rules.bad-file",
        }
    }
}

fn listed(mistakes: &[RuleMistake]) -> String {
    mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect()
}

/// The law as shipped and as the data folder adds to it.
///
/// # Errors
/// When a file cannot be read, or anything in any file is wrong: every mistake, with file, line and place.
pub fn rules(data: &Path) -> Result<Rules, LawFault> {
    joined(&own_files(&data.join(FOLDER))?)
}

/// The procedures of this build that can be used, by code: what a new Party's authorities are drafted with.
#[must_use]
pub fn offered() -> Vec<String> {
    OF_THE_BUILD.procedures().filter(|row| row.family.is_some()).map(|row| row.code.to_string()).collect()
}

/// The instruments that can bind Parties, those of these files among them, by code: an exercise is founded with all.
///
/// # Errors
/// As [`rules`].
pub fn instruments(own: &[PathBuf]) -> Result<Vec<String>, LawFault> {
    let rules = with_files(own)?;
    Ok(rules.instruments().filter(|row| !row.model).map(|row| row.code.to_string()).collect())
}

/// The law as shipped with these files added.
///
/// # Errors
/// As [`rules`].
pub fn with_files(paths: &[PathBuf]) -> Result<Rules, LawFault> {
    let files = paths.iter().map(|path| Ok((path.display().to_string(), read(path)?)));
    joined(&files.collect::<Result<Vec<_>, LawFault>>()?)
}

fn joined(own: &[(String, String)]) -> Result<Rules, LawFault> {
    let own = own.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let files: Vec<(&str, &str)> = SHIPPED.iter().copied().chain(own).collect();
    Rules::parse(&files).map_err(LawFault::Bad)
}

/// The files of a folder that may not exist, by name.
fn own_files(folder: &Path) -> Result<Vec<(String, String)>, LawFault> {
    let unreadable = |path: &Path, why: &str| LawFault::Unreadable { path: path.to_owned(), why: why.to_owned() };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(fault) => return Err(unreadable(folder, &fault.to_string())),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|fault| unreadable(folder, &fault.to_string()))?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            return Err(unreadable(folder, &format!("it holds more than {FILES_MAX} files")));
        }
    }
    paths.sort();
    let name = |path: &Path| {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        format!("{FOLDER}/{name}")
    };
    paths.iter().map(|path| Ok((name(path), read(path)?))).collect()
}

fn read(path: &Path) -> Result<String, LawFault> {
    let unreadable = |why: String| LawFault::Unreadable { path: path.to_owned(), why };
    let size = fs::metadata(path).map_err(|fault| unreadable(fault.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(unreadable(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    fs::read_to_string(path).map_err(|fault| unreadable(fault.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREATY: &str = r#"
[[instrument]]
code = "BI-XA-XB"
name = "Treaty on assistance between XA and XB"
number = "1999/1"
status = "in force"
source = "treaty series"
mark = "p"

[[basis]]
instrument = "BI-XA-XB"
procedures = ["MLA-STORED"]
articles = "4"
like = "BC"
source = "article 4"
mark = "p"
"#;

    #[test]
    fn what_this_build_offers_is_known() {
        assert!(offered().iter().any(|code| code == "PRES") && !offered().iter().any(|code| code == "JIT"));
        let binding = instruments(&[]).expect("the shipped rules read");
        assert!(binding.iter().any(|code| code == "BC") && !binding.iter().any(|code| code == "UNMT"));
    }

    #[test]
    fn a_file_in_the_folder_is_law_and_a_wrong_one_is_named() {
        let data = tempfile::tempdir().expect("a folder");
        let shipped = rules(data.path()).expect("no folder is no fault").instruments().count();
        let folder = data.path().join(FOLDER);
        fs::create_dir(&folder).expect("made");
        fs::write(folder.join("treaty.toml"), TREATY).expect("written");
        fs::write(folder.join("notes.txt"), "no rules").expect("written");
        assert_eq!(rules(data.path()).expect("reads").instruments().count(), shipped + 1);
        fs::write(folder.join("other.toml"), TREATY.replace("like = \"BC\"", "like = \"XX\"")).expect("written");
        let fault = rules(data.path()).expect_err("twice, and like nothing");
        let said = fault.to_string();
        assert_eq!(fault.code(), "rules.bad-file");
        assert!(said.contains("rules/other.toml line") && said.contains("twice"), "{said}");
        fs::write(folder.join("other.toml"), [0xff, 0xfe]).expect("written");
        assert_eq!(rules(data.path()).expect_err("no text").code(), "rules.unreadable");
    }
}
