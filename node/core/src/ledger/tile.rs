//! Tiles: a tree cut into pieces of 256 hashes, as C2SP tlog-tiles lays a log out for files and HTTP.
//!
//! Decides where a hash of a tree lies, what a tile holds, and the paths under which a log of some size is found. Never
//! opens a file. Start with [`Resource`], then [`Tile`]. Serves SPEC `[L-10]`.

use std::fmt;

use super::{LedgerFault, leaf::LeafEntry, tree::node_hash};
use crate::ids::Digest;

/// Hashes in a full tile.
pub const TILE_WIDTH: u64 = 256;
/// Levels of the tree in one row of tiles: 256 is two to the eighth.
pub(super) const TILE_LEVELS: u32 = 8;
/// Rows of tiles there can be over a size counted in 64 bits.
const ROWS_MAX: u8 = 8;
/// Digest bytes.
pub(super) const HASH: usize = 32;

/// One tile of a tree, full or growing: its row, counted from the leaves, and its number in the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TileId {
    /// 0 for tiles of leaf hashes; each row above has one hash for each full tile below.
    pub row: u8,
    /// From the left, counted from 0.
    pub number: u64,
}

impl TileId {
    /// The tile that holds the subtree at this level and offset of the tree, and the level and offset within the tile.
    pub(super) fn of(level: u32, offset: u64) -> (Self, usize, usize) {
        let within = level % TILE_LEVELS;
        let row = u8::try_from(level / TILE_LEVELS).expect("a tree has 64 levels");
        let number = offset >> (TILE_LEVELS - within);
        let place = offset - (number << (TILE_LEVELS - within));
        let small = |value: u64| usize::try_from(value).expect("below 256");
        (Self { row, number }, small(u64::from(within)), small(place))
    }

    /// The tile whose hash at the second value is this tile's root, once this one is full.
    #[must_use]
    pub fn above(self) -> (Self, usize) {
        let place = usize::try_from(self.number % TILE_WIDTH).expect("below 256");
        (Self { row: self.row + 1, number: self.number / TILE_WIDTH }, place)
    }

    /// How many hashes this tile has in a tree of a size: 0 to 256.
    #[must_use]
    pub fn width_in(self, size: u64) -> u64 {
        let hashes = size.checked_shr(TILE_LEVELS * u32::from(self.row)).unwrap_or(0);
        hashes.saturating_sub(self.number.saturating_mul(TILE_WIDTH)).min(TILE_WIDTH)
    }
}

/// The hashes of one tile and of every complete subtree between them and its root, so that none is computed twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tile {
    /// From the hashes the tile is made of up to the two halves below its root.
    levels: [Vec<Digest>; TILE_LEVELS as usize],
}

impl Tile {
    /// Adds a hash. Gives the tile's root with the 256th; a full tile takes no more.
    pub fn push(&mut self, hash: Digest) -> Option<Digest> {
        let mut hash = hash;
        for level in &mut self.levels {
            level.push(hash);
            match level.as_slice() {
                [.., left, right] if level.len() % 2 == 0 => hash = node_hash(left, right),
                _ => return None,
            }
        }
        Some(hash)
    }

    /// The hashes the tile is made of.
    #[must_use]
    pub fn hashes(&self) -> &[Digest] {
        &self.levels[0]
    }

    /// The root of a full tile.
    #[must_use]
    pub fn root(&self) -> Option<Digest> {
        match self.levels[TILE_LEVELS as usize - 1].as_slice() {
            [left, right] => Some(node_hash(left, right)),
            _ => None,
        }
    }

    pub(super) fn hash(&self, level: usize, place: usize) -> Option<Digest> {
        self.levels.get(level)?.get(place).copied()
    }

    /// The bytes of the tile, or of its beginning: one hash after the other.
    ///
    /// # Panics
    /// When it has fewer hashes.
    #[must_use]
    pub fn to_bytes(&self, width: u64) -> Vec<u8> {
        let width = usize::try_from(width).expect("at most 256");
        self.hashes()[..width].iter().flat_map(|hash| *hash.as_bytes()).collect()
    }

    /// Reads a tile of a known width.
    ///
    /// # Errors
    /// When there are more or fewer bytes.
    pub fn from_bytes(bytes: &[u8], width: u64) -> Result<Self, LedgerFault> {
        if bytes.len() as u64 != width * HASH as u64 || width > TILE_WIDTH {
            return Err(LedgerFault::BadTile);
        }
        let mut tile = Self::default();
        for hash in bytes.chunks_exact(HASH) {
            tile.push(Digest::from_slice(hash).map_err(|_| LedgerFault::BadTile)?);
        }
        Ok(tile)
    }
}

/// Writes leaf entries as a bundle: each behind its length in two bytes, big endian.
#[must_use]
pub fn bundle_bytes<'e>(entries: impl IntoIterator<Item = &'e LeafEntry>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.as_bytes().len()).expect("entries have 33 bytes");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry.as_bytes());
    }
    bytes
}

