//! Everything that can go wrong in this room, each with its stable code.
//!
//! Three families, told apart by who must act: [`NetFault`] stops a start or a change of roster,
//! [`SendFault`] tells a caller to wait, [`LinkEnd`] says why a link or a dial came to nothing and
//! travels in events as its code. Nothing here is ever put on the wire.

/// Why the network did not start, or did not take a change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetFault {
    /// The environment asks for TLS secrets to be written to a file.
    #[error(
        "net.key-log-set: the network does not start; SSLKEYLOGFILE is set and would write session \
         secrets to a file; unset it and start again"
    )]
    KeyLogSet,
    /// An address is not one this node can listen on or dial.
    #[error(
        "net.bad-address: the address is not used; only /ip4, /ip6 or /dns with /tcp are spoken; \
         correct it: {0}"
    )]
    BadAddress(String),
    /// A transport key is not an Ed25519 public key.
    #[error("net.bad-key: the roster is not used; a transport key is not Ed25519; correct the profile of {0}")]
    BadKey(String),
    /// Two Parties name one transport key.
    #[error(
        "net.shared-key: the roster is not used; one transport key is named by two Parties, so a \
         peer could not be told apart; ask both: {0}"
    )]
    SharedKey(String),
    /// The operating system refuses the listening address.
    #[error("net.cannot-listen: the network does not start; {1}; free or correct the address: {0}")]
    CannotListen(String, String),
    /// No certificate could be made over the transport key.
    #[error("net.no-certificate: the network does not start; the transport key could not certify; check it: {0}")]
    NoCertificate(String),
    /// The network has stopped.
    #[error("net.stopped: the change is not made; the network has stopped; start the node again")]
    Stopped,
}

impl NetFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::KeyLogSet => "net.key-log-set",
            Self::BadAddress(_) => "net.bad-address",
            Self::BadKey(_) => "net.bad-key",
            Self::SharedKey(_) => "net.shared-key",
            Self::CannotListen(..) => "net.cannot-listen",
            Self::NoCertificate(_) => "net.no-certificate",
            Self::Stopped => "net.stopped",
        }
    }
}

/// Why a frame was not taken or an evidence stream not opened. What is owed stays owed: the caller
/// keeps it and tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendFault {
    /// No link to this Party; an `Up` event will say when there is.
    #[error("net.not-connected: nothing is sent; there is no link to this Party; wait until it is up")]
    NotConnected,
    /// The window is full; an `Answer` or `Unanswered` event frees a place.
    #[error("net.window-full: the frame is not taken; too much is unanswered; wait for an answer")]
    Full,
    /// Longer than its limit; it can never be sent.
    #[error("net.too-large: the frame is not taken; it is empty or exceeds its limit; send an attachment instead")]
    TooLarge,
    /// As many such streams to this Party are open as may be.
    #[error("net.streams-full: no stream is opened; too many to this Party are open; end one first")]
    StreamsFull,
    /// The peer is connected but does not speak the protocol.
    #[error("net.no-protocol: no stream is opened; the peer does not speak this protocol; upgrade one side")]
    NoProtocol,
    /// The peer did not answer in time.
    #[error("net.no-answer: no stream is opened; the peer did not answer in time; try again later")]
    NoAnswer,
}

impl SendFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NotConnected => "net.not-connected",
            Self::Full => "net.window-full",
            Self::TooLarge => "net.too-large",
            Self::StreamsFull => "net.streams-full",
            Self::NoProtocol => "net.no-protocol",
            Self::NoAnswer => "net.no-answer",
        }
    }
}

