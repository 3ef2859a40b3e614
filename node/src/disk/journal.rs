//! What was done to a disk, step by step, and what a power cut at any step may leave of it (tests only).
//!
//! Sectors that were written and not synced are there or not, each for itself; so is the length of a file. What a failed
//! sync was to cover is in doubt for ever, unless it is written again: the system forgets that it meant to. Names of one
//! folder last in the order in which they were given, up to any one of them, until the folder is synced; folders know
//! nothing of each other, and a name nothing of what is in its file. Start with [`Journal::images`].

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, DirBuilder, OpenOptions},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::faults::sectors;

/// Zeros are compared and left out in pieces of this size.
const PAGE: usize = 4096;

/// One thing that was done. Paths are from the watched folder on.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Create(PathBuf),
    Mkdir(PathBuf),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf),
    Write(PathBuf, u64, Bytes),
    /// False if it failed.
    Sync(PathBuf, bool),
    SyncFolder(PathBuf),
    /// Somebody was told something.
    Told,
}

/// What was written.
#[derive(Debug, Clone)]
pub(crate) enum Bytes {
    Zeros(usize),
    Some(Arc<[u8]>),
}

impl Bytes {
    pub(super) fn of(bytes: &[u8]) -> Self {
        if is_blank(bytes) { Self::Zeros(bytes.len()) } else { Self::Some(Arc::from(bytes)) }
    }

    fn len(&self) -> usize {
        match self {
            Self::Zeros(len) => *len,
            Self::Some(bytes) => bytes.len(),
        }
    }

    fn put(&self, from: usize, until: usize, into: &mut [u8]) {
        match self {
            Self::Zeros(_) => into.fill(0),
            Self::Some(bytes) => into.copy_from_slice(&bytes[from..until]),
        }
    }
}

/// Everything that was done.
#[derive(Clone, Default)]
pub(crate) struct Journal {
    pub(super) steps: Vec<Step>,
}

/// Draws alike from like seeds (xorshift64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        dice.throw(2);
        dice
    }

    /// A number below this one.
    pub(crate) fn throw(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % below.max(1)
    }
}

impl Journal {
    /// How many steps there are: a cut may fall before each and behind the last.
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// A power cut after so many steps: writes what may be left of the folder into `into`, which must be empty, and says
    /// how often somebody had been told something by then.
    pub(crate) fn cut(&self, after: usize, dice: &mut Dice, into: &Path) -> usize {
        let mut model = Model::default();
        self.steps[..after].iter().for_each(|step| model.take(step));
        model.cut(dice, into)
    }

    /// Power cuts after ever more steps, as [`Self::cut`] makes them: `each` is shown every one of them, with the number
    /// of its step, a folder of its own below `within`, and how often somebody had been told.
    pub(crate) fn cuts(&self, count: usize, seed: u64, within: &Path, mut each: impl FnMut(usize, &Path, usize)) {
        let (mut model, mut done) = (Model::default(), 0);
        for number in 0..count {
            // Spread evenly, each step's turn coming as often as any other's.
            let after = number * (self.len() + 1) / count;
            self.steps[done..after].iter().for_each(|step| model.take(step));
            done = after;
            let into = within.join(number.to_string());
            DirBuilder::new().mode(0o700).create(&into).expect("made");
            let told = model.cut(&mut Dice::new(seed + number as u64), &into);
            each(after, &into, told);
            fs::remove_dir_all(&into).expect("removed");
        }
    }
}

/// How a cut treats what was not synced.
#[derive(Clone, Copy)]
enum Mood {
    /// All of it is lost.
    Nothing,
    /// All of it is there.
    Everything,
    /// Each sector, and each name, for itself.
    Coin,
    /// What was written first is there, up to some sector.
    Torn,
}

/// A file system with what is on disk and what is on its way.
struct Model {
    nodes: Vec<Node>,
    told: usize,
}

type Id = usize;

enum Node {
    Folder { lasting: Names, now: Names, waiting: Vec<Naming> },
    File { lasting: Vec<u8>, waiting: Vec<(Change, Standing)> },
}

type Names = BTreeMap<OsString, Id>;

#[derive(Clone)]
enum Naming {
    Link(OsString, Id),
    Unlink(OsString),
    Rename(OsString, OsString),
}

enum Change {
    Empty,
    Write(u64, Bytes),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The next sync puts it on disk.
    Waiting,
    /// A sync failed over it.
    Doubtful,
    /// Synced, but over something doubtful.
    Certain,
}

impl Default for Model {
    fn default() -> Self {
        Self { nodes: vec![Node::folder()], told: 0 }
    }
}

impl Node {
    const fn folder() -> Self {
        Self::Folder { lasting: Names::new(), now: Names::new(), waiting: Vec::new() }
    }
}