/// Reads a bundle of a known width.
///
/// # Errors
/// When it has more or fewer entries, or one is no leaf entry.
pub fn bundle_entries(bytes: &[u8], width: u64) -> Result<Vec<LeafEntry>, LedgerFault> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or(LedgerFault::BadTile)?;
        entries.push(LeafEntry::from_slice(entry)?);
        rest = after;
        if entries.len() as u64 > width {
            return Err(LedgerFault::BadTile);
        }
    }
    if rest.is_empty() && entries.len() as u64 == width { Ok(entries) } else { Err(LedgerFault::BadTile) }
}

/// One file of a log in the layout of tlog-tiles. Its text is the path below the log's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// The newest signed checkpoint.
    Checkpoint,
    /// A tile and its width: 256, or less for the last of a row.
    Tile(TileId, u64),
    /// The leaf entries under the tile of row 0 of the same number and width.
    Entries(u64, u64),
}

impl Resource {
    /// All tiles of a log of a size, row by row from the leaves.
    pub fn tiles(size: u64) -> impl Iterator<Item = Self> {
        let rows = (0..ROWS_MAX).take_while(move |row| TileId { row: *row, number: 0 }.width_in(size) > 0);
        rows.flat_map(move |row| {
            let ids = (0..).map(move |number| TileId { row, number });
            let wide = ids.map(move |id| (id, id.width_in(size))).take_while(|(_, width)| *width > 0);
            wide.map(|(id, width)| Self::Tile(id, width))
        })
    }

    /// All entry bundles of a log of a size.
    pub fn entries(size: u64) -> impl Iterator<Item = Self> {
        let ids = (0..size.div_ceil(TILE_WIDTH)).map(|number| TileId { row: 0, number });
        ids.map(move |id| Self::Entries(id.number, id.width_in(size)))
    }

    /// Reads a path; none for what is no path of a log, in any other way of writing it too.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        if path == "checkpoint" {
            return Some(Self::Checkpoint);
        }
        let (kind, number) = path.strip_prefix("tile/")?.split_once('/')?;
        let (number, width) = match number.split_once(".p/") {
            None => (number, TILE_WIDTH),
            Some((number, width)) => (number, plain(width).filter(|width| (1..TILE_WIDTH).contains(width))?),
        };
        let number = parse_number(number)?;
        if kind == "entries" {
            return Some(Self::Entries(number, width));
        }
        let row = u8::try_from(plain(kind)?).ok().filter(|row| *row < 64)?;
        Some(Self::Tile(TileId { row, number }, width))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = match self {
            Self::Checkpoint => return f.write_str("checkpoint"),
            Self::Tile(id, width) => {
                write!(f, "tile/{}/{}", id.row, number_path(id.number))?;
                width
            }
            Self::Entries(number, width) => {
                write!(f, "tile/entries/{}", number_path(*number))?;
                width
            }
        };
        if *width < TILE_WIDTH { write!(f, ".p/{width}") } else { Ok(()) }
    }
}

/// A number in groups of three digits, all but the last behind an `x`.
fn number_path(number: u64) -> String {
    let last = format!("{:03}", number % 1000);
    match number / 1000 {
        0 => last,
        above => {
            let above = number_path(above);
            let (before, group) = above.rsplit_once('/').map_or(("", above.as_str()), |(a, b)| (a, b));
            let slash = if before.is_empty() { "" } else { "/" };
            format!("{before}{slash}x{group}/{last}")
        }
    }
}