/// Why a link ended, or why a dial did not become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkEnd {
    /// The peer or the network closed it.
    #[error("net.closed: the link ended; the connection was closed; it is dialled again")]
    Closed,
    /// No progress within the time allowed.
    #[error("net.stalled: the link was closed; the peer read, wrote or answered too slowly; it is dialled again")]
    Stalled,
    /// No answer to a ping.
    #[error("net.silent: the link was closed; the peer answers no ping; it is dialled again")]
    Silent,
    /// A younger connection to the same Party took over.
    #[error("net.replaced: the link was closed; a younger one to the same Party took its place; nothing need be done")]
    Replaced,
    /// The Party or its key left the roster.
    #[error("net.removed: the link was closed; no profile in force names this peer; ask the Party if that is meant")]
    Removed,
    /// The Party is cut off for its misconduct.
    #[error("net.cut-off: the link was closed; this Party is cut off for its misconduct; see comity peer show")]
    CutOff,
    /// More streams of one kind at once than a peer can need.
    #[error("net.too-many-streams: a stream was reset; the peer opened more at once than agreed; tell its operator")]
    TooManyStreams,
    /// The node is stopping.
    #[error("net.stopping: the link was closed; this node is stopping; it returns with the next start")]
    Stopping,
    /// A frame's length is zero or above its limit.
    #[error("net.bad-length: the link was closed; the peer announced a frame of forbidden length; tell its operator")]
    BadLength,
    /// Deliveries are numbered 1, 2, 3 on each stream; this one was not.
    #[error("net.out-of-step: the link was closed; the peer's deliveries are not numbered in order; tell its operator")]
    OutOfStep,
    /// An answer to a delivery that is not waiting for one.
    #[error("net.unasked-answer: the link was closed; the peer answered what was not asked; tell its operator")]
    Unasked,
    /// The peer is connected but does not speak the deliver protocol.
    #[error("net.no-deliver: the link was closed; the peer does not speak /comity/deliver/1; upgrade one side")]
    NoDeliver,
    /// The peer closed the connection before a link was up: most likely its roster lacks our key.
    #[error("net.refused: no link; the peer closed the connection at once; does its roster name our transport key?")]
    Refused,
    /// Nothing answers at the address.
    #[error("net.unreachable: no link; the address does not answer; it is dialled again")]
    Unreachable,
    /// Connecting or shaking hands took too long.
    #[error("net.dial-timeout: no link; the address did not finish the handshake in time; it is dialled again")]
    DialTimeout,
    /// The peer is no libp2p TLS peer, or its certificate does not verify.
    #[error("net.handshake-failed: no link; the TLS handshake failed; check address and versions")]
    Handshake,
    /// The peer cannot exchange keys with X25519MLKEM768 and this node requires it.
    #[error(
        "net.not-hybrid: no link; the peer offers no hybrid key exchange and this node requires it; ask it to upgrade"
    )]
    NotHybrid,
    /// Somebody else answers at the Party's address.
    #[error("net.wrong-peer: no link; the key at this address is not one of this Party's; check its profile")]
    WrongPeer,
    /// A limit of our own.
    #[error("net.too-many: no link; too many connections are open; it is dialled again")]
    TooMany,
}

impl LinkEnd {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Closed => "net.closed",
            Self::Stalled => "net.stalled",
            Self::Silent => "net.silent",
            Self::Replaced => "net.replaced",
            Self::Removed => "net.removed",
            Self::CutOff => "net.cut-off",
            Self::TooManyStreams => "net.too-many-streams",
            Self::Stopping => "net.stopping",
            Self::BadLength => "net.bad-length",
            Self::OutOfStep => "net.out-of-step",
            Self::Unasked => "net.unasked-answer",
            Self::NoDeliver => "net.no-deliver",
            Self::Refused => "net.refused",
            Self::Unreachable => "net.unreachable",
            Self::DialTimeout => "net.dial-timeout",
            Self::Handshake => "net.handshake-failed",
            Self::NotHybrid => "net.not-hybrid",
            Self::WrongPeer => "net.wrong-peer",
            Self::TooMany => "net.too-many",
        }
    }

    /// True for what an honest peer never does: counted, and redialled only after a long pause.
    #[must_use]
    pub fn is_misconduct(self) -> bool {
        match self {
            Self::BadLength | Self::OutOfStep | Self::Unasked | Self::TooManyStreams => true,
            Self::Closed
            | Self::Stalled
            | Self::Silent
            | Self::Replaced
            | Self::Removed
            | Self::CutOff
            | Self::Stopping
            | Self::NoDeliver
            | Self::Refused
            | Self::Unreachable
            | Self::DialTimeout
            | Self::Handshake
            | Self::NotHybrid
            | Self::WrongPeer
            | Self::TooMany => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_begins_with_its_code() {
        let ends = [
            LinkEnd::Closed,
            LinkEnd::Stalled,
            LinkEnd::Silent,
            LinkEnd::Replaced,
            LinkEnd::Removed,
            LinkEnd::CutOff,
            LinkEnd::TooManyStreams,
            LinkEnd::Stopping,
            LinkEnd::BadLength,
            LinkEnd::OutOfStep,
            LinkEnd::Unasked,
            LinkEnd::NoDeliver,
            LinkEnd::Refused,
            LinkEnd::Unreachable,
            LinkEnd::DialTimeout,
            LinkEnd::Handshake,
            LinkEnd::NotHybrid,
            LinkEnd::WrongPeer,
            LinkEnd::TooMany,
        ];
        let sends = [
            SendFault::NotConnected,
            SendFault::Full,
            SendFault::TooLarge,
            SendFault::StreamsFull,
            SendFault::NoProtocol,
            SendFault::NoAnswer,
        ];
        let text = String::new;
        let faults = [
            NetFault::KeyLogSet,
            NetFault::BadAddress(text()),
            NetFault::BadKey(text()),
            NetFault::SharedKey(text()),
            NetFault::CannotListen(text(), text()),
            NetFault::NoCertificate(text()),
            NetFault::Stopped,
        ];
        let all = ends.iter().map(|e| (e.code(), e.to_string()));
        let all = all.chain(sends.iter().map(|e| (e.code(), e.to_string())));
        for (code, text) in all.chain(faults.iter().map(|e| (e.code(), e.to_string()))) {
            assert!(text.starts_with(&format!("{code}: ")), "{text}");
        }
    }
}