impl Model {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Told => self.told += 1,
            Step::Mkdir(path) => self.link(path, Node::folder()),
            Step::Create(path) => match self.find(path) {
                Some(id) => self.change(id, Change::Empty),
                None => self.link(path, Node::File { lasting: Vec::new(), waiting: Vec::new() }),
            },
            Step::Write(path, offset, bytes) => {
                let id = self.find(path).expect("what is written to was made");
                self.change(id, Change::Write(*offset, bytes.clone()));
            }
            Step::Unlink(path) => self.name(path, Naming::Unlink(last(path))),
            Step::Rename(from, to) => {
                assert_eq!(from.parent(), to.parent(), "things are renamed within their folder");
                self.name(from, Naming::Rename(last(from), last(to)));
            }
            Step::Sync(path, done) => self.sync(path, *done),
            Step::SyncFolder(path) => {
                let id = self.find(path).expect("what is synced was made");
                let Node::Folder { lasting, now, waiting } = &mut self.nodes[id] else { panic!("a folder") };
                waiting.clear();
                lasting.clone_from(now);
            }
        }
    }

    fn find(&self, path: &Path) -> Option<Id> {
        path.iter().try_fold(0, |id, name| match &self.nodes[id] {
            Node::Folder { now, .. } => now.get(name).copied(),
            Node::File { .. } => None,
        })
    }

    fn link(&mut self, path: &Path, node: Node) {
        self.nodes.push(node);
        self.name(path, Naming::Link(last(path), self.nodes.len() - 1));
    }

    /// Something about a name in the folder of this path.
    fn name(&mut self, path: &Path, naming: Naming) {
        let parent = self.find(path.parent().expect("inside")).expect("its folder was made");
        let Node::Folder { now, waiting, .. } = &mut self.nodes[parent] else { panic!("a folder") };
        naming.clone().make(now);
        waiting.push(naming);
    }

    fn change(&mut self, id: Id, change: Change) {
        let Node::File { waiting, .. } = &mut self.nodes[id] else { panic!("a file") };
        waiting.push((change, Standing::Waiting));
    }

    fn sync(&mut self, path: &Path, done: bool) {
        let id = self.find(path).expect("what is synced was made");
        let Node::File { lasting, waiting } = &mut self.nodes[id] else { panic!("a file") };
        let now = if done { Standing::Certain } else { Standing::Doubtful };
        for (_, standing) in waiting.iter_mut().filter(|(_, standing)| *standing == Standing::Waiting) {
            *standing = now;
        }
        if waiting.iter().all(|(_, standing)| *standing == Standing::Certain) {
            waiting.drain(..).for_each(|(change, _)| change.make(lasting, &mut |_| true));
        }
    }

    fn cut(&self, dice: &mut Dice, into: &Path) -> usize {
        let mood = [Mood::Nothing, Mood::Everything, Mood::Coin, Mood::Coin, Mood::Torn][dice.throw(5)];
        self.leave(0, mood, dice, into);
        self.told
    }

    /// Writes what is left of a folder.
    fn leave(&self, folder: Id, mood: Mood, dice: &mut Dice, into: &Path) {
        let Node::Folder { lasting, waiting, .. } = &self.nodes[folder] else { panic!("a folder") };
        let mut names = lasting.clone();
        let kept = match mood {
            Mood::Nothing => 0,
            Mood::Everything => waiting.len(),
            Mood::Coin | Mood::Torn => dice.throw(waiting.len() + 1),
        };
        waiting[..kept].iter().for_each(|naming| naming.clone().make(&mut names));
        for (name, id) in names {
            let path = into.join(name);
            match &self.nodes[id] {
                Node::Folder { .. } => {
                    DirBuilder::new().mode(0o700).create(&path).expect("made");
                    self.leave(id, mood, dice, &path);
                }
                Node::File { lasting, waiting } => write_sparse(&path, &left_of(lasting, waiting, mood, dice)),
            }
        }
    }
}

impl Naming {
    fn make(self, names: &mut Names) {
        match self {
            Self::Link(name, id) => drop(names.insert(name, id)),
            Self::Unlink(name) => drop(names.remove(&name)),
            Self::Rename(from, to) => {
                let id = names.remove(&from).expect("what is renamed was there");
                names.insert(to, id);
            }
        }
    }
}

impl Change {
    /// Makes it in the parts that are kept: a file emptied, or a sector of a write.
    fn make(&self, content: &mut Vec<u8>, keep: &mut dyn FnMut(usize) -> bool) {
        match self {
            Self::Empty if keep(1) => content.clear(),
            Self::Empty => {}
            Self::Write(offset, bytes) => {
                let offset_here = usize::try_from(*offset).expect("small");
                for (from, until) in sectors(*offset, bytes.len()) {
                    if keep(until - from) {
                        let (start, end) = (offset_here + from, offset_here + until);
                        content.resize(content.len().max(end), 0);
                        bytes.put(from, until, &mut content[start..end]);
                    }
                }
            }
        }
    }
}

