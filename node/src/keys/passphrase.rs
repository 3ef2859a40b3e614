//! What unlocks a key folder, and where it may come from: a file, a systemd credential or a person.
//!
//! Never the command line, which every user of the machine can read, nor the environment, which
//! children inherit and crash reports copy.

use std::{
    fs::File,
    io::{self, IsTerminal as _},
    path::Path,
};

use zeroize::Zeroizing;

use super::{
    KeyFault,
    folder::{read_at_most, read_private},
};

/// The credential's name in a unit file: `LoadCredentialEncrypted=comity-passphrase:…`.
const CREDENTIAL: &str = "comity-passphrase";
/// The same for the PIN of a token.
const PIN_CREDENTIAL: &str = "comity-token-pin";

/// Longer than anybody types; a file beyond it is a mistake.
const BYTES_MAX: usize = 1024;

/// At creation only. One try costs an attacker 128 MiB and half a second of a core, so that twelve
/// characters (three or four random words) outlast a stolen folder; eight would not.
const CHARACTERS_MIN: usize = 12;

/// Why a passphrase is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To open keys that exist: asked once.
    Open,
    /// To make new keys: asked twice, and it must be long enough.
    Create,
    /// To log in to a token that holds a key: its PIN, asked once.
    Pin,
}

/// A passphrase in memory. Wiped when dropped; has no `Debug` and cannot be cloned.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes the first source there is: the file named by `--passphrase-file`; the systemd credential
    /// `comity-passphrase`; a person at the terminal. A source that exists but is wrong is an error and
    /// never a reason to try the next.
    ///
    /// # Errors
    /// [`KeyFault::NoPassphrase`] when there is no source; else what is wrong with it.
    pub fn obtain(file: Option<&Path>, purpose: Purpose) -> Result<Self, KeyFault> {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
        let person = io::stdin().is_terminal().then_some(ask_at_terminal as fn(&str) -> _);
        obtain_from(file, credentials.as_deref().map(Path::new), person, purpose)
    }

    /// Takes a passphrase the caller made, for example the random one of a demonstration.
    ///
    /// # Errors
    /// [`KeyFault::BadPassphrase`] when it is empty, too long, spans lines, or is too short to create with.
    pub fn new(text: Zeroizing<String>, purpose: Purpose) -> Result<Self, KeyFault> {
        Self::checked(text, "the caller", purpose)
    }

    /// The PIN for a library that keeps and wipes its own copy.
    pub(super) fn text(&self) -> String {
        self.0.to_string()
    }

    pub(super) fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn checked(text: Zeroizing<String>, origin: &str, purpose: Purpose) -> Result<Self, KeyFault> {
        let bad = |why| Err(KeyFault::BadPassphrase { origin: origin.to_owned(), why });
        match text.chars().count() {
            0 => bad("it is empty"),
            _ if text.len() > BYTES_MAX => bad("it is longer than 1024 bytes"),
            _ if text.contains(['\n', '\r', '\0']) => bad("it has more than one line"),
            count if purpose == Purpose::Create && count < CHARACTERS_MIN => {
                bad("it is shorter than 12 characters; four random words are easy to keep")
            }
            _ => Ok(Self(text)),
        }
    }
}

fn obtain_from(
    file: Option<&Path>,
    credentials: Option<&Path>,
    person: Option<impl Fn(&str) -> io::Result<Zeroizing<String>>>,
    purpose: Purpose,
) -> Result<Passphrase, KeyFault> {
    if let Some(path) = file {
        let bytes = read_private(path, BYTES_MAX as u64 + 2).map_err(|fault| match fault {
            KeyFault::Missing { path } => KeyFault::NoPassphraseFile { path },
            other => other,
        })?;
        return from_file(bytes, path, purpose);
    }
    let credential = if purpose == Purpose::Pin { PIN_CREDENTIAL } else { CREDENTIAL };
    if let Some(path) = credentials.map(|dir| dir.join(credential)).filter(|path| path.exists()) {
        // systemd guards the folder and may show an access list as group bits: the mode says nothing.
        let file = File::open(&path).map_err(|cause| KeyFault::Disk { doing: "open", path: path.clone(), cause })?;
        return from_file(read_at_most(file, &path, BYTES_MAX as u64 + 2)?, &path, purpose);
    }
    let nobody = if purpose == Purpose::Pin { KeyFault::NoPin } else { KeyFault::NoPassphrase };
    from_person(person.ok_or(nobody)?, purpose)
}

/// One line; the newline editors add at its end is not part of it.
fn from_file(bytes: Zeroizing<Vec<u8>>, path: &Path, purpose: Purpose) -> Result<Passphrase, KeyFault> {
    let origin = path.display().to_string();
    let bad = |why| KeyFault::BadPassphrase { origin: origin.clone(), why };
    let text = std::str::from_utf8(&bytes).map_err(|_| bad("it is not UTF-8 text"))?;
    let line = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    Passphrase::checked(Zeroizing::new(line.to_owned()), &origin, purpose)
}

