//! The layers settings come in, each checked on its own, so that a good flag does not hide a mistake
//! in the file.

use std::{ffi::OsString, io::Read as _, path::Path};

use config::{ConfigError, FileFormat, Map, Source, Value, ValueKind};

use super::{
    ConfigFault, Flag, Mistake, NOT_SETTINGS,
    table::{self, Shape},
};

/// Some hundred times a full file with every Party of the world named in it.
const FILE_BYTES_MAX: u64 = 256 * 1024;

const PREFIX: &str = "COMITY_";

/// One value and where it comes from.
#[derive(Debug, Clone)]
struct Entry {
    key: String,
    origin: String,
    value: ValueKind,
}

/// All values of one kind of source.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    entries: Vec<Entry>,
}

impl Layer {
    /// What is wrong in this layer.
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        self.entries.iter().filter_map(Entry::mistake).collect()
    }

    /// Whether this layer says something about `key`, right or wrong.
    pub(super) fn names(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }
}

/// How the `config` crate merges: later sources win, key by key.
impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let value = |entry: &Entry| Value::new(Some(&entry.origin), entry.value.clone());
        Ok(self.entries.iter().map(|entry| (entry.key.clone(), value(entry))).collect())
    }
}

impl Entry {
    fn mistake(&self) -> Option<Mistake> {
        let (key, origin) = (self.key.clone(), self.origin.clone());
        let Some(setting) = table::find(&key) else {
            let known = table::near(&key);
            return Some(Mistake::UnknownKey { key, origin, known });
        };
        let bad = |found: String| Mistake::BadValue {
            key: key.clone(),
            origin: origin.clone(),
            found,
            allowed: setting.allowed,
        };
        match (setting.shape, &self.value) {
            (Shape::Flag, ValueKind::Boolean(_)) => None,
            (Shape::Text, ValueKind::String(text)) => (!(setting.is_good)(text)).then(|| bad(text.clone())),
            (Shape::List, ValueKind::Array(items)) => {
                let is_bad = |item: &&Value| !matches!(&item.kind, ValueKind::String(text) if (setting.is_good)(text));
                items.iter().find(is_bad).map(|item| bad(shown(&item.kind)))
            }
            (_, other) => Some(bad(shown(other))),
        }
    }
}

/// A value as an operator would recognise it.
fn shown(value: &ValueKind) -> String {
    match value {
        ValueKind::Table(_) => "a table".to_owned(),
        ValueKind::Array(_) => "a list".to_owned(),
        ValueKind::Nil => "bytes that are not UTF-8".to_owned(),
        other => other.to_string(),
    }
}

/// The fixed defaults.
pub(super) fn defaults() -> Layer {
    let table = toml_table(&table::defaults()).expect("a test reads the table's own defaults");
    Layer { entries: flattened("default", &table) }
}

/// The file's text, if it is there and of a sane size.
pub(super) fn read(file: &Path) -> Result<String, ConfigFault> {
    let unreadable = |why: String| ConfigFault::Unreadable { path: file.to_owned(), why };
    let opened = std::fs::File::open(file).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => ConfigFault::NoFile(file.to_owned()),
        _ => unreadable(cause.to_string()),
    })?;
    let mut text = String::new();
    opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|cause| unreadable(cause.to_string()))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable("it is larger than 256 KiB".to_owned()));
    }
    Ok(text)
}

/// The file's folder; a bare name lies in the current one.
pub(super) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file as a layer.
pub(super) fn from_file(file: &Path, text: &str) -> Result<Layer, ConfigFault> {
    let table = toml_table(text).map_err(|cause| ConfigFault::Unreadable {
        path: file.to_owned(),
        why: cause.to_string().trim_end().to_owned(),
    })?;
    Ok(Layer { entries: flattened(&file.display().to_string(), &table) })
}

/// Variables that begin with `COMITY_`; two underscores separate levels.
pub(super) fn from_environment(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Layer {
    let entry = |(name, value): (OsString, OsString)| {
        let name = name.to_string_lossy().into_owned();
        let rest = name.strip_prefix(PREFIX)?;
        if NOT_SETTINGS.iter().any(|(reserved, _)| *reserved == name) {
            return None;
        }
        let key = key_of_variable(rest);
        // Text that is not UTF-8 fits no setting; guessing at it might name another folder.
        let value = value.to_str().map_or(ValueKind::Nil, |text| typed(&key, text));
        Some(Entry { key, origin: name, value })
    };
    let mut entries: Vec<Entry> = environment.into_iter().filter_map(entry).collect();
    // The environment has no order; messages should.
    entries.sort_by(|a, b| a.origin.cmp(&b.origin));
    Layer { entries }
}

/// Flags as a layer.
pub(super) fn from_flags(flags: &[Flag]) -> Layer {
    let entry = |flag: &Flag| Entry {
        key: flag.key.to_owned(),
        origin: flag.name.to_owned(),
        value: typed(flag.key, &flag.value),
    };
    Layer { entries: flags.iter().map(entry).collect() }
}

/// `LOG__LEVEL` is `log.level`, and `PEERS__XB__ADDRESSES` is `peers.XB.addresses`. A name that is not in
/// capitals keeps its letters and so stays unknown: it would be a second spelling.
fn key_of_variable(rest: &str) -> String {
    if rest.chars().any(|c| c.is_lowercase() || c == '.') {
        return format!("{PREFIX}{rest}");
    }
    let mut levels: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
    if let [section, code, ..] = &mut levels[..]
        && section == "peers"
    {
        *code = code.to_uppercase();
    }
    levels.join(".")
}

/// Text of the environment or a flag in the shape its setting has. What does not fit stays text and is
/// reported as a bad value.
fn typed(key: &str, text: &str) -> ValueKind {
    match (table::find(key).map(|setting| setting.shape), text) {
        (Some(Shape::Flag), "true") => ValueKind::Boolean(true),
        (Some(Shape::Flag), "false") => ValueKind::Boolean(false),
        (Some(Shape::List), "") => ValueKind::Array(Vec::new()),
        (Some(Shape::List), text) => {
            ValueKind::Array(text.split(',').map(|item| Value::from(item.trim().to_owned())).collect())
        }
        _ => ValueKind::String(text.to_owned()),
    }
}

fn toml_table(text: &str) -> Result<Map<String, Value>, ConfigError> {
    config::File::from_str(text, FileFormat::Toml).collect()
}

/// Leaves of a table with their whole keys, in order. A table where none belongs counts as one leaf.
fn flattened(origin: &str, table: &Map<String, Value>) -> Vec<Entry> {
    let mut entries = Vec::new();
    flatten("", origin, table, &mut entries);
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    entries
}

fn flatten(above: &str, origin: &str, table: &Map<String, Value>, into: &mut Vec<Entry>) {
    for (name, value) in table {
        let key = match (above, name.contains('.')) {
            // A quoted key with a dot in it is not two levels.
            (_, true) => format!("{above}\"{name}\""),
            ("", false) => name.clone(),
            (above, false) => format!("{above}.{name}"),
        };
        match &value.kind {
            ValueKind::Table(below) if table::is_section(&key) => flatten(&key, origin, below, into),
            kind => into.push(Entry { key, origin: origin.to_owned(), value: kind.clone() }),
        }
    }
}
