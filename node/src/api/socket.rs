//! The Unix socket: who may open it is who may act. Until officers and systems have credentials of
//! their own, its file permission (0600, in a folder of 0700) is the only gate.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use tokio::net::{UnixListener, UnixStream};

use super::fault::ApiFault;

/// Only the user the node runs under.
const MODE: u32 = 0o600;

/// The process at the other end of a connection, as the system vouches for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    /// Its user id when it connected; none if the system does not say.
    pub(super) user: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { user: stream.io().peer_cred().ok().map(|cred| cred.uid()) }
    }
}

/// A socket that listens, and the name it has in the file system.
pub(super) struct Listening {
    pub(super) listener: UnixListener,
    pub(super) name: Name,
}

/// The file of a listening socket.
pub(super) struct Name {
    path: PathBuf,
    file: (u64, u64),
}

impl Name {
    /// Removes the file, unless another took its place.
    pub(super) fn remove(&self) {
        let ours = |found: fs::Metadata| (found.dev(), found.ino()) == self.file;
        if fs::symlink_metadata(&self.path).is_ok_and(ours)
            && let Err(fault) = fs::remove_file(&self.path)
        {
            tracing::warn!(target: "api", kind = %fault.kind(), "the socket's file stayed behind");
        }
    }
}

/// Listens at `path`. A socket that nobody answers on any more is replaced; anything else is left.
///
/// It is made under another name and gets its permission before it gets its own, so that at no
/// moment others could open it. A crash in between leaves that other name, which the next start
/// replaces.
pub(super) async fn listen(path: &Path) -> Result<Listening, ApiFault> {
    let failed = |source| ApiFault::Socket { path: path.to_owned(), source };
    make_room(path).await?;
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(failed(fault)),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&new).map_err(failed)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(MODE)).map_err(failed)?;
    let found = fs::symlink_metadata(&new).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)?;
    Ok(Listening { listener, name: Name { path: path.to_owned(), file: (found.dev(), found.ino()) } })
}

async fn make_room(path: &Path) -> Result<(), ApiFault> {
    match fs::symlink_metadata(path) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(ApiFault::Socket { path: path.to_owned(), source }),
        Ok(found) if !found.file_type().is_socket() => return Err(ApiFault::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(ApiFault::SocketInUse(path.to_owned())),
        Err(fault) if fault.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(source) => Err(ApiFault::Socket { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn code(path: &Path) -> Option<&'static str> {
        listen(path).await.err().map(|fault| fault.code())
    }

    #[tokio::test]
    async fn only_its_owner_may_open_it() {
        let home = tempfile::tempdir().expect("folder");
        let path = home.path().join("api.sock");
        let listening = listen(&path).await.expect("listens");
        assert_eq!(fs::metadata(&path).expect("is there").permissions().mode() & 0o777, MODE);
        UnixStream::connect(&path).await.expect("answers");
        listening.name.remove();
        assert!(!path.exists() && !path.with_extension("new").exists());
    }

    #[tokio::test]
    async fn a_socket_in_use_is_left_and_a_stale_one_replaced() {
        let home = tempfile::tempdir().expect("folder");
        let path = home.path().join("api.sock");
        let first = listen(&path).await.expect("listens");
        assert_eq!(code(&path).await, Some("api.socket-in-use"));
        drop(first.listener);
        let second = listen(&path).await.expect("replaces");
        first.name.remove();
        assert!(path.exists(), "what another process put there stays");
        second.name.remove();
    }

    #[tokio::test]
    async fn other_files_are_never_removed() {
        let home = tempfile::tempdir().expect("folder");
        let path = home.path().join("api.sock");
        fs::write(&path, "a letter").expect("written");
        assert_eq!(code(&path).await, Some("api.not-a-socket"));
        assert_eq!(fs::read(&path).expect("is there"), b"a letter");
        assert_eq!(code(&home.path().join("no/such/folder")).await, Some("api.socket-failed"));
        assert_eq!(code(&home.path().join("x".repeat(200))).await, Some("api.socket-failed"));
    }
}