fn left_of(lasting: &[u8], waiting: &[(Change, Standing)], mood: Mood, dice: &mut Dice) -> Vec<u8> {
    let mut content = lasting.to_vec();
    let bytes = |(change, _): &(Change, Standing)| if let Change::Write(_, bytes) = change { bytes.len() } else { 1 };
    let mut until_torn = match mood {
        Mood::Torn => dice.throw(waiting.iter().map(bytes).sum::<usize>() + 1),
        Mood::Nothing | Mood::Everything | Mood::Coin => 0,
    };
    for (change, standing) in waiting {
        change.make(&mut content, &mut |len| match mood {
            _ if *standing == Standing::Certain => true,
            Mood::Nothing => false,
            Mood::Everything => true,
            Mood::Coin => dice.throw(2) == 0,
            Mood::Torn => {
                let kept = until_torn >= len;
                until_torn = until_torn.saturating_sub(len);
                kept
            }
        });
    }
    content
}

fn last(path: &Path) -> OsString {
    path.file_name().expect("a name").to_owned()
}

fn is_blank(bytes: &[u8]) -> bool {
    const BLANK: [u8; PAGE] = [0; PAGE];
    bytes.chunks(PAGE).all(|piece| *piece == BLANK[..piece.len()])
}

/// Most of what is kept is zeros, which need not be written.
pub(crate) fn write_sparse(path: &Path, content: &[u8]) {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).expect("made");
    file.set_len(content.len() as u64).expect("as long as it is");
    for (at, page) in (0..).zip(content.chunks(PAGE)) {
        if !is_blank(page) {
            file.write_all_at(page, at * PAGE as u64).expect("written");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const LINES: [&str; 3] = ["a", "b", "c"];

    fn journal(steps: &[Step]) -> Journal {
        Journal { steps: steps.to_vec() }
    }

    fn write(path: &str, offset: u64, byte: u8, len: usize) -> Step {
        Step::Write(path.into(), offset, Bytes::of(&vec![byte; len]))
    }

    /// All that cuts behind the last step may leave: names with the first byte of each sector.
    fn left(steps: &[Step]) -> BTreeSet<String> {
        let journal = journal(steps);
        let one = |seed| {
            let home = tempfile::tempdir().expect("folder");
            journal.cut(journal.len(), &mut Dice::new(seed), home.path());
            let read = |name: &str| {
                let bytes = fs::read(home.path().join(name)).ok()?;
                let firsts: String = bytes.chunks(512).map(|sector| char::from(b'0' + sector[0])).collect();
                Some(format!("{name}={firsts}"))
            };
            LINES.iter().filter_map(|name| read(name)).collect::<Vec<_>>().join(" ")
        };
        (0..200).map(one).collect()
    }

    fn check(steps: &[Step], expected: &[&str]) {
        assert_eq!(left(steps), expected.iter().map(|text| (*text).to_owned()).collect());
    }

    #[test]
    fn a_name_lasts_once_its_folder_is_synced_and_a_file_once_it_is() {
        let (create, sync, folder) =
            (Step::Create("a".into()), Step::Sync("a".into(), true), Step::SyncFolder("".into()));
        let all = [create, write("a", 0, 1, 1024), sync, folder];
        check(&all[..1], &["", "a="]);
        check(&all[..2], &["", "a=", "a=1", "a=01", "a=11"]);
        check(&all[..3], &["", "a=11"]);
        check(&all, &["a=11"]);
    }

    #[test]
    fn a_failed_sync_leaves_doubt_that_only_writing_again_removes() {
        let begun = [Step::Create("a".into()), Step::SyncFolder("".into()), write("a", 0, 1, 512)];
        let failed = [&begun[..], &[Step::Sync("a".into(), false)]].concat();
        let again = [&failed[..], &[Step::Sync("a".into(), true)]].concat();
        check(&again, &["a=", "a=1"]);
        let more = [&failed[..], &[write("a", 512, 2, 512), Step::Sync("a".into(), true)]].concat();
        check(&more, &["a=02", "a=12"]);
        let renewed = [&failed[..], &[write("a", 0, 1, 512), Step::Sync("a".into(), true)]].concat();
        check(&renewed, &["a=1"]);
    }

    #[test]
    fn names_of_a_folder_last_in_their_order() {
        let steps = [
            Step::Create("a".into()),
            Step::SyncFolder("".into()),
            Step::Rename("a".into(), "b".into()),
            Step::Create("c".into()),
            Step::Unlink("b".into()),
        ];
        check(&steps, &["a=", "b=", "b= c=", "c="]);
    }

    #[test]
    fn a_file_that_is_begun_anew_may_be_the_old_one() {
        let made = [Step::Create("a".into()), write("a", 0, 1, 512), Step::Sync("a".into(), true)];
        let again = [Step::SyncFolder("".into()), Step::Create("a".into()), write("a", 0, 2, 512)];
        check(&[&made[..], &again].concat(), &["a=1", "a=", "a=2"]);
    }

    #[test]
    fn what_was_told_is_counted_up_to_the_cut() {
        let journal = journal(&[Step::Told, Step::Create("a".into()), Step::Told]);
        let home = tempfile::tempdir().expect("folder");
        let mut seen = Vec::new();
        journal.cuts(4, 1, home.path(), |after, _, told| seen.push((after, told)));
        assert_eq!(seen, [(0, 0), (1, 1), (2, 1), (3, 2)]);
    }
}