fn from_person(ask: impl Fn(&str) -> io::Result<Zeroizing<String>>, purpose: Purpose) -> Result<Passphrase, KeyFault> {
    const ORIGIN: &str = "the terminal";
    let ask = |prompt| ask(prompt).map_err(|cause| KeyFault::Disk { doing: "read", path: ORIGIN.into(), cause });
    let first = ask(match purpose {
        Purpose::Open => "Passphrase of these keys: ",
        Purpose::Create => "New passphrase for these keys (at least 12 characters): ",
        Purpose::Pin => "PIN of the token: ",
    })?;
    let passphrase = Passphrase::checked(first, ORIGIN, purpose)?;
    if purpose == Purpose::Create && *ask("The same again: ")? != *passphrase.0 {
        return Err(KeyFault::BadPassphrase { origin: ORIGIN.to_owned(), why: "the two entries differ" });
    }
    Ok(passphrase)
}

fn ask_at_terminal(prompt: &str) -> io::Result<Zeroizing<String>> {
    rpassword::prompt_password(prompt).map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    type Nobody = fn(&str) -> io::Result<Zeroizing<String>>;

    fn file(dir: &Path, name: &str, bytes: &[u8], mode: u32) -> std::path::PathBuf {
        let path = dir.join(name);
        fs::write(&path, bytes).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        path
    }

    fn result(taken: Result<Passphrase, KeyFault>) -> Result<String, &'static str> {
        taken.map(|passphrase| passphrase.0.to_string()).map_err(|fault| fault.code())
    }

    /// Answers the prompts with these lines, in order.
    fn person<'a>(lines: &'a RefCell<Vec<&'a str>>) -> impl Fn(&str) -> io::Result<Zeroizing<String>> + 'a {
        |_| Ok(Zeroizing::new(lines.borrow_mut().remove(0).to_owned()))
    }

    #[test]
    fn a_file_gives_its_one_line() {
        let dir = tempfile::tempdir().expect("folder");
        let check = |bytes: &[u8], mode, purpose, expected: Result<&str, &'static str>| {
            let path = file(dir.path(), "passphrase", bytes, mode);
            let taken = result(obtain_from(Some(&path), None, None::<Nobody>, purpose));
            assert_eq!(taken, expected.map(str::to_owned), "{bytes:?}");
        };
        let bad = Err("keys.bad-passphrase");
        check(b"correct horse\n", 0o600, Purpose::Create, Ok("correct horse"));
        check(b"correct horse\r\n", 0o400, Purpose::Create, Ok("correct horse"));
        check(b" correct horse ", 0o600, Purpose::Open, Ok(" correct horse "));
        check(b"short\n", 0o600, Purpose::Open, Ok("short"));
        check(b"short\n", 0o600, Purpose::Create, bad);
        check(b"", 0o600, Purpose::Open, bad);
        check(b"\n", 0o600, Purpose::Open, bad);
        check(b"two lines\nand more\n", 0o600, Purpose::Open, bad);
        check(b"two newlines\n\n", 0o600, Purpose::Open, bad);
        check(&[0xff; 20], 0o600, Purpose::Open, bad);
        check(&[b'a'; 1025], 0o600, Purpose::Open, bad);
        check(b"correct horse\n", 0o644, Purpose::Open, Err("keys.too-open"));
    }

    #[test]
    fn the_order_is_file_credential_person() {
        let dir = tempfile::tempdir().expect("folder");
        let named = file(dir.path(), "named", b"from the file\n", 0o600);
        let take = |file: Option<&Path>, credentials: Option<&Path>| {
            let lines = RefCell::new(vec!["from a person"]);
            result(obtain_from(file, credentials, Some(person(&lines)), Purpose::Open))
        };
        assert_eq!(take(None, Some(dir.path())), Ok("from a person".to_owned()));
        file(dir.path(), CREDENTIAL, b"from systemd\n", 0o440);
        assert_eq!(take(None, Some(dir.path())), Ok("from systemd".to_owned()));
        assert_eq!(take(Some(&named), Some(dir.path())), Ok("from the file".to_owned()));
        assert_eq!(take(Some(&dir.path().join("absent")), Some(dir.path())), Err("keys.no-passphrase-file"));
        assert_eq!(result(obtain_from(None, None, None::<Nobody>, Purpose::Open)), Err("keys.no-passphrase"));

        let pin = |person: Option<Nobody>| result(obtain_from(None, Some(dir.path()), person, Purpose::Pin));
        assert_eq!(pin(None), Err("keys.no-pin"), "the credential of the passphrase is none of the token");
        file(dir.path(), PIN_CREDENTIAL, b"271828\n", 0o440);
        assert_eq!(pin(None), Ok("271828".to_owned()));
    }

    #[test]
    fn a_new_passphrase_is_asked_twice() {
        let check = |lines: &[&str], purpose, expected: Result<&str, &'static str>| {
            let lines = RefCell::new(lines.to_vec());
            let taken = result(obtain_from(None, None, Some(person(&lines)), purpose));
            assert_eq!(taken, expected.map(str::to_owned));
            assert!(lines.borrow().is_empty(), "every line was asked for");
        };
        check(&["correct horse", "correct horse"], Purpose::Create, Ok("correct horse"));
        check(&["correct horse", "correct house"], Purpose::Create, Err("keys.bad-passphrase"));
        check(&["short"], Purpose::Create, Err("keys.bad-passphrase"));
        check(&["short"], Purpose::Open, Ok("short"));
    }
}