fn parse_number(path: &str) -> Option<u64> {
    let mut number = 0_u64;
    let mut groups = path.split('/').peekable();
    while let Some(group) = groups.next() {
        let digits = if groups.peek().is_some() { group.strip_prefix('x')? } else { group };
        if digits.len() != 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        number = number.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    (number_path(number) == path).then_some(number)
}

/// A decimal without leading zeros or signs.
fn plain(digits: &str) -> Option<u64> {
    digits.parse().ok().filter(|value: &u64| value.to_string() == digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        crypto::sha256,
        ledger::{Salt, leaf_entry, leaf_hash},
    };

    fn paths(resources: impl Iterator<Item = Resource>) -> Vec<String> {
        resources.map(|resource| resource.to_string()).collect()
    }

    /// [L-10]: the layout, with the examples of the specification of tlog-tiles.
    #[test]
    fn a_log_of_some_size_is_these_files() {
        assert_eq!(paths(Resource::tiles(0)), [""; 0]);
        assert_eq!(paths(Resource::tiles(1)), ["tile/0/000.p/1"]);
        assert_eq!(paths(Resource::tiles(256)), ["tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(paths(Resource::entries(257)), ["tile/entries/000", "tile/entries/001.p/1"]);
        let all: Vec<_> = Resource::tiles(70_000).collect();
        assert_eq!(all.len(), 273 + 1 + 1 + 1 + 1);
        assert_eq!(
            paths(all.into_iter().skip(273)),
            ["tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1",]
        );
    }

    #[test]
    fn a_path_is_read_in_one_form_only() {
        let check = |path: &str, expected| assert_eq!(Resource::parse(path), expected, "{path}");
        let tile = |row, number, width| Some(Resource::Tile(TileId { row, number }, width));
        check("checkpoint", Some(Resource::Checkpoint));
        check("tile/0/000", tile(0, 0, 256));
        check("tile/63/x001/x234/067", tile(63, 1_234_067, 256));
        check("tile/0/x001/000.p/255", tile(0, 1000, 255));
        check("tile/entries/x001/234.p/1", Some(Resource::Entries(1234, 1)));
        check("tile/entries/x018/x446/x744/x073/x709/x551/615", Some(Resource::Entries(u64::MAX, 256)));
        let others = [
            "",
            "/",
            "checkpoint/",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/0000",
            "tile/00/000",
            "tile/64/000",
            "tile/+1/000",
            "tile/-1/000",
            "tile/0/x000/000",
            "tile/0/x001",
            "tile/0/001/000",
            "tile/0/x1/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p",
            "tile/0/000.p/",
            "tile/0/000/",
            "tile/entries/x018/x446/x744/x073/x709/x551/616",
            "tile/entries/../000",
            "tile/entries",
            "/tile/0/000",
            "tile/0/\u{0661}00",
            "tile/data/000",
        ];
        others.into_iter().for_each(|path| check(path, None));
    }

    #[test]
    fn a_tile_holds_its_hashes_and_grows_to_its_root() {
        let hashes: Vec<Digest> = (0..=255_u8).map(|n| sha256(&[&[n]])).collect();
        let mut tile = Tile::default();
        for (n, hash) in hashes.iter().enumerate() {
            assert_eq!(tile.root(), None, "{n}");
            assert_eq!(tile.push(*hash).is_some(), n == 255, "{n}");
        }
        let mut level = hashes.clone();
        while level.len() > 1 {
            level = level.chunks(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
        }
        assert_eq!(tile.root(), Some(level[0]));
        let bytes = tile.to_bytes(256);
        assert_eq!((bytes.len(), Tile::from_bytes(&bytes, 256)), (8192, Ok(tile.clone())));
        assert_eq!(tile.to_bytes(3), bytes[..96]);
        for (bytes, width) in [
            (&bytes[..8191], 256),
            (&bytes[..], 255),
            (&bytes[..32], 2),
            (&[bytes.clone(), bytes.clone()].concat()[..], 512),
        ] {
            assert_eq!(Tile::from_bytes(bytes, width), Err(LedgerFault::BadTile));
        }
    }

    #[test]
    fn a_bundle_holds_its_entries_and_nothing_else() {
        let entries: Vec<LeafEntry> =
            (0..3).map(|n| leaf_entry(&Salt([n; 32]), &Digest::new([n; 32]), b"context")).collect();
        let bytes = bundle_bytes(&entries);
        assert_eq!((bytes.len(), &bytes[..3]), (3 * 35, &[0, 33, 1][..]));
        assert_eq!(bundle_entries(&bytes, 3), Ok(entries.clone()));
        assert_eq!(sha256(&[&[0], &bytes[2..35]]), leaf_hash(&entries[0]));
        for (bytes, width) in
            [(&bytes[..], 2), (&bytes[..], 4), (&bytes[..104], 3), (&bytes[..71], 2), (&[0_u8][..], 0)]
        {
            assert_eq!(bundle_entries(bytes, width), Err(LedgerFault::BadTile));
        }
        let mut other = bytes;
        other[2] = 2;
        assert_eq!(bundle_entries(&other, 3), Err(LedgerFault::BadLeaf));
    }

    #[test]
    fn a_full_tile_is_one_hash_of_the_tile_above() {
        assert_eq!(TileId { row: 0, number: 257 }.above(), (TileId { row: 1, number: 1 }, 1));
        assert_eq!(TileId::of(0, 300), (TileId { row: 0, number: 1 }, 0, 44));
        assert_eq!(TileId::of(7, 3), (TileId { row: 0, number: 1 }, 7, 1));
        assert_eq!(TileId::of(8, 300), (TileId { row: 1, number: 1 }, 0, 44));
        assert_eq!(TileId { row: 7, number: 0 }.width_in(u64::MAX), 255);
        assert_eq!(TileId { row: 9, number: 0 }.width_in(u64::MAX), 0);
        assert_eq!(TileId { row: 0, number: u64::MAX }.width_in(u64::MAX), 0);
    }

    proptest! {
        #[test]
        fn every_path_reads_back(row in 0_u8..64, number: u64, width in 1_u64..=256) {
            for resource in [Resource::Tile(TileId { row, number }, width), Resource::Entries(number, width)] {
                prop_assert_eq!(Resource::parse(&resource.to_string()), Some(resource));
            }
        }

        #[test]
        fn any_text_is_read_without_panic(text in "[a-z0-9/.x]{0,40}") {
            if let Some(resource) = Resource::parse(&text) {
                prop_assert_eq!(resource.to_string(), text);
            }
        }
    }
}
